import { dockerJob, mockJob } from '../../test/support/jobs.ts';
import { startTestNode, type TestNode } from '../../test/support/node.ts';
import { cpuMs, descriptors } from '../../test/support/process-facts.ts';
import { startDocker } from '../../test/support/services/docker.ts';
import { askForBids } from '../support/asking.ts';
import type { Bench, Figure } from '../support/bench.ts';
import { ASKED, bodyOf } from '../support/bursts.ts';
import { memoryNote, memoryOf, pause } from '../support/process.ts';
import { load } from '../support/processes.ts';

/** Waiting jobs for each of `--jobs`: 100,000 by default. */
const WAITING_EACH = 50;
const FEW = 1000;
const CONNECTIONS = 256;
const RUNNING = 2000;
const CONTAINERS = 200;
/** Enough for runc to start in a second, and so many beside the mock executions. */
const IDLE_CONTAINER = { CPU: '50m', Memory: '8mb' } as const;
const WATCHED_MS = 10_000;
const ALONE = 400;
/** At a pace that leaves the cores free: what else the node does is what is asked for. */
const BIDS = { pace: ['--rate', '200'], seconds: 10, warmSeconds: 10 } as const;
/** Until what a burst has left is collected (src/node/trim.ts). */
const QUIET_MS = 18_000;
/** Of jobs that must still be there when they have been counted. */
const LONG = '30m';
const LONG_COMMAND = ['sleep', '1800'];

const submitting = { connections: CONNECTIONS, untilCompleted: false, warmUp: 0 } as const;

/** Jobs that wait: at a requester whose nodes are away, and at a node that has taken them up. */
export const waitingBench: Bench = {
  name: 'waiting',
  doc: `${WAITING_EACH} jobs that wait for each of --jobs, at the requester and at the node (four minutes)`,
  onlyByName: true,
  run: async ({ jobs }, scope) => {
    const count = Math.max(4 * FEW, jobs * WAITING_EACH);
    const env = { BACALHAU_LIMITS_ADMITQUEUE: String(count + FEW) };
    const mine = bodyOf(mockJob({}, { resources: ASKED }));
    const theirs = bodyOf(mockJob({ Duration: LONG }, { resources: TINY }));
    const alone = await startTestNode(scope, { flags: ['--node-type', 'requester'] });
    const figures = await pile([{ where: 'at the requester', node: alone }], mine, count);
    await alone.stop();
    const both = await startTestNode(scope, { flags: ROOMY, env });
    figures.push(
      ...(await pile([{ where: 'accepted, both roles in one process', node: both }], theirs, count, both)),
    );
    await both.stop();
    const requester = await startTestNode(scope, { flags: ['--node-type', 'requester'] });
    const [address = ''] = requester.swarmAddresses;
    const flags = ['--node-type', 'compute', '--peer', address, ...ROOMY];
    const node = await startTestNode(scope, { flags, env });
    const places = [
      { where: 'accepted, their requester', node: requester },
      { where: 'accepted, the node', node },
    ] as const;
    figures.push(...(await pile(places, theirs, count, node)));
    return figures;
  },
};

/** A node whose queue, 32 machines long, holds 100,000 of the tiniest: the ledger's words count no more of them. */
const ROOMY = [
  '--ignore-physical-resource-limits',
  ...['--limit-total-cpu', '32'],
  ...['--limit-total-memory', '3900mb'],
  ...['--limit-total-disk', '1gb'],
] as const;
const TINY = { CPU: '10m', Memory: '1mb' } as const;

async function accepted(node: TestNode): Promise<number> {
  const metrics = await node.metrics();
  const count = (state: string): number => metrics.get(`bacalhau_executions{state="${state}"}`) ?? 0;
  return count('BidAccepted') + count('Running');
}

/** A process that has them, and what is printed before its figures. */
interface Place {
  readonly where: string;
  readonly node: TestNode;
}

/**
 * Piles them up, submitted to the first place; the cost of the first thousand and of the last, and the memory they take.
 * @param takes the node that must have accepted all; absent where none does
 */
