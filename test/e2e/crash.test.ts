import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { computeStateCodes } from '../../src/core/states.ts';
import { testDocker } from '../support/docker.ts';
import { temporaryFolder } from '../support/folders.ts';
import { dockerJob, helloModule, mockJob, sleepModule, wasmJob } from '../support/jobs.ts';
import { startRefused, startTestNode, type TestNode, type Wire } from '../support/node.ts';
import { containersOfNode, localOf, untilIdle, untilLocal } from '../support/node-facts.ts';
import { labelled } from '../support/prometheus.ts';
import { stallingKubo } from '../support/stalling.ts';

const { Completed } = computeStateCodes;
const ROUNDS = 5;
const SUBMITTERS = 12;
/** Both roles keep what they acknowledged, whatever the moment. */
const KILL_AFTER_MS = [50, 900] as const;

/** The job is completed, by one run that counts, and said so once. */
async function assertCompletedOnce(node: TestNode, id: string): Promise<void> {
  const { state, message } = await node.waitForJob(id, 60_000);
  assert.equal(state, 'Completed', `${id}: ${message}`);
  const [executions, history] = await Promise.all([node.executions(id), node.history(id)]);
  const completed = executions.filter((execution) => execution.state === Completed);
  assert.equal(completed.length, 1, `${id}: ${JSON.stringify(executions)}`);
  const ends = history.filter((row) => row.type === 'JobLevel' && row.message === 'Completed');
  assert.equal(ends.length, 1, `${id}: ${JSON.stringify(history)}`);
}

test('kill -9 with jobs in every state: each ends, once', { timeout: 120_000 }, async (t) => {
  const docker = testDocker();
  const kubo = await stallingKubo(t);
  const node = await startTestNode(t, {
    flags: ['--ipfs-connect', `http://${kubo.address}`, '--limit-total-cpu', '1'],
    env: {
      BACALHAU_LIMITS_ADMITQUEUE: '8',
      ...(docker === undefined ? {} : { DOCKER_HOST: docker.dockerHost }),
    },
  });
  const sleep = await sleepModule(1500);
  const publishing = await Promise.all([
    node.submit(mockJob({ Stdout: 'x' }, { publisher: 'ipfs' })),
    node.submit(wasmJob(await helloModule(), { publisher: 'ipfs' })),
  ]);
  for (const id of publishing) await untilLocal(node, id, 'Publishing', 'publish');
  const running = await Promise.all([
    node.submit(mockJob({ Duration: '1500ms', Stdout: 'mock\n' })),
    node.submit(wasmJob(sleep, { publisher: 'local' })),
    ...(docker === undefined
      ? []
      : [node.submit(dockerJob(docker.image, ['sh', '-c', 'sleep 2; echo docker']))]),
  ]);
  for (const id of running) await untilLocal(node, id, 'Running', 'execute');
  // All of the machine: they wait until the others have ended.
  const large = { resources: { CPU: '1', Memory: '4mb', Disk: '1mb' } };
  const hello = await helloModule();
  const big = (index: number): Wire => (index % 2 === 0 ? mockJob({}, large) : wasmJob(hello, large));
  const waiting = await Promise.all(Array.from({ length: 14 }, (_, index) => node.submit(big(index))));
  const states = await node.waitUntil(async () => {
    const found = await Promise.all(
      waiting.map(async (id) => {
        const { state } = await node.jobState(id);
        return state === 'Queued' ? 'waiting at the requester' : (await localOf(node, id))?.stage;
      }),
    );
    const queued = found.filter((stage) => stage === 'admit').length;
    const blocked = found.filter((stage) => stage === 'waiting at the requester').length;
    return queued > 0 && blocked > 0 && queued + blocked === found.length ? { queued, blocked } : undefined;
  }, 'some wait for capacity at the node, and some at the requester');
  t.diagnostic(
    `killed with ${publishing.length} publishing, ${running.length} running, ${states.queued} queued, ${states.blocked} waiting`,
  );

  await node.kill9();
  if (docker !== undefined) assert.equal((await containersOfNode(docker.docker, node.nodeId)).length, 1);
  kubo.release();
  await node.restart();
  for (const id of [...publishing, ...running, ...waiting]) await assertCompletedOnce(node, id);
  for (const id of publishing) assert.equal((await node.executions(id))[0]?.published, 'ipfs');
  const outputs = await Promise.all(
    running.map(async (id) => (await node.executions(id)).map(({ stdout }) => stdout)),
  );
  assert.deepEqual(outputs.flat(), ['mock\n', 'slept\n', ...(docker === undefined ? [] : ['docker\n'])]);
  await untilIdle(node);
  if (docker !== undefined) assert.deepEqual(await containersOfNode(docker.docker, node.nodeId), []);
  assert.match((await node.cli(['node', 'executions'])).stdout, /Completed/i);
});

