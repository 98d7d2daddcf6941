import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { computeStateCodes } from '../../src/core/states.ts';
import { endlessModule, helloModule, mockJob, wasmJob } from '../support/jobs.ts';
import { startTestNode, type TestNode, type Wire } from '../support/node.ts';
import { anonymousMiB, childrenOf, descriptors } from '../support/process-facts.ts';
import { labelled, sample } from '../support/prometheus.ts';

const BOUND = 8;
const EACH = 1000;
const TOTAL = 2 * EACH;
/** The figure for the p99 of what the main loop is late by. */
const MOST_DELAY_MS = 20;
/** The sampling timer's own period, which every sample contains. */
const SAMPLING_MS = 10;
const WINDOWS = 3;
const WINDOW_MS = 2000;
/** Anonymous memory that a second round of the same load may add: V8's heaps need not have reached their size. */
const GROWTH_MIB = 96;

const QUEUES = ['INGEST', 'BID', 'ADMIT', 'EXECUTE', 'WASM', 'PUBLISH'] as const;
const bounds = Object.fromEntries(QUEUES.map((name) => [`BACALHAU_LIMITS_${name}QUEUE`, String(BOUND)]));

/** Submits all at once; a refused submission is repeated when it is told to. */
async function round(node: TestNode, jobs: readonly Wire[]): Promise<string[]> {
  const before = sample(await node.metrics(), 'bacalhau_jobs', { state: 'Completed' });
  const ids = await Promise.all(jobs.map((job) => node.submit(job)));
  await node.waitUntil(
    async () => sample(await node.metrics(), 'bacalhau_jobs', { state: 'Completed' }) >= before + jobs.length,
    `${jobs.length} more jobs are completed`,
    90_000,
  );
  return ids;
}

/** Waits until nothing is in motion and folders have been removed. */
async function settled(node: TestNode): Promise<void> {
  await node.waitUntil(async () => {
    const metrics = await node.metrics();
    const busy = ['bacalhau_stage_in_flight', 'bacalhau_stage_queue_depth'].some((name) =>
      labelled(metrics, name).some(({ value }) => value > 0),
    );
    const accounts = labelled(metrics, 'bacalhau_capacity').filter(
      ({ labels }) => labels['account'] !== 'total',
    );
    return (
      !busy &&
      accounts.every(({ value }) => value === 0) &&
      (await readdir(join(node.dataDir, 'executions'))).length === 0
    );
  }, 'nothing is in motion and no folder of an execution is left');
}

async function leastAnonymousMiB(node: TestNode): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let look = 0; look < 5; look += 1) {
    least = Math.min(least, await anonymousMiB(node.pid));
    // Rendering makes garbage, which gives the collector its occasion.
    for (let scrape = 0; scrape < 20; scrape += 1) await node.metrics();
  }
  return least;
}

