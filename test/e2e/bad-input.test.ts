import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { type TestDocker, testDocker } from '../support/docker.ts';
import { temporaryFolder } from '../support/folders.ts';
import { dockerJob, helloModule, mockJob, wasmJob } from '../support/jobs.ts';
import { type ApiReply, startTestNode, type TestNode, type Wire } from '../support/node.ts';
import { said } from '../support/results.ts';
import { suiteScope } from '../support/scope.ts';
import { wat } from '../support/wat.ts';

const JOBS = '/api/v1/orchestrator/jobs';
const MISSING_CID = 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi';
const BODY_BYTES = 100_000;
/** A job that cannot run is told so at once. */
const AT_ONCE_MS = 5_000;

const dockerHost = process.env['BACALHAU_TEST_DOCKER_HOST'] ?? '';
const scope = suiteScope();
const docker: TestDocker | undefined = testDocker();
const node: TestNode = await startTestNode(scope, {
  env: docker === undefined ? {} : { DOCKER_HOST: dockerHost },
  flags: ['--config', `Limits.body=${BODY_BYTES}`, '--limit-job-memory', '1Gb'],
});

async function put(body: unknown, contentType = 'application/json'): Promise<ApiReply> {
  const response = await fetch(`${node.apiUrl}${JOBS}`, {
    method: 'PUT',
    headers: { 'content-type': contentType },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, headers: {}, body: JSON.parse(text) as unknown };
}

interface Envelope {
  readonly Status: number;
  readonly Message: string;
  readonly Code: string;
  readonly Component: string;
}

/** The error envelope of a refusal. */
async function refusal(body: unknown, status: number, contentType?: string): Promise<string> {
  const reply = await put(body, contentType);
  const { Status, Message, Code } = reply.body as Envelope;
  assert.equal(reply.status, status, JSON.stringify(reply.body));
  assert.equal(Status, status);
  assert.ok(Code !== '', 'it has a code');
  return Message;
}

/** How a job that was taken ended, and its history as one text. */
async function failure(job: Wire, timeoutMs = AT_ONCE_MS): Promise<{ message: string; history: string }> {
  const id = await node.submit(job);
  const end = await node.waitForJob(id, timeoutMs);
  assert.equal(end.state, 'Failed', JSON.stringify(await node.history(id)));
  return { message: end.message, history: (await node.history(id)).map((row) => row.message).join('\n') };
}

function withTask(job: Wire, more: Wire): Wire {
  const [task] = job['Tasks'] as Wire[];
  return { ...job, Tasks: [{ ...task, ...more }] };
}

async function stillWorks(): Promise<void> {
  const id = await node.submit(wasmJob(await helloModule()));
  assert.equal((await node.waitForJob(id)).state, 'Completed');
  assert.equal((await node.executions(id))[0]?.stdout, 'hello\n');
}

describe('bodies that are no job', () => {
  it('a malformed spec: every fault at once, each with its path', async () => {
    const message = await refusal(
      {
        Job: {
          Name: 'bad name!',
          Type: 'btach',
          Count: -1,
          Priority: 'high',
          Labels: { ok: 1 },
          Tasks: [
            {
              Name: '',
              Engine: { Type: 'docker', Params: { Parameters: 'echo' } },
              InputSources: [{ Source: { Type: 'ipfs', Params: {} }, Target: '' }],
              ResultPaths: [{ Name: '../up', Path: 'relative' }],
              Resources: { CPU: 'lots', Memory: '1XB' },
              Network: { Type: 'Carrier pigeon' },
              Timeouts: { ExecutionTimeout: -5 },
            },
          ],
        },
      },
      400,
    );
    for (const path of [
      'Job.Type',
      'Job.Count',
      'Job.Priority',
      'Job.Labels',
      'Job.Tasks[0].Name',
      'Job.Tasks[0].Engine.Params.Image',
      'Job.Tasks[0].Engine.Params.Parameters',
      'Job.Tasks[0].InputSources[0].Source.Params.CID',
      'Job.Tasks[0].InputSources[0].Target',
      'Job.Tasks[0].ResultPaths[0].Path',
      'Job.Tasks[0].Resources.CPU',
      'Job.Tasks[0].Resources.Memory',
      'Job.Tasks[0].Network.Type',
      'Job.Tasks[0].Timeouts.ExecutionTimeout',
    ]) {
      assert.ok(message.includes(path), `nothing about ${path} in\n${message}`);
    }
  });

  const deep = `${'{"Job":'.repeat(5000)}1${'}'.repeat(5000)}`;
  const deepYaml = `Job: ${'['.repeat(5000)}${']'.repeat(5000)}`;
  const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]', ...'bcdefghi'].map((name, index, all) =>
    index === 0 ? name : `${name}: &${name} [${`*${index === 1 ? 'a' : all[index - 1]},`.repeat(9)}]`,
  );
  for (const [what, body, type, pattern] of [
    ['garbage', 'Lorem ipsum {', 'application/json', /not JSON/],
    ['JSON that is cut off', '{"Job": {"Type": "batch",', 'application/json', /not JSON/],
    ['YAML with a wrong indent', 'Job:\n  a: 1\n b: 2\n', 'application/yaml', /not YAML/],
    ['bytes that are no text', '\u0000\u0001\u0002', 'application/octet-stream', /malformed body|empty/],
    ['a list', '[1, 2]', 'application/json', /expected an object/],
    ['a text', '"job"', 'application/json', /expected an object/],
    ['nothing', '', 'application/json', /empty/],
    ['null', 'null', 'application/json', /empty/],
    ['no job in it', '{"Job": null}', 'application/json', /empty/],
    ['a job that is a number', '{"Job": 7}', 'application/json', /Job: expected an object, got a number/],
    ['JSON nested 5000 deep', deep, 'application/json', /nested|deep|Job/],
    ['YAML nested 5000 deep', deepYaml, 'application/yaml', /nested|deep|not YAML|Job/],
    ['YAML that aliases blow up', `${bomb.join('\n')}\nJob: *i\n`, 'application/yaml', /alias/i],
    [
      'a prototype',
      '{"__proto__": {"Job": {}}, "Job": {"__proto__": {"Type": "batch"}}}',
      'application/json',
      /Job/,
    ],
  ] as const) {
    it(`${what} is refused with what is wrong`, async () => {
      const reply = await put(body, type);
      const { Message } = reply.body as Envelope;
      assert.ok([400, 413].includes(reply.status), JSON.stringify(reply.body));
      assert.match(Message, pattern);
      assert.ok(Message.length < 2000, 'the body is not repeated');
    });
  }

  it('a body over the limit is refused with 413 and the limit', async () => {
    const job = mockJob({ Note: 'x'.repeat(BODY_BYTES) });
    assert.match(await refusal({ Job: job }, 413), new RegExp(String(BODY_BYTES)));
    const run = await node.cli(['job', 'run', '-'], { stdin: JSON.stringify(job) });
    assert.equal(run.code, 1);
    assert.match(run.stderr, /larger than the limit of 100000 bytes/, said(run));
  });

  it('unknown paths and methods have an answer too', async () => {
    for (const [method, path, status] of [
      ['GET', '/api/v1/orchestrator/nothing', 404],
      ['GET', `${JOBS}/j-00000000-0000-0000-0000-000000000000`, 404],
      ['GET', `${JOBS}/..%2f..%2fetc%2fpasswd`, 404],
      ['PATCH', JOBS, 405],
      ['DELETE', `${JOBS}/j-00000000-0000-0000-0000-000000000000`, 404],
      ['GET', '/ipfs/no-cid.tar.gz', 400],
      ['GET', '/results/..%2f..%2fconfig.yaml', 404],
    ] as const) {
      const reply = await node.api(method, path);
      assert.equal(reply.status, status, `${method} ${path}: ${JSON.stringify(reply.body)}`);
      assert.ok((reply.body as Envelope).Message !== '', `${method} ${path}`);
    }
  });

  it('and the node runs jobs after all that', stillWorks);
});

