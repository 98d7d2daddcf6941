import { dockerJob, mockJob } from '../../test/support/jobs.ts';
import { startTestNode, type TestNode } from '../../test/support/node.ts';
import { cpuMs, descriptors } from '../../test/support/process-facts.ts';
import { startDocker } from '../../test/support/services/docker.ts';
import type { Bench, Figure } from '../support/bench.ts';
import { ASKED, bodyOf } from '../support/bursts.ts';
import { memoryNote, memoryOf, pause } from '../support/process.ts';
import { load } from '../support/processes.ts';

const WAITING = 100_000;
const FEW = 1000;
const CONNECTIONS = 256;
const RUNNING = 2000;
const CONTAINERS = 200;
/** Enough for runc to start in a second, and so many beside the mock executions. */
const IDLE_CONTAINER = { CPU: '50m', Memory: '8mb' } as const;
const WATCHED_MS = 10_000;
const ALONE = 400;
/** Of jobs that must still be there when they have been counted. */
const LONG = '30m';
const LONG_COMMAND = ['sleep', '1800'];

const submitting = { connections: CONNECTIONS, untilCompleted: false, warmUp: 0 } as const;

/** Jobs that wait: at a requester whose nodes are away, and at a node that has taken them up. */
export const waitingBench: Bench = {
  name: 'waiting',
  doc: `${WAITING} jobs that wait, at the requester and at the node (two minutes)`,
  onlyByName: true,
  run: async (_, scope) => {
    const requester = await startTestNode(scope, { flags: ['--node-type', 'requester'] });
    const figures = await pile(requester, 'at the requester', bodyOf(mockJob({}, { resources: ASKED })));
    await requester.stop();
    const node = await startTestNode(scope, { flags: ROOMY, env: { BACALHAU_LIMITS_ADMITQUEUE: '120000' } });
    const body = bodyOf(mockJob({ Duration: LONG }, { resources: TINY }));
    figures.push(...(await pile(node, 'accepted by the node', body, (found) => accepted(found))));
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

/** Piles them up; the cost of the first thousand and of the last, and the memory they take. */
async function pile(
  node: TestNode,
  where: string,
  body: string,
  arrived?: (node: TestNode) => Promise<number>,
): Promise<Figure[]> {
  const add = async (count: number, total: number): Promise<number> => {
    const order = {
      kind: 'burst',
      origin: node.apiUrl,
      body,
      count,
      serverPid: node.pid,
      ...submitting,
    } as const;
    const before = await cpuMs(node.pid);
    await load(order);
    if (arrived !== undefined) {
      await node.waitUntil(async () => (await arrived(node)) >= total, `${total} are there`, 240_000);
    }
    return (((await cpuMs(node.pid)) - before) * 1000) / count;
  };
  await add(FEW, FEW);
  const first = await add(FEW, 2 * FEW);
  await add(WAITING - 3 * FEW, WAITING - FEW);
  const last = await add(FEW, WAITING);
  const memory = await memoryOf(node.pid);
  return [
    {
      what: `${WAITING} ${where}: anonymous memory`,
      value: memory.anonymous,
      unit: 'MiB',
      note: memoryNote(memory),
    },
    {
      what: `${where}: server CPU of one of the last ${FEW}`,
      value: last,
      unit: 'µs',
      limit: { what: `of the second ${FEW}`, value: first },
    },
  ];
}

/** What it costs to look after much that only runs. */
export const supervisionBench: Bench = {
  name: 'supervision',
  doc: `${CONTAINERS} idle containers and ${RUNNING} mock executions at once: CPU, and what a job beside them sees (a minute, root)`,
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
