import assert from 'node:assert/strict';
import { test } from 'node:test';
import { faultsOf, smallJob, submit } from '../../../support/ingest.ts';

test('the first releases: job_spec_vm under spec, names in lower case', () => {
  const { job, header, warnings } = submit({
    node_id: 'XXX',
    job_id: 'XXX',
    spec: {
      engine: 'docker',
      verifier: 'ipfs',
      job_spec_vm: { image: 'ubuntu:latest', entrypoint: ['cat', '/file.txt'], env: ['A=b'], cpu: '500m' },
      inputs: [{ engine: 'ipfs', cid: 'QmX', path: '/file.txt' }],
    },
  });
  const [task] = job.Tasks;
  assert.equal(job.Type, 'batch');
  assert.deepEqual(task.Engine, {
    Type: 'docker',
    Params: { Entrypoint: ['cat', '/file.txt'], EnvironmentVariables: ['A=b'], Image: 'ubuntu:latest' },
  });
  assert.deepEqual(task.InputSources, [
    { Source: { Type: 'ipfs', Params: { CID: 'QmX' } }, Alias: '', Target: '/file.txt' },
  ]);
  assert.deepEqual(task.Publisher, { Type: 'ipfs' });
  assert.deepEqual(task.Resources, { CPU: '500m', Memory: '512mb' });
  assert.deepEqual(header.storages, ['ipfs']);
  assert.deepEqual(warnings, ['the job is of an older form and was translated to Job and Task']);
});

const V1BETA1 = {
  APIVersion: 'V1beta1',
  Metadata: { ID: 'x', ClientID: 'y' },
  Spec: {
    Engine: 'Docker',
    Verifier: 'Deterministic',
    Publisher: 'IPFS',
    PublisherSpec: { Type: 'IPFS' },
    Docker: { Image: 'ubuntu', Entrypoint: ['sh'], Parameters: ['-c', 'true'], WorkingDirectory: '/work' },
    Language: {},
    Wasm: { EntryModule: {} },
    Resources: { CPU: '1', Memory: '1Gb', Disk: '', GPU: '' },
    Network: { Type: 'HTTP', Domains: ['example.com'] },
    Timeout: 1800.5,
    inputs: [{ StorageSource: 'URLDownload', Name: 'data', URL: 'http://h/a.txt', path: '/inputs' }],
    outputs: [{ StorageSource: 'IPFS', Name: 'outputs', path: '/outputs' }],
    Annotations: ['team-x'],
    NodeSelectors: [{ Key: 'region', Operator: '=', Values: ['eu'] }],
    Deal: { Concurrency: 3, Confidence: 2 },
  },
};

test('V1beta1: every field that has a counterpart', () => {
  const { job, warnings } = submit(V1BETA1);
  const [task] = job.Tasks;
  assert.equal(job.Count, 3);
  assert.deepEqual(job.Labels, { 'team-x': 'team-x' });
  assert.deepEqual(job.Constraints, [{ Key: 'region', Operator: '=', Values: ['eu'] }]);
  assert.deepEqual(task.Engine.Params, {
    Entrypoint: ['sh'],
    Image: 'ubuntu',
    Parameters: ['-c', 'true'],
    WorkingDirectory: '/work',
  });
  assert.deepEqual(task.Publisher, { Type: 'ipfs' });
  assert.deepEqual(task.InputSources?.[0]?.Source, {
    Type: 'urlDownload',
    Params: { URL: 'http://h/a.txt' },
  });
  assert.deepEqual(task.ResultPaths, [{ Name: 'outputs', Path: '/outputs' }]);
  assert.deepEqual(task.Resources, { CPU: '1', Memory: '1gb' });
  assert.deepEqual(task.Network, { Type: 'HTTP', Domains: ['example.com'] });
  assert.deepEqual(task.Timeouts, { ExecutionTimeout: 1801 });
  assert.deepEqual(warnings, [
    'the job is of an older form and was translated to Job and Task',
    'Spec.Verifier "deterministic" is ignored: results are not verified',
    'Spec.Deal.Confidence is ignored: it has no counterpart',
  ]);
});

test('the same spec in its other wrappings', () => {
  const bodies: unknown[] = [
    { Job: V1BETA1 },
    V1BETA1.Spec,
    {
      payload: { ClientID: 'x', APIVersion: 'V1beta1', Spec: V1BETA1.Spec },
      signature: 's',
      client_public_key: 'k',
    },
  ];
  const expected = submit(V1BETA1).job.Tasks;
  for (const body of bodies) assert.deepEqual(submit(body).job.Tasks, expected);
});

test('wasm: modules become inputs', () => {
  const { job } = submit({
    APIVersion: 'V1beta1',
    Spec: {
      Engine: 'Wasm',
      PublisherSpec: { Type: 'Noop' },
      Wasm: {
        EntryModule: { StorageSource: 'IPFS', CID: 'QmA', Name: 'app.wasm' },
        EntryPoint: '_start',
        Parameters: ['x'],
        EnvironmentVariables: { lower: 'case' },
        ImportModules: [{ StorageSource: 'Inline', URL: 'data:,x' }],
      },
      Deal: { TargetingMode: true },
    },
  });
  const [task] = job.Tasks;
  assert.equal(job.Type, 'ops');
  assert.deepEqual(task.Engine.Params, {
    EntryModule: 'app.wasm',
    Entrypoint: '_start',
    EnvironmentVariables: { lower: 'case' },
    ImportModules: ['import-0.wasm'],
    Parameters: ['x'],
  });
  assert.deepEqual(
    task.InputSources?.map((input) => [input.Source.Type, input.Target]),
    [
      ['ipfs', 'app.wasm'],
      ['inline', 'import-0.wasm'],
    ],
  );
  assert.deepEqual(task.Publisher, { Type: '' });
});

test('tasks up to 1.6 that name modules by objects', () => {
  const module = { Source: { Type: 'ipfs', Params: { CID: 'QmA' } }, Target: '/app.wasm' };
  const { job, warnings } = submit(
    smallJob({
      Engine: {
        Type: 'wasm',
        Params: { EntryModule: module, ImportModules: [{ ...module, Target: '' }], Parameters: [] },
      },
      InputSources: [{ Source: { Type: 'inline', Params: { URL: 'data:,x' } }, Target: '/data' }],
    }),
  );
  const [task] = job.Tasks;
  assert.deepEqual(task.Engine.Params, {
    EntryModule: '/app.wasm',
    ImportModules: ['import-0.wasm'],
    Parameters: [],
  });
  assert.deepEqual(
    task.InputSources?.map((input) => input.Target),
    ['/data', '/app.wasm', 'import-0.wasm'],
  );
  assert.equal(warnings.length, 1);
});

test('faults of the older forms', () => {
  assert.match(
    faultsOf({ Spec: { Engine: 'docker', Docker: {} } })[0] ?? '',
    /Engine\.Params\.Image: missing/,
  );
  const faults = faultsOf({
    Spec: { Engine: 'docker', Docker: { Image: 'x' }, Inputs: 'none', Annotations: 7 },
  });
  assert.deepEqual(
    faults.map((fault) => fault.split(':')[0]),
    ['Spec.Annotations', 'Spec.Inputs'].filter((path) => faults.some((fault) => fault.startsWith(path))),
  );
  assert.equal(faults.length, 2);
});