describe('jobs that cannot run', () => {
  // The node waits some seconds for a first peer: the other tests go on meanwhile.
  let ofNobody: ReturnType<typeof failure>;
  before(() => {
    const source = { Type: 'ipfs', Params: { CID: MISSING_CID } };
    const input = { Source: source, Alias: '', Target: '/data' };
    ofNobody = failure(withTask(mockJob(), { InputSources: [input] }), 30_000);
    ofNobody.catch(() => undefined);
  });

  it('an unknown engine', async () => {
    const { message, history } = await failure({
      Type: 'batch',
      Tasks: [{ Name: 'main', Engine: { Type: 'pigeon', Params: { Speed: 3 } } }],
    });
    assert.match(message, /does not support pigeon/);
    assert.match(history, /does not support pigeon/);
  });

  it('an unknown publisher, an unknown kind of input', async () => {
    const hello = wasmJob(await helloModule());
    assert.match((await failure(withTask(hello, { Publisher: { Type: 'pigeon' } }))).message, /pigeon/);
    const inputs = [{ Source: { Type: 'floppy', Params: {} }, Alias: '', Target: '/data' }];
    assert.match((await failure(withTask(mockJob(), { InputSources: inputs }))).message, /floppy/);
  });

  it('more than a single job may have', async () => {
    const { message } = await failure(mockJob({}, { resources: { Memory: '2Gb' } }));
    assert.match(
      message,
      /requires .*Memory: 2\.0 GB.* more than the .*Memory: 1\.0 GB.* that one job may have/,
    );
  });

  it('a WASM module that is none, lacks its entry, or traps', async () => {
    const { message } = await failure(wasmJob(Buffer.from('not a module')));
    assert.match(message, /main/);
    const empty = await failure(wasmJob(await wat('(module)')));
    assert.match(empty.message, /exports no function _start/);
    const absent = { Engine: { Type: 'wasm', Params: { EntryModule: 'other.wasm' } } };
    const reason = await refusal({ Job: withTask(wasmJob(await helloModule()), absent) }, 400);
    assert.match(reason, /EntryModule: no input source has the target "other\.wasm"/);

    const trap = await wat('(module (memory (export "memory") 1) (func (export "_start") unreachable))');
    const id = await node.submit(wasmJob(trap));
    const end = await node.waitForJob(id);
    const [execution] = await node.executions(id);
    assert.ok(end.state === 'Failed' || execution?.exitCode === 1, `${end.state} ${end.message}`);
  });

  it('a missing image, a registry that is not there, a command that does not exist', async (t) => {
    if (docker === undefined) return t.skip('no Docker Engine for tests');
    const { registry, image } = docker;
    if (registry !== undefined) {
      const missing = await failure(dockerJob(`${registry}/no-such-image:1`, ['true']));
      assert.match(missing.message, /no-such-image/);
      assert.match(missing.message, /not found|manifest unknown|does not exist|no such/i);
    }
    const nowhere = await failure(dockerJob('127.0.0.1:1/image:1', ['true']), 20_000);
    assert.match(nowhere.message, /127\.0\.0\.1:1/);
    const command = await failure(dockerJob(image, ['no-such-command', 'x']));
    assert.match(command.message, /no-such-command/);
    assert.match(command.message, /cannot be run|not found/);
    const invalid = await node.api('PUT', JOBS, { Job: dockerJob('Not An Image', ['true']) });
    const said = JSON.stringify(invalid.body);
    if (invalid.status === 200) {
      const id = String((invalid.body as Wire)['JobID']);
      const end = await node.waitForJob(id, AT_ONCE_MS);
      assert.equal(end.state, 'Failed');
      assert.match(end.message, /Not An Image/);
    } else assert.match(said, /Not An Image|Image/);
    const left = await docker.docker.listContainers({
      all: true,
      filters: { label: [`bacalhau.org/node=${node.nodeId}`] },
    });
    assert.deepEqual(left, [], 'no container is left');
  });

  it('an IPFS input that nobody has', async () => {
    const { message } = await ofNobody;
    assert.match(message, new RegExp(MISSING_CID));
    assert.match(message, /no peer/);
    const nonsense = withTask(mockJob(), {
      InputSources: [{ Source: { Type: 'ipfs', Params: { CID: 'no-cid' } }, Alias: '', Target: '/data' }],
    });
    assert.match((await failure(nonsense)).message, /"no-cid" is no CID/);
  });

  it('and the node runs jobs after all that', stillWorks);
});

