import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import { NO_DOCKER, testDocker } from '../support/docker.ts';
import { dockerJob, endlessModule, helloModule, mockJob, wasmJob } from '../support/jobs.ts';
import { startTestNode, type TestNode, type Wire } from '../support/node.ts';
import { containersOfNode, held, localOf, untilIdle, untilLocal } from '../support/node-facts.ts';
import { stallingHttp, stallingKubo } from '../support/stalling.ts';

/** Half of the machine below: two of them run at once. */
const HALF = { CPU: '500m', Memory: '4mb', Disk: '1mb' } as const;
const ALL = { CPU: '1', Memory: '4mb', Disk: '1mb' } as const;
/** Long enough that only a stop or a timeout ends it. */
const LONG = { Duration: '1h' } as const;

async function stopJob(node: TestNode, id: string): Promise<void> {
  const { status, body } = await node.api('DELETE', `/api/v1/orchestrator/jobs/${id}`, { reason: 'enough' });
  assert.equal(status, 200, JSON.stringify(body));
  assert.deepEqual(await node.jobState(id), { state: 'Stopped', message: 'enough' });
}

/** Stops the job and waits until nothing of it is left; its execution, if it had one, is cancelled. */
async function stopAndSee(node: TestNode, id: string): Promise<void> {
  const hadOne = (await localOf(node, id)) !== undefined;
  await stopJob(node, id);
  if (hadOne) {
    const { comment } = await untilLocal(node, id, 'Cancelled');
    assert.match(comment, /cancel|reject/i);
  }
  await untilIdle(node);
  assert.equal((await node.jobState(id)).state, 'Stopped');
}

test('job stop in every state', { timeout: 120_000 }, async (t) => {
  const docker = testDocker();
  const kubo = await stallingKubo(t);
  const slow = await stallingHttp(t);
  const node = await startTestNode(t, {
    flags: [
      '--ipfs-connect',
      `http://${kubo.address}`,
      '--limit-total-cpu',
      '1',
      '--url-allow-list',
      '127.0.0.1',
    ],
    env: {
      BACALHAU_LIMITS_ADMITQUEUE: '2',
      ...(docker === undefined ? {} : { DOCKER_HOST: docker.dockerHost }),
    },
  });

  await t.test('waiting for room at the requester, and queued at the node', async () => {
    const running = await node.submit(mockJob(LONG, { resources: ALL }));
    await untilLocal(node, running, 'Running');
    const waiting = await Promise.all(
      Array.from({ length: 5 }, () => node.submit(mockJob({}, { resources: ALL }))),
    );
    const stages = await node.waitUntil(async () => {
      const found = await Promise.all(
        waiting.map(async (id) => ({
          id,
          state: (await node.jobState(id)).state,
          local: await localOf(node, id),
        })),
      );
      const queued = found.filter(({ local }) => local?.stage === 'admit');
      const blocked = found.filter(({ state, local }) => state === 'Queued' && local === undefined);
      return queued.length + blocked.length === waiting.length && queued.length > 0
        ? { queued, blocked }
        : undefined;
    }, 'some are queued at the node, the others wait for room');
    assert.ok(stages.blocked.length > 0);
    for (const { id } of [...stages.blocked, ...stages.queued]) await stopJob(node, id);
    for (const { id } of stages.queued) await untilLocal(node, id, 'Cancelled');
    assert.deepEqual((await held(node, 'promised'))['cpu'], 0);
    assert.equal((await held(node, 'used'))['cpu'], 1, 'the running one is not touched');
    await stopAndSee(node, running);
    for (const { id } of stages.blocked) {
      const executions = await node.executions(id);
      assert.ok(
        executions.every(({ message }) => !/Running|Completed/.test(message)),
        `${id} must never have run: ${JSON.stringify(executions)}`,
      );
    }
  });

  await t.test('preparing: an input that does not come', async () => {
    const job = mockJob({}, { resources: HALF });
    const [task] = job['Tasks'] as [Wire];
    const Source = { Type: 'urlDownload', Params: { URL: `http://${slow.address}/input` } };
    const id = await node.submit({ ...job, Tasks: [{ ...task, InputSources: [{ Source, Target: '/in' }] }] });
    await node.waitUntil(() => slow.waiting > 0, 'the input is being downloaded');
    await stopAndSee(node, id);
    await node.waitUntil(() => slow.waiting === 0, 'the download has been given up');
  });

  await t.test('running: mock, whose capacity is free when it has stopped, not before', async () => {
    const id = await node.submit(mockJob({ ...LONG, IgnoreKillFor: '2s' }, { resources: HALF }));
    await untilLocal(node, id, 'Running');
    await stopJob(node, id);
    assert.equal((await held(node, 'used'))['cpu'], 0.5, 'it still runs, so it still holds its capacity');
    assert.equal((await localOf(node, id))?.state, 'Running');
    await untilLocal(node, id, 'Cancelled');
    await untilIdle(node);
  });

  await t.test('running: an endless WASM loop', async () => {
    const id = await node.submit(wasmJob(await endlessModule(), { resources: HALF }));
    await untilLocal(node, id, 'Running');
    const other = await node.submit(wasmJob(await helloModule(), { resources: HALF }));
    assert.equal((await node.waitForJob(other)).state, 'Completed', 'it takes nothing else with it');
    await stopAndSee(node, id);
    const after = await node.submit(wasmJob(await helloModule(), { resources: HALF }));
    assert.equal((await node.waitForJob(after)).state, 'Completed');
  });

  await t.test('publishing', async () => {
    const id = await node.submit(mockJob({ Stdout: 'x' }, { publisher: 'ipfs', resources: HALF }));
    await untilLocal(node, id, 'Publishing', 'publish');
    await node.waitUntil(() => kubo.waiting > 0, 'the results are on their way');
    assert.equal((await held(node, 'used'))['cpu'], 0, 'publishing needs no CPU');
    await stopAndSee(node, id);
    await node.waitUntil(() => kubo.waiting === 0, 'the upload has been given up');
  });

  await t.test('by the command line; a second time it says that it is over', async () => {
    const id = await node.submit(mockJob(LONG, { resources: HALF }));
    await untilLocal(node, id, 'Running');
    const stopped = await node.cli(['job', 'stop', id]);
    assert.equal(stopped.code, 0, stopped.stderr);
    await untilLocal(node, id, 'Cancelled');
    const again = await node.cli(['job', 'stop', id]);
    assert.notEqual(again.code, 0);
    assert.match(again.stderr, /already in a terminal state/);
    await untilIdle(node);
  });

  await t.test('running: a container that ignores SIGTERM', async (t) => {
    if (docker === undefined) return t.skip(NO_DOCKER);
    const id = await node.submit(
      dockerJob(docker.image, ['sh', '-c', 'trap "" TERM; echo up; while true; do sleep 1; done'], {
        resources: HALF,
      }),
    );
    await untilLocal(node, id, 'Running');
    await stopJob(node, id);
    await node.waitUntil(async () => (await held(node, 'used'))['cpu'] === 0, 'its capacity is free');
    assert.deepEqual(
      await containersOfNode(docker.docker, node.nodeId, true),
      [],
      'and by then it did not run',
    );
    await untilLocal(node, id, 'Cancelled');
    await untilIdle(node);
    assert.deepEqual(await containersOfNode(docker.docker, node.nodeId), []);
  });

  await t.test('during an image pull that does not get on', async (t) => {
    if (docker === undefined) return t.skip(NO_DOCKER);
    const registry = await stallingHttp(t);
    const id = await node.submit(dockerJob(`${registry.address}/slow:1`, ['true'], { resources: HALF }));
    await node.waitUntil(() => registry.waiting > 0, 'Docker asks the registry');
    await stopAndSee(node, id);
  });
});

