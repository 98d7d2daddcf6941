import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isCompleteId } from '../../../../src/core/ids.ts';
import { faultsOf, smallJob, submit } from '../../../support/ingest.ts';

test('a bare job, a wrapped one and YAML give the same', () => {
  const wrapped = smallJob() as { Job: unknown };
  const yaml = `
type: batch
tasks:
  - name: main
    engine: {type: docker, params: {image: ubuntu}}
`;
  const jobs = [submit(wrapped), submit(wrapped.Job), submit(yaml, { contentType: 'application/yaml' })];
  jobs.push(submit(yaml, { contentType: '' }), submit(wrapped, { contentType: 'text/plain' }));
  for (const { job, header, warnings, force } of jobs) {
    const comparable = { ...job, ID: '', Name: '' };
    assert.deepEqual(comparable, { ...jobs[0]?.job, ID: '', Name: '' });
    assert.deepEqual(warnings, []);
    assert.equal(force, false);
    assert.ok(isCompleteId(job.ID));
    assert.equal(header.id, job.ID);
    assert.equal(job.Name, job.ID);
  }
});

test('defaults, and what the header says of them', () => {
  const { job, header } = submit(smallJob({ Resources: { GPU: 1, cpu: '2' } }));
  assert.equal(job.Namespace, 'default');
  assert.equal(job.Count, 1);
  assert.deepEqual(job.Tasks[0].Resources, { CPU: '2', Memory: '512mb', GPU: '1' });
  assert.deepEqual(job.Tasks[0].Network, { Type: 'Default' });
  assert.deepEqual(job.Tasks[0].Publisher, { Type: '' });
  assert.deepEqual(header.resources, { cpu: 2, memory: 512_000_000, disk: 0, gpu: 1 });
  assert.equal(header.engine, 'docker');
  assert.deepEqual(Object.keys(job.Meta), [
    'bacalhau.org/client.instance.id',
    'bacalhau.org/orchestrator.id',
    'bacalhau.org/requester.id',
    'bacalhau.org/server.instance.id',
  ]);
});

test('defaults of a small machine are written so that they read back', () => {
  const defaultResources = { cpu: 0.4, memory: 300_000_001, disk: 0, gpu: 0 };
  const { job, header } = submit(smallJob(), { defaultResources });
  assert.deepEqual(job.Tasks[0].Resources, { CPU: '400m', Memory: '300000001' });
  assert.deepEqual(header.resources, defaultResources);
});

test('keys of structs in any casing, keys of maps as they are', () => {
  const { job } = submit({
    JOB: {
      type: 'batch',
      LABELS: { Team: 'x', team: 'y' },
      tasks: [
        {
          NAME: 'main',
          ENGINE: { type: 'Docker', params: { image: 'ubuntu', PARAMETERS: ['a'], Other: 1 } },
          inputsources: [{ source: { TYPE: 'urlDownload', params: { url: 'http://h/a' } }, target: '/in' }],
          ENV: { A: '1' },
          timeouts: { executiontimeout: 60 },
        },
      ],
    },
  });
  const [task] = job.Tasks;
  assert.deepEqual(job.Labels, { Team: 'x', team: 'y' });
  assert.deepEqual(task.Engine, { Type: 'Docker', Params: { Image: 'ubuntu', Other: 1, Parameters: ['a'] } });
  assert.deepEqual(task.InputSources, [
    { Source: { Type: 'urlDownload', Params: { URL: 'http://h/a' } }, Alias: '', Target: '/in' },
  ]);
  assert.deepEqual(task.Timeouts, { ExecutionTimeout: 60 });
});

test('every fault at once, each with its path', () => {
  const faults = faultsOf({
    Job: {
      Name: 5,
      Type: 'cron',
      Count: -1,
      Constraints: [{ Key: '', Operator: 'in' }],
      Tasks: [
        {
          Name: ' ',
          Engine: { Type: 'docker', Params: { Entrypoint: 'sh' } },
          Env: { lower: 'x', BACALHAU_X: 'y', EMPTY: '' },
          InputSources: [
            { Source: { Type: 'ipfs', Params: {} }, Target: '/a', Alias: 'same' },
            { Source: { Type: '' }, Target: '/a', Alias: 'same' },
          ],
          ResultPaths: [
            { Name: '../up', Path: 'relative' },
            { Name: 'stdout', Path: '/' },
          ],
          Resources: { CPU: 'many' },
          Network: { Type: 'HTTP', Domains: ['-bad-'] },
          Timeouts: { ExecutionTimeout: 10, QueueTimeout: 10, TotalTimeout: 5 },
        },
      ],
    },
  });
  const paths = faults.map((fault) => fault.slice(0, fault.indexOf(': ')));
  assert.deepEqual(
    paths.sort(),
    [
      'Job.Constraints[0].Key',
      'Job.Constraints[0].Values',
      'Job.Count',
      'Job.Name',
      'Job.Tasks[0].Engine.Params.Entrypoint',
      'Job.Tasks[0].Engine.Params.Image',
      'Job.Tasks[0].Env.BACALHAU_X',
      'Job.Tasks[0].Env.EMPTY',
      'Job.Tasks[0].Env.lower',
      'Job.Tasks[0].InputSources[0].Source.Params.CID',
      'Job.Tasks[0].InputSources[1].Alias',
      'Job.Tasks[0].InputSources[1].Source.Type',
      'Job.Tasks[0].InputSources[1].Target',
      'Job.Tasks[0].Name',
      'Job.Tasks[0].Network.Domains[0]',
      'Job.Tasks[0].Resources.CPU',
      'Job.Tasks[0].ResultPaths[0].Name',
      'Job.Tasks[0].ResultPaths[0].Path',
      'Job.Tasks[0].ResultPaths[1].Name',
      'Job.Tasks[0].ResultPaths[1].Path',
      'Job.Tasks[0].Timeouts.TotalTimeout',
      'Job.Type',
    ].sort(),
  );
});