describe('command lines that cannot be', () => {
  it('say what is wrong and exit with 1', async (t) => {
    const folder = await temporaryFolder(t);
    await writeFile(join(folder, 'bad.yaml'), 'Job: [unclosed');
    await writeFile(join(folder, 'typo.yaml'), 'Nmae: x\nType: batch\nTasks: []\n');
    await writeFile(join(folder, 'text.wasm'), 'not a module');
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [['job', 'run', join(folder, 'absent.yaml')], /cannot read .*absent\.yaml/],
      [['job', 'run', join(folder, 'bad.yaml')], /neither YAML nor JSON/],
      [['job', 'run', join(folder, 'typo.yaml')], /unknown key "Nmae"; did you mean "Name"/],
      [['wasm', 'run', join(folder, 'text.wasm')], /not a WebAssembly module/],
      [['wasm', 'run', join(folder, 'absent.wasm')], /absent\.wasm/],
      [['docker', 'run', '--cpu', 'lots', 'busybox'], /lots/],
      [['docker', 'run', '--input', 'gopher://x', 'busybox'], /gopher/],
      [['job', 'describe', 'j-nothing'], /not found/i],
      [['job', 'get', 'nothing'], /not found/i],
      [['job', 'stop', 'nothing'], /not found/i],
      [['job', 'lst'], /unknown command|did you mean/i],
      [['job', 'list', '--limt', '3'], /unknown option '--limt'/],
    ];
    const runs = await Promise.all(cases.map(([args]) => node.cli(args)));
    for (const [index, [args, pattern]] of cases.entries()) {
      const run = runs[index];
      assert.ok(run !== undefined);
      assert.equal(run.code, 1, `${args.join(' ')}: ${said(run)}`);
      assert.match(run.stderr, pattern, args.join(' '));
      assert.doesNotMatch(run.stderr, /\n\s+at .*\.[jt]s:\d/, `no stack: ${said(run)}`);
    }
  });
});
