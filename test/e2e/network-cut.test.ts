import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { computeStateCodes } from '../../src/core/states.ts';
import { countedJob, runsOf } from '../support/counted.ts';
import { temporaryFolder } from '../support/folders.ts';
import type { JobParts } from '../support/jobs.ts';
import { connection, sitesIfPossible, startNetwork, type TestNetwork } from '../support/network.ts';
import type { TestNode, Wire } from '../support/node.ts';
import { untilLocal } from '../support/node-facts.ts';
import { stallingKubo } from '../support/stalling.ts';

/** How long the link is away; BACALHAU_TEST_CUT_MS=60000 is the long run. */
const CUT_MS = Number(process.env['BACALHAU_TEST_CUT_MS'] ?? 9000);
/** After it: links are looked for with growing waits. */
const BACK_MS = 60_000 + CUT_MS;
const { Completed } = computeStateCodes;

/** One job at every point of an execution's life, at one compute node. */
interface Points extends TestNetwork {
  readonly node: TestNode;
  readonly jobs: Readonly<Record<'asked' | 'queued' | 'running' | 'publishing', string>>;
  /** Nothing holds up any of them any more. */
  release(): Promise<void>;
  /** How often the job's program has been started. */
  runs(name: string): Promise<number>;
  /** A job that counts its runs under a name. */
  job(name: string, ms: number, parts?: JobParts): Promise<Wire>;
}

async function everywhere(t: TestContext): Promise<Points> {
  const folder = await temporaryFolder(t);
  const held = join(folder, 'held');
  await writeFile(held, '');
  const kubo = await stallingKubo(t);
  // The probe takes its time for one job, until the test says so.
  const probe = `if grep -q held-job; then while [ -e ${held} ]; do sleep 0.1; done; fi`;
  const network = await startNetwork(t, {
    computes: [
      [
        '--limit-total-cpu',
        '1',
        '--ipfs-connect',
        `http://${kubo.address}`,
        '--job-selection-probe-exec',
        probe,
        '--job-selection-probe-timeout',
        '2m',
        '--allow-listed-local-paths',
        `${folder}/**:rw`,
      ],
    ],
  });
  const { requester } = network;
  const [node] = network.computes;
  assert.ok(node !== undefined);
  const job: Points['job'] = (name, ms, parts) => countedJob(folder, name, ms, parts);
  const publishing = await requester.submit(await job('publishing-job', 0, { publisher: 'ipfs' }));
  await untilLocal(node, publishing, 'Publishing', 'publish');
  const running = await requester.submit(await job('running-job', 4000));
  await untilLocal(node, running, 'Running', 'execute');
  const asked = await requester.submit(await job('held-job', 0));
  await requester.waitUntil(
    async () => (await node.metrics()).get('bacalhau_probes_running{probe="exec_probe"}') === 1,
    'the probe decides on an ask',
  );
  const large = { resources: { CPU: '1', Memory: '4mb', Disk: '1mb' } };
  const queued = await requester.submit(await job('queued-job', 0, large));
  await untilLocal(node, queued, 'BidAccepted', 'admit');
  return {
    ...network,
    node,
    job,
    jobs: { asked, queued, running, publishing },
    async release() {
      await rm(held, { force: true });
      kubo.release();
    },
    runs: (name) => runsOf(folder, name),
  };
}