test('a misspelt key is named where it is missed', () => {
  const faults = faultsOf({ Type: 'batch', Task: [{ Name: 'main' }] });
  assert.equal(faults.length, 1);
  assert.match(faults[0] ?? '', /^Job\.Tasks: missing job tasks .*found "Task": did you mean "Tasks"/);
  const [engine] = faultsOf(smallJob({ Engine: undefined, Engin: { Type: 'docker' } }));
  assert.match(engine ?? '', /Job\.Tasks\[0\]\.Engine: .*found "Engin"/);
});

test('a list of absurd length is not looked into', () => {
  const Tasks = Array.from({ length: 100_000 }, () => ({}));
  assert.deepEqual(faultsOf({ Type: 'batch', Tasks }), [
    'Job.Tasks: has 100000 elements (the maximum allowed is 10000)',
  ]);
});

test('nothing is an empty job', () => {
  for (const body of [{}, { Job: null }, { Job: {} }, '', '  ']) {
    assert.match(faultsOf(body)[0] ?? '', /^Job: empty\/nil job/, JSON.stringify(body));
  }
  assert.match(faultsOf({ Job: 'text' })[0] ?? '', /^Job: expected an object, got a string/);
});

test('counts: ops and daemon run everywhere', () => {
  for (const Type of ['ops', 'daemon']) {
    assert.equal(submit(smallJob({}, { Type })).job.Count, 0);
    assert.equal(submit(smallJob({}, { Type, Count: 1 })).job.Count, 0);
    assert.match(faultsOf(smallJob({}, { Type, Count: 2 }))[0] ?? '', /^Job\.Count: must be 0/);
  }
  assert.equal(submit(smallJob({}, { Count: 0 })).job.Count, 0);
  assert.match(faultsOf(smallJob({}, { Count: 1.5 }))[0] ?? '', /^Job\.Count: expected a whole number/);
});

test('what belongs to the server is dropped with a warning each', () => {
  const { job, warnings } = submit(
    smallJob(
      {},
      {
        ID: 'j-mine',
        State: { StateType: 'Completed' },
        Version: 3,
        Revision: 4,
        CreateTime: 1234,
        ModifyTime: 1234,
        Meta: { 'bacalhau.org/requester.id': 'forged', mine: 'kept' },
      },
    ),
  );
  assert.deepEqual(warnings, [
    'job state is ignored when submitting a job',
    'job revision is ignored when submitting a job',
    'job version is ignored when submitting a job',
    'job create time is ignored when submitting a job',
    'job modify time is ignored when submitting a job',
    'job ID is ignored when submitting a batch job',
    'job meta key bacalhau.org/requester.id is reserved and is ignored',
  ]);
  assert.notEqual(job.ID, 'j-mine');
  assert.equal(job.Meta['bacalhau.org/requester.id'], '12D3KooWTestNode');
  assert.equal(job.Meta['mine'], 'kept');
});

test('a second task is dropped, but checked', () => {
  const task = { Name: 'main', Engine: { Type: 'docker', Params: { Image: 'x' } } };
  const { job, warnings } = submit({ Type: 'batch', Tasks: [task, { ...task, Name: 'two' }] });
  assert.equal(job.Tasks.length, 1);
  assert.deepEqual(warnings, ['only one task is supported per job']);
  assert.match(faultsOf({ Type: 'batch', Tasks: [task, {}] })[0] ?? '', /^Job\.Tasks\[1\]/);
});