async function pile(
  places: readonly [Place, ...Place[]],
  body: string,
  count: number,
  takes?: TestNode,
): Promise<Figure[]> {
  const [{ node }] = places;
  const cpu = (): Promise<number[]> => Promise.all(places.map((place) => cpuMs(place.node.pid)));
  const add = async (more: number, total: number): Promise<number[]> => {
    const order = { kind: 'burst', origin: node.apiUrl, body, count: more, serverPid: node.pid } as const;
    const before = await cpu();
    await load({ ...order, ...submitting });
    if (takes !== undefined) {
      await takes.waitUntil(async () => (await accepted(takes)) >= total, `${total} are there`, 240_000);
    }
    return (await cpu()).map((after, index) => ((after - (before[index] ?? 0)) * 1000) / more);
  };
  await add(FEW, FEW);
  const first = await add(FEW, 2 * FEW);
  await add(count - 3 * FEW, count - FEW);
  const last = await add(FEW, count);
  const figures: Figure[] = [];
  const memory = async (when: string): Promise<void> => {
    for (const { where, node: one } of places) {
      const found = await memoryOf(one.pid);
      const what = `${count} ${where}: anonymous memory ${when}`;
      figures.push({ what, value: found.anonymous, unit: 'MiB', note: memoryNote(found) });
    }
  };
  await memory('right after');
  await pause(QUIET_MS);
  await memory(`${QUIET_MS / 1000} s later`);
  for (const [index, { where }] of places.entries()) {
    figures.push({
      what: `${where}: CPU of one of the last ${FEW}`,
      value: last[index] ?? 0,
      unit: 'µs',
      limit: { what: `of the second ${FEW}`, value: first[index] ?? 0 },
    });
  }
  return figures;
}

/** What it costs to look after much that only runs. */
export const supervisionBench: Bench = {
  name: 'supervision',
  doc: `${CONTAINERS} idle containers and ${RUNNING} mock executions at once: CPU, and what a job and a bid beside them see (two minutes, root)`,
  onlyByName: true,
  run: async (_, scope) => {
    const service = await startDocker();
    if ('skip' in service) console.log(`without containers: ${service.skip}`);
    else scope.after(() => service.stop());
    const env = 'skip' in service ? {} : service.env;
    const host = env['BACALHAU_TEST_DOCKER_HOST'];
    const node = await startTestNode(scope, {
      flags: ROOMY,
      env: host === undefined ? {} : { DOCKER_HOST: host },
    });
    // The first ones are slow for another reason: the node compiles what a job runs.
    await alone(node);
    const before = await alone(node);
    const bidsBefore = await askForBids(node, BIDS);
    const containers = host === undefined ? 0 : CONTAINERS;
    await crowd(
      node,
      bodyOf(dockerJob(env['BACALHAU_TEST_DOCKER_IMAGE'] ?? '', LONG_COMMAND, { resources: IDLE_CONTAINER })),
      containers,
      containers,
    );
    await crowd(
      node,
      bodyOf(mockJob({ Duration: LONG }, { resources: TINY })),
      RUNNING,
      containers + RUNNING,
    );
    const cpu = await cpuMs(node.pid);
    await pause(WATCHED_MS);
    const share = (100 * ((await cpuMs(node.pid)) - cpu)) / WATCHED_MS;
    const after = await alone(node);
    const bidsAfter = await askForBids(node, BIDS);
    const open = await descriptors(node.pid);
    const count = open.files.length + open.sockets + open.pipes + open.anonymous;
    const memory = await memoryOf(node.pid);
    return [
      {
        what: `${containers} containers and ${RUNNING} mock executions running: CPU`,
        value: share,
        unit: '% of a core',
        note: `${count} descriptors, ${memory.threads} threads`,
      },
      {
        what: 'a mock job beside them, p99',
        value: after,
        unit: 'ms',
        limit: { what: 'without them', value: before },
      },
      {
        what: 'a bid beside them, 200/s, p99',
        value: bidsAfter.LatencyMs.P99,
        unit: 'ms',
        limit: { what: 'without them', value: bidsBefore.LatencyMs.P99 },
        note: `p50 ${bidsAfter.LatencyMs.P50.toFixed(2)} ms, without them ${bidsBefore.LatencyMs.P50.toFixed(2)} ms`,
      },
    ];
  },
};

/** Submits them; resolves when so many run in all. */
async function crowd(node: TestNode, body: string, count: number, total: number): Promise<void> {
  if (count === 0) return;
  await load({ kind: 'burst', origin: node.apiUrl, body, count, serverPid: node.pid, ...submitting });
  await node.waitUntil(
    async () => ((await node.metrics()).get('bacalhau_executions{state="Running"}') ?? 0) >= total,
    `${total} run`,
    120_000,
  );
}

async function alone(node: TestNode): Promise<number> {
  const body = bodyOf(mockJob({}, { resources: TINY }));
  const { milliseconds } = await load({ kind: 'alone', origin: node.apiUrl, body, count: ALONE });
  return milliseconds.toSorted((a, b) => a - b)[Math.floor(ALONE * 0.99)] ?? 0;
}
