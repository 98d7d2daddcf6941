import assert from 'node:assert/strict';
import { test } from 'node:test';
import { probePayload } from '../../../../../src/workers/bid/probes/payload.ts';
import { askedJob, input, JOB_ID, OPTIONS } from '../../../../support/bid.ts';

type Tree = Record<string, unknown>;

function payload(...given: Parameters<typeof askedJob>): Tree {
  const bytes = probePayload(askedJob(...given), { ...OPTIONS, nodeId: 'QmCompute' });
  return JSON.parse(new TextDecoder().decode(bytes)) as Tree;
}

/** The job of Bacalhau's own documents of the probes. */
const DOCUMENTED: Parameters<typeof askedJob> = [
  {
    Engine: { Type: 'docker', Params: { Image: 'ubuntu:latest', Entrypoint: ['cat', '/file.txt'] } },
    Publisher: { Type: 'ipfs' },
    InputSources: [input('ipfs', { CID: 'QmFile' }, '/file.txt')],
    Timeouts: { ExecutionTimeout: 1800 },
    Network: { Type: 'None' },
  },
  { publisher: 'ipfs', executionTimeoutMs: 1_800_000 },
];

test('the documented job, in the documents’ own form', () => {
  const { node_id, job_id, spec } = payload(...DOCUMENTED);
  const { engine, verifier, job_spec_vm, inputs } = spec as Tree;
  assert.deepEqual(
    { node_id, job_id, spec: { engine, verifier, job_spec_vm, inputs } },
    {
      node_id: 'QmCompute',
      job_id: JOB_ID,
      spec: {
        engine: 'docker',
        verifier: 'ipfs',
        job_spec_vm: { image: 'ubuntu:latest', entrypoint: ['cat', '/file.txt'] },
        inputs: [{ engine: 'ipfs', cid: 'QmFile', path: '/file.txt' }],
      },
    },
  );
});

test('the same in the form of v1.2', () => {
  const { NodeID, Job, Callback } = payload(...DOCUMENTED);
  assert.deepEqual(
    { NodeID, Job, Callback },
    {
      NodeID: 'QmCompute',
      Job: {
        ID: JOB_ID,
        Name: 'n',
        Namespace: 'default',
        Type: 'batch',
        Priority: 0,
        Count: 1,
        Constraints: [],
        Meta: {},
        Labels: {},
        Tasks: [
          {
            Name: 'main',
            Engine: { Type: 'docker', Params: { Image: 'ubuntu:latest', Entrypoint: ['cat', '/file.txt'] } },
            Publisher: { Type: 'ipfs', Params: null },
            InputSources: [
              { Source: { Type: 'ipfs', Params: { CID: 'QmFile' } }, Alias: '', Target: '/file.txt' },
            ],
            Resources: {},
            Network: { Type: 'None' },
            Timeouts: { ExecutionTimeout: 1800 },
          },
        ],
        State: { StateType: 'Pending', Message: '' },
        Version: 1,
        Revision: 1,
        CreateTime: 1_700_000_000_000_000_000,
        ModifyTime: 1_700_000_000_000_000_000,
      },
      Callback: {
        Scheme: 'http',
        Opaque: '',
        User: null,
        Host: '10.0.0.5:1234',
        Path: '/api/v1/compute/approve',
        RawPath: '',
        OmitHost: false,
        ForceQuery: false,
        RawQuery: '',
        Fragment: '',
        RawFragment: '',
      },
    },
  );
});

test('times: nanoseconds in full, of the ids; of now where an id says none', () => {
  const times = (change: Parameters<typeof askedJob>[1]): [number, number] => {
    const { CreateTime, ModifyTime } = payload({}, change)['Job'] as {
      CreateTime: number;
      ModifyTime: number;
    };
    return [CreateTime, ModifyTime];
  };
  const text = new TextDecoder().decode(probePayload(askedJob(), OPTIONS));
  assert.match(text, /"CreateTime":1700000000000000000,"ModifyTime":1700000000000000000[,}]/);
  // A later version of the job was made between its id and the ask.
  assert.deepEqual(times({ jobVersion: 2 }), [1.7e18, 1.700000001e18]);
  assert.deepEqual(
    times({ jobId: 'j-2e0fd5a7-44c1-4b0a-9a8e-0123456789ab' }),
    [1.700000001e18, 1.700000001e18],
  );
  const before = Date.now() * 1e6;
  const [created, modified] = times({ jobId: 'j-1', executionId: 'e-1' });
  assert.ok(created >= before && created <= Date.now() * 1e6 && modified === created, String(created));
});

test('keys that scripts of v0.3 read', () => {
  const spec = payload(...DOCUMENTED)['spec'] as Tree;
  assert.deepEqual([spec['Engine'], spec['Publisher'], spec['Timeout']], ['Docker', 'IPFS', 1800]);
  assert.deepEqual(spec['Network'], { Type: 'None' });
  assert.deepEqual((spec['Docker'] as Tree)['Entrypoint'], ['cat', '/file.txt']);
});

test('without IPFS there is no verifier; no contents of inputs are repeated', () => {
  const { spec } = payload({
    InputSources: [
      input('inline', { URL: 'data:,secret' }, '/a'),
      input('urlDownload', { URL: 'http://x/y' }, '/b'),
      input('localDirectory', { SourcePath: '/data' }, '/c'),
    ],
  });
  const { verifier, inputs } = spec as Tree;
  assert.equal(verifier, 'noop');
  assert.deepEqual(inputs, [
    { engine: 'inline', path: '/a' },
    { engine: 'urldownload', url: 'http://x/y', path: '/b' },
    { engine: 'localdirectory', source_path: '/data', path: '/c' },
  ]);
  assert.doesNotMatch(JSON.stringify(spec), /secret/);
});

test('a WASM job', () => {
  const { spec } = payload(
    {
      Engine: {
        Type: 'wasm',
        Params: { EntryModule: '/main.wasm', Entrypoint: '_start', Parameters: ['a'], ImportModules: [] },
      },
      InputSources: [input('ipfs', { CID: 'QmWasm' }, '/main.wasm')],
    },
    { engine: 'wasm' },
  );
  const { engine, verifier, job_spec_vm, inputs, Engine, Wasm, Docker } = spec as Tree;
  assert.deepEqual([engine, verifier, Engine], ['wasm', 'noop', 'Wasm']);
  assert.deepEqual(job_spec_vm, { image: '', entrypoint: [] });
  assert.deepEqual(inputs, [{ engine: 'ipfs', cid: 'QmWasm', path: '/main.wasm' }]);
  assert.deepEqual(Docker, {});
  assert.deepEqual(Wasm, {
    EntryModule: { engine: 'ipfs', cid: 'QmWasm', path: '/main.wasm' },
    EntryPoint: '_start',
    Parameters: ['a'],
    ImportModules: [],
  });
});