test('timeouts: the engine is stopped, then capacity is free, and the job says why', {
  timeout: 120_000,
}, async (t) => {
  const docker = testDocker();
  const node = await startTestNode(t, {
    flags: ['--limit-total-cpu', '1'],
    ...(docker === undefined ? {} : { env: { DOCKER_HOST: docker.dockerHost } }),
  });
  const timeouts = { ExecutionTimeout: 1 };
  const timedOut = async (id: string, why: RegExp): Promise<void> => {
    const { state, message } = await node.waitForJob(id);
    assert.equal(state, 'Failed');
    assert.match(message, why);
    const history = await node.history(id);
    assert.ok(
      history.some((row) => row.topic === 'Exec Timeout' && why.test(row.message)),
      JSON.stringify(history),
    );
    await untilIdle(node);
  };

  await t.test('WASM', async () => {
    const id = await node.submit(wasmJob(await endlessModule(), { timeouts }));
    await timedOut(id, /execution timed out: it took longer than 1s/);
    const described = await node.cli(['job', 'describe', id]);
    assert.match(described.stdout, /timed out: it took longer than 1s/);
  });

  await t.test('mock: capacity is held until it has stopped', async () => {
    const id = await node.submit(mockJob({ ...LONG, IgnoreKillFor: '2s' }, { timeouts, resources: ALL }));
    await untilLocal(node, id, 'Running');
    const next = await node.submit(mockJob({}, { resources: ALL }));
    await timedOut(id, /timed out/);
    assert.equal((await node.waitForJob(next)).state, 'Completed');
    const rows = [...(await node.history(id)), ...(await node.history(next))];
    assert.ok(rows.length > 0);
  });

  await t.test('Docker', async (t) => {
    if (docker === undefined) return t.skip(NO_DOCKER);
    const id = await node.submit(
      dockerJob(docker.image, ['sh', '-c', 'echo up; sleep 3600'], {
        timeouts,
        resources: ALL,
        publisher: 'local',
      }),
    );
    const next = await node.submit(mockJob({}, { resources: ALL }));
    assert.equal((await node.waitForJob(next)).state, 'Completed');
    assert.deepEqual(
      await containersOfNode(docker.docker, node.nodeId, true),
      [],
      'the next one ran without it',
    );
    await timedOut(id, /execution timed out: it took longer than 1s/);
    assert.deepEqual(await containersOfNode(docker.docker, node.nodeId), []);
    const [execution] = await node.executions(id);
    assert.equal(execution?.published, 'urlDownload', 'what it printed and wrote is published');
  });

  await t.test('waiting for capacity, and everything together', async () => {
    const running = await node.submit(mockJob(LONG, { resources: ALL, timeouts: { TotalTimeout: 4 } }));
    await untilLocal(node, running, 'Running');
    const waiting = await node.submit(mockJob({}, { resources: ALL, timeouts: { QueueTimeout: 1 } }));
    const { state, message } = await node.waitForJob(waiting);
    assert.equal(state, 'Failed');
    assert.match(message, /queue/i);
    const total = await node.waitForJob(running);
    assert.equal(total.state, 'Failed');
    // Both roles watch this clock; the first one is told.
    assert.match(total.message, /took longer than .*4s/);
    await untilIdle(node);
  });
});