test('kill -9 at random moments under submissions: what was acknowledged is completed', {
  timeout: 180_000,
}, async (t) => {
  const docker = testDocker();
  const node = await startTestNode(
    t,
    docker === undefined ? {} : { env: { DOCKER_HOST: docker.dockerHost } },
  );
  const hello = await helloModule();
  const kinds = [
    (): Wire =>
      mockJob({ Duration: `${Math.floor(Math.random() * 30)}ms`, Stdout: 'x' }, { publisher: 'local' }),
    (): Wire => wasmJob(hello, { publisher: 'local' }),
    (): Wire => mockJob(),
    (): Wire => wasmJob(hello),
  ];
  const acknowledged: string[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    const before = acknowledged.length;
    let killed = false;
    const submit = async (index: number): Promise<void> => {
      for (let turn = index; !killed; turn += 1) {
        const make = kinds[turn % kinds.length];
        // A connection that breaks takes its answer with it: nothing was acknowledged.
        const id = make === undefined ? undefined : await node.submit(make()).catch(() => undefined);
        if (id !== undefined) acknowledged.push(id);
      }
    };
    const submitters = Array.from({ length: SUBMITTERS }, (_, index) => submit(index));
    if (docker !== undefined) {
      acknowledged.push(await node.submit(dockerJob(docker.image, ['sleep', '0.3'], { publisher: 'local' })));
    }
    await node.waitUntil(() => acknowledged.length > before, 'a job is acknowledged');
    const [least, most] = KILL_AFTER_MS;
    const afterMs = least + Math.random() * (most - least);
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    killed = true;
    await node.kill9();
    await Promise.all(submitters);
    await node.restart();
    t.diagnostic(
      `round ${round}: killed after ${afterMs.toFixed(0)} ms, ${acknowledged.length - before} acknowledged`,
    );
  }
  await node.waitUntil(
    async () =>
      labelled(await node.metrics(), 'bacalhau_jobs').every(
        ({ labels, value }) =>
          value === 0 || !['Pending', 'Queued', 'Running'].includes(labels['state'] ?? ''),
      ),
    'every job has ended, acknowledged or not',
    60_000,
  );
  await Promise.all(acknowledged.map((id) => assertCompletedOnce(node, id)));
  await untilIdle(node);
  const archives = await readdir(join(node.dataDir, 'results'));
  assert.deepEqual(
    archives.filter((name) => !/^e-[^.]+\.tar\.gz$/.test(name)),
    [],
  );
  if (docker !== undefined) assert.deepEqual(await containersOfNode(docker.docker, node.nodeId), []);
});

test('stores of type memory: the state is gone, and the log said that it would be', {
  timeout: 60_000,
}, async (t) => {
  const flags = ['--compute-execution-store-type', 'memory', '--requester-job-store-type', 'memory'];
  const node = await startTestNode(t, { flags });
  assert.match(node.output.stderr, /requester.*memory.*lost/);
  assert.match(node.output.stderr, /compute.*memory.*lost/);
  const id = await node.submit(mockJob());
  assert.equal((await node.waitForJob(id)).state, 'Completed');
  await node.kill9();
  await node.restart();
  assert.equal((await node.api('GET', `/api/v1/orchestrator/jobs/${id}`)).status, 404);
  const again = await node.submit(mockJob());
  assert.equal((await node.waitForJob(again)).state, 'Completed');
  assert.deepEqual(
    (await readdir(node.dataDir, { recursive: true })).filter((name) => name.endsWith('.db')),
    [],
  );
});

