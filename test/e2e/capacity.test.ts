import assert from 'node:assert/strict';
import { availableParallelism, totalmem } from 'node:os';
import { type TestContext, test } from 'node:test';
import { inCgroup } from '../support/capacity/cgroup.ts';
import { fakeNvidia, uuidOf } from '../support/capacity/nvidia.ts';
import { temporaryFolder } from '../support/folders.ts';
import { mockJob } from '../support/jobs.ts';
import { startRefused, startTestNode, type TestNode, type Wire } from '../support/node.ts';
import { sample } from '../support/prometheus.ts';

const CORES = availableParallelism();
const ONE_CPU = { CPU: '1', Memory: '10mb', Disk: '1mb' };

async function used(node: TestNode, resource: string, account = 'used'): Promise<number> {
  return sample(await node.metrics(), 'bacalhau_capacity', { account, resource });
}

/** What the node says of itself over REST. */
async function compute(node: TestNode): Promise<Wire> {
  const { body } = await node.api('GET', '/api/v1/orchestrator/nodes');
  const [first] = (body as { Nodes: { Info: { ComputeNodeInfo: Wire } }[] }).Nodes;
  assert.ok(first !== undefined, JSON.stringify(body));
  return first.Info.ComputeNodeInfo;
}

/** Ids in the order in which their jobs' code started, by their outputs' time. */
async function startedInOrder(node: TestNode, jobs: ReadonlyMap<string, string>): Promise<string[]> {
  const starts: [string, number][] = [];
  for (const [name, id] of jobs) {
    const { body } = await node.api('GET', `/api/v1/orchestrator/jobs/${id}/history?limit=1000`);
    const rows = (body as { Items: { Time: string; Event: { Topic: string; Message: string } }[] }).Items;
    const running = rows.find(({ Event }) => Event.Topic === 'Execution' && Event.Message === 'Running');
    assert.ok(running !== undefined, `${name} ran: ${JSON.stringify(rows)}`);
    starts.push([name, Date.parse(running.Time)]);
  }
  return starts.sort(([, a], [, b]) => a - b).map(([name]) => name);
}

function skip(t: TestContext, reason: string): void {
  console.log(`SKIPPED: ${reason}`);
  t.skip(reason);
}

test('check 1: a request above the limit of one job is refused; four jobs of one CPU run two at a time', async (t) => {
  if (CORES < 2) return skip(t, 'this machine has one core');
  const node = await startTestNode(t, { flags: ['--limit-job-cpu', '1', '--limit-total-cpu', '2'] });
  const large = await node.submit(mockJob({}, { resources: { ...ONE_CPU, CPU: '1500m' } }));
  assert.equal((await node.waitForJob(large)).state, 'Failed');
  const told = (await node.history(large)).map(({ message }) => message).join('\n');
  // The requester knows the limit and tells it; a node that is asked all the same says it in its own words.
  assert.match(told, /CPU: 1\.500000.* more than the \{CPU: 1\.000000.* one job may have/);
  const ids = await Promise.all(
    Array.from({ length: 4 }, () => node.submit(mockJob({ Duration: '400ms' }, { resources: ONE_CPU }))),
  );
  let most = 0;
  let done = false;
  const watching = (async () => {
    while (!done) most = Math.max(most, await used(node, 'cpu'));
  })();
  for (const id of ids) assert.equal((await node.waitForJob(id)).state, 'Completed');
  done = true;
  await watching;
  assert.equal(most, 2, 'two at a time, never more');
  assert.equal(await used(node, 'cpu'), 0);
});

test('check 3: all of the machine may be offered, more only by order', async (t) => {
  const over = String(CORES + 1);
  const refused = await startRefused(t, { flags: ['--limit-total-cpu', over] });
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr + refused.stdout, /--limit-total-cpu: .*--ignore-physical-resource-limits/);
  for (const [flags, env, cpu] of [
    [['--limit-total-cpu', String(CORES)], {}, CORES],
    [['--limit-total-cpu', over, '--ignore-physical-resource-limits'], {}, CORES + 1],
    [['--limit-total-cpu', over], { BACALHAU_CAPACITY_MANAGER_OVER_COMMIT: 'true' }, CORES + 1],
  ] as const) {
    const node = await startTestNode(t, { flags, env });
    assert.equal(await used(node, 'cpu', 'total'), cpu);
    await node.stop();
  }
});