/** Files that say "in use": none outlives a clean stop. */
async function assertClean(node: TestNode): Promise<void> {
  const left = (await readdir(node.dataDir, { recursive: true })).filter((name) =>
    /bacalhau\.(?:lock|run)|lock-owner|\.partial$/.test(name),
  );
  assert.deepEqual(left, []);
}

test('SIGTERM under load ends in 10 s with code 0, and all that was acknowledged goes on', {
  timeout: 120_000,
}, async (t) => {
  const node = await startTestNode(t);
  const hello = await helloModule();
  const endless = await node.submit(wasmJob(await endlessModule(), { timeouts: { ExecutionTimeout: 4 } }));
  await untilLocal(node, endless, 'Running');
  const acknowledged: string[] = [];
  let isOver = false;
  const submit = async (index: number): Promise<void> => {
    for (let turn = index; !isOver; turn += 1) {
      const job = turn % 2 === 0 ? mockJob({ Duration: '20ms' }, { publisher: 'local' }) : wasmJob(hello);
      const id = await node.submit(job).catch(() => undefined);
      if (id === undefined) return;
      acknowledged.push(id);
    }
  };
  const submitters = Array.from({ length: 16 }, (_, index) => submit(index));
  await node.waitUntil(() => acknowledged.length >= 200, '200 jobs are acknowledged');
  const { code, ms } = await node.stop();
  isOver = true;
  await Promise.all(submitters);
  t.diagnostic(`stopped after ${ms.toFixed(0)} ms with ${acknowledged.length} jobs acknowledged`);
  assert.equal(code, 0, node.output.stderr);
  assert.ok(ms < 10_000, `${ms.toFixed(0)} ms`);
  await assertClean(node);
  await node.restart();
  for (const id of acknowledged) {
    const { state, message } = await node.waitForJob(id, 60_000);
    assert.equal(state, 'Completed', message);
    assert.equal(
      (await node.history(id)).filter((row) => row.type === 'JobLevel' && row.message === 'Completed').length,
      1,
    );
  }
  assert.match((await node.waitForJob(endless)).message, /timed out/);
  await untilIdle(node);
  assert.equal((await node.stop()).code, 0);
  await assertClean(node);
});

test('SIGTERM while a container runs: it runs again after the restart, and never twice at once', {
  timeout: 60_000,
}, async (t: TestContext) => {
  const docker = testDocker(t);
  if (docker === undefined) return;
  const node = await startTestNode(t, { env: { DOCKER_HOST: docker.dockerHost } });
  const id = await node.submit(dockerJob(docker.image, ['sh', '-c', 'sleep 2; echo done']));
  await untilLocal(node, id, 'Running');
  const [first] = await containersOfNode(docker.docker, node.nodeId);
  assert.ok(first !== undefined);
  const { code, ms } = await node.stop();
  assert.equal(code, 0);
  assert.ok(ms < 10_000);
  assert.deepEqual(
    await containersOfNode(docker.docker, node.nodeId),
    [first],
    'ending the daemon ends no job',
  );
  await node.restart();
  let most = 0;
  await node.waitUntil(async () => {
    const found = await containersOfNode(docker.docker, node.nodeId);
    most = Math.max(most, found.length);
    assert.ok(!found.includes(first), 'the old container is gone before the API answers');
    return (await node.jobState(id)).state === 'Completed';
  }, 'the job is completed');
  assert.equal(most, 1);
  await untilIdle(node);
  assert.deepEqual(await containersOfNode(docker.docker, node.nodeId), []);
  const executions = await node.executions(id);
  assert.deepEqual(
    executions.map(({ stdout }) => stdout),
    ['done\n'],
  );
});