test('store paths of one’s own, by flag and by environment', { timeout: 60_000 }, async (t) => {
  const folder = await temporaryFolder(t);
  const compute = join(folder, 'here', 'my-executions.lmdb');
  const requester = join(folder, 'there', 'my-jobs.lmdb');
  const node = await startTestNode(t, {
    flags: ['--compute-execution-store-path', compute],
    env: { BACALHAU_JOB_STORE_PATH: requester },
  });
  const id = await node.submit(mockJob());
  await node.waitForJob(id);
  await node.kill9();
  assert.ok((await readFile(compute)).length > 0);
  assert.ok((await readFile(requester)).length > 0);
  await node.restart({
    flags: ['--requester-job-store-path', requester],
    env: { BACALHAU_COMPUTE_STORE_PATH: compute },
  });
  assert.equal((await node.jobState(id)).state, 'Completed');
  assert.equal((await localOf(node, id))?.state, 'Completed');
});

for (const [what, content] of [
  ['text', Buffer.from('somebody else’s notes\n'.repeat(1000))],
  ['a bolt database', boltDatabase()],
] as const) {
  test(`a foreign file where a store should be: ${what}`, { timeout: 60_000 }, async (t) => {
    const path = join(await temporaryFolder(t), 'mine.db');
    await writeFile(path, content);
    const digest = async (): Promise<string> =>
      createHash('sha256')
        .update(await readFile(path))
        .digest('hex');
    const before = await digest();
    for (const flag of ['--compute-execution-store-path', '--requester-job-store-path']) {
      const { code, stderr } = await startRefused(t, { flags: [flag, path] });
      assert.equal(code, 1);
      assert.ok(stderr.includes(path), stderr);
      assert.match(stderr, what === 'text' ? /not a store of this node/ : /bolt/);
      assert.equal(await digest(), before);
    }
  });
}

test('a second node on the same data directory, store or port: the error names the holder', {
  timeout: 60_000,
}, async (t) => {
  const store = join(await temporaryFolder(t), 'shared.db');
  const node = await startTestNode(t, { flags: ['--compute-execution-store-path', store] });
  const refused = async (options: Parameters<typeof startRefused>[1], text: RegExp): Promise<void> => {
    const { code, stderr } = await startRefused(t, options);
    assert.equal(code, 1, stderr);
    assert.match(stderr, text);
    assert.ok(stderr.includes(String(node.pid)), `no pid ${node.pid} in: ${stderr}`);
  };
  await refused({ dataDir: node.dataDir }, /data directory/);
  await refused({ flags: ['--compute-execution-store-path', store] }, /store .*shared\.db is in use/);
  await refused({ flags: ['--api-port', new URL(node.apiUrl).port] }, /cannot serve the API/);
  const swarmPort = /\/tcp\/(\d+)/.exec(node.swarmAddresses[0] ?? '')?.[1] ?? '';
  await refused({ flags: ['--port', swarmPort] }, /port|tcp/);
  await assertRuns(node, t);
});

for (const role of ['compute', 'requester'] as const) {
  test(`a store in memory for the ${role} alone: what the other role acknowledged still ends`, {
    timeout: 60_000,
  }, async (t) => {
    const docker = testDocker();
    const flag = role === 'compute' ? '--compute-execution-store-type' : '--requester-job-store-type';
    const node = await startTestNode(t, {
      flags: [flag, 'memory'],
      ...(docker === undefined ? {} : { env: { DOCKER_HOST: docker.dockerHost } }),
    });
    const ids = [
      await node.submit(mockJob({ Duration: '1s' })),
      ...(docker === undefined ? [] : [await node.submit(dockerJob(docker.image, ['sleep', '1']))]),
    ];
    for (const id of ids) await untilLocal(node, id, 'Running', 'execute');
    await node.kill9();
    await node.restart();
    for (const id of ids) {
      if (role === 'compute') {
        assert.equal((await node.waitForJob(id)).state, 'Completed');
      } else {
        assert.equal((await node.api('GET', `/api/v1/orchestrator/jobs/${id}`)).status, 404);
        await untilLocal(node, id, 'Completed');
      }
    }
    await untilIdle(node);
    if (docker !== undefined) assert.deepEqual(await containersOfNode(docker.docker, node.nodeId), []);
  });
}

async function assertRuns(node: TestNode, t: TestContext): Promise<void> {
  const id = await node.submit(mockJob());
  assert.equal((await node.waitForJob(id)).state, 'Completed', `${t.name}: the first node goes on`);
}

/** The first pages of a bolt database: page header, then magic and version. */
function boltDatabase(): Buffer {
  const content = Buffer.alloc(16_384);
  content.writeUInt32LE(0xed0cdaed, 16);
  content.writeUInt32LE(2, 20);
  content.writeUInt32LE(4096, 24);
  return content;
}