/** Completed by one execution that counts, and said so once. */
async function assertEndedOnce(requester: TestNode, id: string): Promise<void> {
  const { state, message } = await requester.waitForJob(id, BACK_MS);
  assert.equal(state, 'Completed', `${id}: ${message} ${JSON.stringify(await requester.history(id))}`);
  const [executions, history] = await Promise.all([requester.executions(id), requester.history(id)]);
  const completed = executions.filter((execution) => execution.state === Completed);
  assert.deepEqual(
    completed.map(({ stdout }) => stdout),
    ['ran\n'],
    JSON.stringify(executions),
  );
  const ends = history.filter((row) => row.type === 'JobLevel' && row.message === 'Completed');
  assert.equal(ends.length, 1, JSON.stringify(history));
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const NAMES = {
  asked: 'held-job',
  queued: 'queued-job',
  running: 'running-job',
  publishing: 'publishing-job',
} as const;

test('the link is cut at every point of an execution’s life: each job runs once and ends once', {
  timeout: 120_000 + 2 * CUT_MS,
}, async (t) => {
  const { requester, node, links, jobs, release, runs, job } = await everywhere(t);
  const [link] = links;
  const reader = await requester.startCli(['job', 'logs', '--follow', jobs.running]);
  await link?.cut();
  const cutAt = performance.now();
  await requester.waitUntil(
    async () => (await connection(requester, node.nodeId)) === 'DISCONNECTED',
    'the lost node is noticed',
  );
  const noticedMs = performance.now() - cutAt;
  t.diagnostic(`a lost node is noticed after ${Math.round(noticedMs)} ms`);
  assert.ok(noticedMs < 15_000, `noticed after ${noticedMs} ms`);
  const meanwhile = await requester.submit(await job('later-job', 0));
  const { state, message } = await requester.jobState(meanwhile);
  assert.equal(state, 'Queued');
  assert.match(message, /node is not connected/);
  // What runs ends while nobody can hear of it, and what waits begins.
  await release();
  await pause(Math.max(0, CUT_MS - (performance.now() - cutAt)));
  assert.equal((await requester.jobState(jobs.running)).state, 'Running');
  await link?.mend();
  for (const id of [...Object.values(jobs), meanwhile]) await assertEndedOnce(requester, id);
  for (const name of [...Object.values(NAMES), 'later-job']) assert.equal(await runs(name), 1, name);
  assert.equal((await reader.ended).code, 0, reader.printed.stderr);
  assert.equal(reader.printed.stdout, 'ran\n');
});

test('kill -9 of the requester at every point: each job runs once and ends once', {
  timeout: 120_000,
}, async (t) => {
  const { requester, jobs, release, runs } = await everywhere(t);
  const [swarm = ''] = requester.swarmAddresses;
  const port = /\/tcp\/(\d+)/.exec(swarm)?.[1] ?? '';
  await requester.kill9();
  await release();
  await requester.restart({ flags: ['--node-type', 'requester', '--port', port] });
  for (const id of Object.values(jobs)) await assertEndedOnce(requester, id);
  for (const name of Object.values(NAMES)) assert.equal(await runs(name), 1, name);
});

test('kill -9 of the compute node at every point: each job ends once; only what ran begins again', {
  timeout: 120_000,
}, async (t) => {
  const { requester, node, jobs, release, runs } = await everywhere(t);
  await node.kill9();
  await release();
  await node.restart();
  for (const id of Object.values(jobs)) await assertEndedOnce(requester, id);
  assert.deepEqual(
    await Promise.all(Object.entries(NAMES).map(async ([at, name]) => [at, await runs(name)])),
    [
      ['asked', 1],
      ['queued', 1],
      ['running', 2],
      ['publishing', 1],
    ],
  );
});

test('the cable between two machines is pulled while a job runs: its result arrives when it is back', {
  timeout: 90_000 + 2 * CUT_MS,
}, async (t) => {
  const sites = await sitesIfPossible(t, 2);
  const folder = await temporaryFolder(t);
  const { requester, computes, links } = await startNetwork(t, {
    computes: [['--allow-listed-local-paths', `${folder}/**:rw`]],
    ...(sites === undefined ? {} : { sites }),
  });
  const [node] = computes;
  assert.ok(node !== undefined);
  const id = await requester.submit(await countedJob(folder, 'pulled-job', 3000));
  await untilLocal(node, id, 'Running', 'execute');
  await links[0]?.cut();
  await pause(CUT_MS);
  await links[0]?.mend();
  await assertEndedOnce(requester, id);
  assert.equal(await runsOf(folder, 'pulled-job'), 1);
});