test('publishers: said, not said, said to be none', () => {
  const options = { defaultPublisher: 'ipfs' };
  assert.deepEqual(submit(smallJob(), options).job.Tasks[0].Publisher, { Type: 'ipfs' });
  assert.deepEqual(submit(smallJob({ Publisher: null }), options).job.Tasks[0].Publisher, { Type: 'ipfs' });
  assert.deepEqual(submit(smallJob({ Publisher: {} }), options).job.Tasks[0].Publisher, { Type: 'ipfs' });
  for (const Type of ['none', 'None', 'noop']) {
    const { job, header } = submit(smallJob({ Publisher: { Type } }), options);
    assert.deepEqual(job.Tasks[0].Publisher, { Type: '' });
    assert.equal(header.publisher, '');
  }
  const results = { ResultPaths: [{ Name: 'outputs', Path: '/outputs' }] };
  assert.match(faultsOf(smallJob(results))[0] ?? '', /^Job\.Tasks\[0\]\.Publisher: .*needs a publisher/);
  assert.deepEqual(faultsOf(smallJob({ ...results, Publisher: { Type: 'none' } })), []);
  assert.deepEqual(faultsOf(smallJob(results), options), []);
});

test('names of result folders are one safe path component', () => {
  const name = (Name: string) =>
    faultsOf(smallJob({ Publisher: { Type: 'local' }, ResultPaths: [{ Name, Path: '/outputs' }] }));
  for (const bad of ['a/b', '..', '.', 'stdout', 'stderr', 'exitCode', 'a\\b', 'nul\0', 'x'.repeat(256)]) {
    assert.equal(name(bad).length, 1, bad);
  }
  for (const good of ['outputs', '..a', 'stdout2', 'höhe']) assert.deepEqual(name(good), [], good);
});

test('wasm: the module is one of the inputs', () => {
  const engine = (EntryModule: unknown) => ({
    Engine: { Type: 'wasm', Params: { EntryModule } },
    InputSources: [
      { Source: { Type: 'inline', Params: { URL: 'data:,x' } }, Target: 'main.wasm', Alias: 'entry' },
      { Source: { Type: 'inline', Params: { URL: 'data:,x' } }, Target: '/lib' },
    ],
  });
  for (const good of ['main.wasm', 'entry', '/lib/a.wasm'])
    assert.deepEqual(faultsOf(smallJob(engine(good))), []);
  assert.match(
    faultsOf(smallJob(engine('other.wasm')))[0] ?? '',
    /no input source has the target "other\.wasm"/,
  );
  assert.match(faultsOf(smallJob(engine(undefined)))[0] ?? '', /EntryModule: missing/);
  assert.match(faultsOf(smallJob(engine(['a'])))[0] ?? '', /EntryModule: expected a string, got an array/);
});

test('engines the node does not know pass: another node may', () => {
  const { header } = submit(
    smallJob({ Engine: { Type: ' BrainFuck ', Params: { Anything: { b: 1, a: [1] } } } }),
  );
  assert.equal(header.engine, 'brainfuck');
});

test('mock parameters are checked', () => {
  assert.deepEqual(faultsOf(smallJob({ Engine: { Type: 'mock', Params: { Duration: '10ms' } } })), []);
  assert.match(
    faultsOf(smallJob({ Engine: { Type: 'mock', Params: { Duration: 'soon' } } }))[0] ?? '',
    /^Job\.Tasks\[0\]\.Engine\.Params: Duration: "soon"/,
  );
});

test('networks and ports', () => {
  assert.deepEqual(submit(smallJob({ Network: { Type: 'bridge' } })).job.Tasks[0].Network, {
    Type: 'Bridge',
  });
  const ports = (Type: string, Ports: unknown[]) => faultsOf(smallJob({ Network: { Type, Ports } }));
  assert.deepEqual(ports('Bridge', [{ Name: 'WEB', Static: 18080, Target: 80 }]), []);
  assert.match(ports('None', [{ Name: 'WEB' }])[0] ?? '', /Ports: only networks of type/);
  assert.match(ports('Bridge', [{ Name: '1' }])[0] ?? '', /Ports\[0\]\.Name/);
  assert.match(ports('Bridge', [{ Name: 'A', Static: 80 }])[0] ?? '', /Ports\[0\]\.Static/);
  assert.match(
    ports('Bridge', [
      { Name: 'A', Target: 1 },
      { Name: 'a', Target: 2 },
    ])[0] ?? '',
    /duplicate/,
  );
  assert.match(faultsOf(smallJob({ Network: { Type: 'wifi' } }))[0] ?? '', /unknown network type "wifi"/);
});

test('names that no store key can hold are refused', () => {
  assert.match(faultsOf(smallJob({}, { Name: 'x'.repeat(300) }))[0] ?? '', /^Job\.Name: has 300 bytes/);
  assert.match(faultsOf(smallJob({}, { Name: 'a\nb' }))[0] ?? '', /^Job\.Name: contains a control/);
  assert.match(faultsOf(smallJob({}, { Namespace: '*' }))[0] ?? '', /^Job\.Namespace/);
});

test('the bytes own their memory, so that sending them sends nothing else', () => {
  const { spec } = submit(smallJob());
  assert.equal(spec.byteLength, spec.buffer.byteLength);
});