test('1,000 mock and 1,000 WASM jobs at once through queues of 8', { timeout: 240_000 }, async (t) => {
  const node = await startTestNode(t, { env: bounds });
  const module = await helloModule();
  // Without files an execution would pass some of the stages.
  const published = { publisher: 'local' };
  const mixture = (count: number): Wire[] =>
    Array.from({ length: count }, (_, index) =>
      index % 2 === 0 ? mockJob({ Stdout: 'mock\n' }, published) : wasmJob(module, published),
    );
  // What is opened and loaded once is there afterwards.
  await round(node, mixture(40));
  await settled(node);
  const before = {
    metrics: await node.metrics(),
    descriptors: await descriptors(node.pid),
    children: await childrenOf(node.pid),
    temporary: await readdir(node.tmpDir),
  };

  const started = performance.now();
  const ids = await round(node, mixture(TOTAL));
  const seconds = (performance.now() - started) / 1000;
  await settled(node);
  const metrics = await node.metrics();
  const since = (name: string, labels: Record<string, string>): number =>
    sample(metrics, name, labels) - sample(before.metrics, name, labels);
  t.diagnostic(`${TOTAL} jobs in ${seconds.toFixed(1)} s: ${(TOTAL / seconds).toFixed(0)} jobs/s`);

  await t.test('every job is completed, once', async () => {
    assert.equal(new Set(ids).size, TOTAL);
    await Promise.all(
      ids.map(async (id) => {
        const [executions, history] = await Promise.all([node.executions(id), node.history(id)]);
        const completed = executions.filter(({ state }) => state === computeStateCodes.Completed);
        assert.equal(completed.length, 1, `${id}: ${JSON.stringify(executions)}`);
        const others = executions.filter(
          ({ state }) =>
            state !== computeStateCodes.Completed && state !== computeStateCodes.AskForBidRejected,
        );
        assert.deepEqual(others, [], `${id} has executions that were neither completed nor refused a bid`);
        const ends = (type: string, message: string): number =>
          history.filter((row) => row.type === type && row.message === message).length;
        assert.equal(ends('ExecutionLevel', 'Completed successfully'), 1, JSON.stringify(history));
        assert.equal(ends('JobLevel', 'Completed'), 1, JSON.stringify(history));
      }),
    );
    for (const state of ['Pending', 'Queued', 'Running', 'Failed', 'Stopped']) {
      assert.equal(sample(metrics, 'bacalhau_jobs', { state }), 0, state);
    }
  });

  await t.test('every execution went through every stage, off the main thread', () => {
    const out = (stage: string): number =>
      since('bacalhau_stage_items_out_total', { stage, outcome: 'advance' });
    assert.ok(out('ingest') >= TOTAL, `ingest: ${out('ingest')}`);
    assert.ok(out('bid') >= TOTAL, `bid: ${out('bid')}`);
    for (const stage of ['admit', 'execute', 'publish']) assert.equal(out(stage), TOTAL, stage);
    assert.equal(out('wasm'), EACH);
    for (const stage of ['ingest', 'bid', 'admit', 'execute', 'wasm', 'publish']) {
      const threads = labelled(metrics, 'bacalhau_stage_thread_items_total').filter(
        ({ labels }) => labels['stage'] === stage,
      );
      // A bid for which nothing is looked up costs less than the message to a thread.
      assert.ok(
        stage === 'bid' || threads.every(({ labels }) => labels['thread'] !== '0'),
        `${stage} ran on the main thread`,
      );
      const all = labelled(metrics, 'bacalhau_stage_items_out_total').filter(
        ({ labels }) => labels['stage'] === stage,
      );
      const sum = (rows: readonly { value: number }[]): number =>
        rows.reduce((total, { value }) => total + value, 0);
      assert.equal(sum(threads), sum(all), `${stage}: items by thread`);
    }
  });

  await t.test('no queue went above its bound', () => {
    for (const { labels, value } of labelled(metrics, 'bacalhau_stage_queue_high_water')) {
      assert.ok(value <= BOUND, `${labels['stage']}: ${value}`);
      assert.equal(sample(metrics, 'bacalhau_stage_queue_bound', labels), BOUND);
    }
    const refused = sample(metrics, 'bacalhau_stage_items_refused_total', { stage: 'ingest' });
    assert.ok(refused > 0, 'the load never met a full queue: it shows nothing');
  });

  await t.test('an endless WASM job does not hold the main loop, and its timeout ends it', async (t) => {
    const endless = await node.submit(wasmJob(await endlessModule(), { timeouts: { ExecutionTimeout: 8 } }));
    await node.waitUntil(
      async () => (await node.jobState(endless)).state === 'Running',
      'the endless job runs',
    );
    let delayMs = Number.POSITIVE_INFINITY;
    for (let window = 0; window < WINDOWS && delayMs >= MOST_DELAY_MS; window += 1) {
      await node.metrics();
      const until = performance.now() + WINDOW_MS;
      while (performance.now() < until) await node.waitForJob(await node.submit(wasmJob(module)));
      const p99 = sample(await node.metrics(), 'nodejs_eventloop_lag_p99_seconds') * 1000;
      delayMs = p99 - SAMPLING_MS;
      t.diagnostic(`main loop p99 delay: ${delayMs.toFixed(1)} ms (window ${window + 1})`);
    }
    assert.equal((await node.jobState(endless)).state, 'Running', 'it must have run all the time');
    assert.ok(delayMs < MOST_DELAY_MS, `p99 ${delayMs.toFixed(1)} ms`);
    const { state, message } = await node.waitForJob(endless);
    assert.equal(state, 'Failed');
    assert.match(message, /timed out.*8s/);
  });

  await t.test('afterwards nothing is left, and a second round needs no more memory', async (t) => {
    const firstMiB = await leastAnonymousMiB(node);
    await round(node, mixture(TOTAL));
    await settled(node);
    const secondMiB = await leastAnonymousMiB(node);
    t.diagnostic(
      `anonymous memory: ${firstMiB.toFixed(0)} MiB, after a second round ${secondMiB.toFixed(0)} MiB`,
    );
    assert.ok(secondMiB < firstMiB + GROWTH_MIB, `${firstMiB.toFixed(0)} → ${secondMiB.toFixed(0)} MiB`);
    assert.deepEqual(await readdir(node.tmpDir), before.temporary);
    assert.deepEqual(await readdir(join(node.dataDir, 'executions')), []);
    assert.deepEqual(await readdir(join(node.dataDir, 'downloads')), []);
    assert.deepEqual(await childrenOf(node.pid), before.children);
    const now = await descriptors(node.pid);
    t.diagnostic(
      `descriptors: ${JSON.stringify({ ...now, files: now.files.length })}, before ${JSON.stringify({ ...before.descriptors, files: before.descriptors.files.length })}`,
    );
    assert.deepEqual(now.files, before.descriptors.files);
    assert.equal(now.pipes, before.descriptors.pipes);
    // Sockets are this test's connections.
    assert.ok(now.anonymous <= before.descriptors.anonymous, `${now.anonymous} event descriptors`);
  });
});