test('check 10: in order of arrival within a priority, and a higher one overtakes', async (t) => {
  const node = await startTestNode(t, { flags: ['--limit-total-cpu', '1'] });
  const jobs = new Map<string, string>();
  const add = async (name: string, priority: number, cpu: string): Promise<void> => {
    const resources = { CPU: cpu, Memory: '10mb', Disk: '1mb' };
    jobs.set(name, await node.submit(mockJob({ Duration: '150ms' }, { priority, resources })));
  };
  const first = await node.submit(mockJob({ Duration: '1500ms' }, { resources: ONE_CPU }));
  await node.waitUntil(async () => (await used(node, 'cpu')) === 1, 'the first one holds the machine');
  for (const name of ['a', 'b', 'c']) {
    await add(name, 0, '1');
    await node.waitUntil(
      async () => (await compute(node))['EnqueuedExecutions'] === jobs.size,
      `${name} waits`,
    );
  }
  await add('urgent', 5, '1');
  await node.waitUntil(async () => (await compute(node))['EnqueuedExecutions'] === 4, 'the urgent one waits');
  assert.deepEqual((await compute(node))['QueueCapacity'], { CPU: 4, Memory: 40_000_000, Disk: 4_000_000 });
  const waiting = (await node.api('GET', `/api/v1/orchestrator/jobs/${jobs.get('c')}/executions`)).body as {
    Items: { ComputeState: { Details?: Record<string, string> } }[];
  };
  assert.deepEqual(waiting.Items[0]?.ComputeState.Details, { StartsNow: 'false', Ahead: '2' });
  await node.waitForJob(first);
  for (const id of jobs.values()) assert.equal((await node.waitForJob(id)).state, 'Completed');
  assert.deepEqual(await startedInOrder(node, jobs), ['urgent', 'a', 'b', 'c']);
  await node.waitUntil(async () => {
    const { EnqueuedExecutions, RunningExecutions, QueueCapacity } = await compute(node);
    return EnqueuedExecutions === 0 && RunningExecutions === 0 && JSON.stringify(QueueCapacity) === '{}';
  }, 'the node tells that it is empty');
});

test('what waits holds its promise over kill -9, before the first bid', async (t) => {
  const node = await startTestNode(t, { flags: ['--limit-total-cpu', '1'] });
  const ids = [await node.submit(mockJob({ Duration: '2s' }, { resources: ONE_CPU }))];
  await node.waitUntil(async () => (await used(node, 'cpu')) === 1, 'the first one runs');
  for (let index = 0; index < 3; index += 1) {
    ids.push(await node.submit(mockJob({ Duration: '50ms' }, { resources: ONE_CPU })));
  }
  await node.waitUntil(async () => (await used(node, 'cpu', 'promised')) === 3, 'three wait');
  await node.kill9();
  await node.restart();
  const sum = (await used(node, 'cpu', 'promised')) + (await used(node, 'cpu'));
  assert.ok(sum >= 3, `promised and used are ${sum} when the API opens`);
  for (const id of ids) assert.equal((await node.waitForJob(id)).state, 'Completed');
  assert.equal((await used(node, 'cpu', 'promised')) + (await used(node, 'cpu')), 0);
});

test('check 17: two jobs of one GPU on a node with two have different ones, which are used again', async (t) => {
  const env = await fakeNvidia(await temporaryFolder(t), 2);
  const node = await startTestNode(t, { env });
  assert.equal(await used(node, 'gpu', 'total'), 2);
  const { MaxCapacity } = (await compute(node)) as { MaxCapacity: { GPU: number; GPUs: { Name: string }[] } };
  assert.deepEqual(
    [MaxCapacity.GPU, MaxCapacity.GPUs.map(({ Name }) => Name)],
    [2, ['Tesla T4', 'Tesla T4']],
  );
  const resources = { CPU: '10m', Memory: '4mb', Disk: '1mb', GPU: '1' };
  const ids: string[] = [];
  for (let index = 0; index < 4; index += 1) {
    ids.push(await node.submit(mockJob({ Duration: '400ms', PrintGpus: true }, { resources })));
  }
  let most = 0;
  await node.waitUntil(async () => {
    most = Math.max(most, await used(node, 'gpu'));
    return most === 2;
  }, 'two run at once');
  for (const id of ids) assert.equal((await node.waitForJob(id)).state, 'Completed');
  const given = await Promise.all(ids.map(async (id) => (await node.executions(id))[0]?.stdout ?? ''));
  const lines = [0, 1].map((index) => `GPU ${index} ${uuidOf(index)}\n`);
  assert.deepEqual(given.slice(0, 2).sort(), lines, 'the first two have different ones');
  assert.deepEqual(given.slice(2).sort(), lines, 'and so have the next two');
});

test('a node offers no GPU that is split or half understood, and says so', async (t) => {
  for (const machine of ['mig', 'broken'] as const) {
    const node = await startTestNode(t, { env: await fakeNvidia(await temporaryFolder(t), machine) });
    assert.equal(await used(node, 'gpu', 'total'), 0);
    assert.match(node.output.stderr, machine === 'mig' ? /a GPU is not offered/ : /no GPUs of this vendor/);
    await node.stop();
  }
});

test('blank totals in a control group of one CPU and 512 MiB', async (t) => {
  const memory = 512 * 1024 ** 2;
  const node = await inCgroup(t, { cpu: 1, memory }, () => startTestNode(t));
  if (node === undefined)
    return skip(t, 'control groups cannot be made here: it takes root and a writable /sys/fs/cgroup');
  assert.ok(CORES > 1 && totalmem() > memory, 'the machine itself has more');
  assert.equal(await used(node, 'cpu', 'total'), 0.8);
  const total = await used(node, 'memory', 'total');
  assert.ok(total <= 0.8 * memory && total > 0.8 * memory - 1024 ** 2, `${total} bytes`);
  const id = await node.submit(mockJob({}, { resources: {} }));
  assert.equal((await node.waitForJob(id)).state, 'Completed', 'defaults of a job fit');
});
