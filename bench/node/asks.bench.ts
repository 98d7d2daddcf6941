import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLmdbEnvironment } from '../../src/store/lmdb-environment.ts';
import { executionsTable } from '../../src/store/tables.ts';
import { type Scope, startTestNode } from '../../test/support/node.ts';
import { TEST_NODE } from '../../test/support/store-records.ts';
import { type Asking, askForBids, type BidsDocument, WARM_SECONDS } from '../support/asking.ts';
import type { Bench, Figure } from '../support/bench.ts';
import { digits } from '../support/table.ts';

const FLUSHES = 200;
/** At a rate that keeps nobody busy it takes longer until both have compiled what they run. */
const WARM_SECONDS_AT_A_RATE = 10;
const ROW = { some: 'row', of: 'the size of a record', with: 'x'.repeat(200) };

/** Of each job's name, which is random there ("j-" and a UUID), the probe looks at the last two digits: 25 of 256 hang. */
const HANGS = '[0-4][0-4]';
/** The digits before them, each by itself: a `*` of the shell would find the end of a later text. */
const BEFORE = '?'.repeat(34);
const HANG_FLAGS = ['--job-selection-probe-timeout', '2s'];
const HANGING_PROBE = `case "$BACALHAU_JOB_SELECTION_PROBE_DATA" in *'"Name":"j-'${BEFORE}${HANGS}'"'*) sleep 600;; esac`;
const HANGING_NAME = new RegExp(`"Name":"j-[0-9a-f-]*${HANGS}"`);

interface Case extends Asking {
  readonly what: string;
  readonly flags: readonly string[];
}

/** Bids of a whole node to a requester in another process, which turns each down: what a requester waits for an answer. */
export const asksBench: Bench = {
  name: 'asks',
  doc: 'a whole node, stores on disk: AskForBid over libp2p from another process until the bid is received, then turned down',
  run: async (_, scope) => {
    const url = await probeService(scope);
    const flush = await flushMs(scope);
    const http = ['--job-selection-probe-http', url];
    const hangingHttp = ['--job-selection-probe-http', `${url}hanging`, ...HANG_FLAGS];
    const exec = ['--job-selection-probe-exec', 'exit 0'];
    const hangingExec = ['--job-selection-probe-exec', HANGING_PROBE, ...HANG_FLAGS];
    const cases: Case[] = [
      {
        what: 'without a probe, 1,000/s',
        flags: [],
        pace: ['--rate', '1000'],
        seconds: 10,
        warmSeconds: WARM_SECONDS_AT_A_RATE,
      },
      { what: 'without a probe, 256 at once', flags: [], pace: ['--concurrency', '256'], seconds: 3 },
      { what: 'without a probe, 512 at once', flags: [], pace: ['--concurrency', '512'], seconds: 3 },
      { what: 'with an HTTP probe, 200/s', flags: http, pace: ['--rate', '200'], seconds: 5 },
      { what: 'HTTP probes, 10 % hang, 200/s', flags: hangingHttp, pace: ['--rate', '200'], seconds: 5 },
      { what: 'with an exec probe, 20/s', flags: exec, pace: ['--rate', '20'], seconds: 10 },
      { what: 'exec probes, 10 % hang, 20/s', flags: hangingExec, pace: ['--rate', '20'], seconds: 10 },
    ];
    const node = await startTestNode(scope);
    const figures: Figure[] = [];
    for (const one of cases) {
      await node.restart({ flags: [...one.flags] });
      // A node that has just started compiles; so does the other side, for which its own warm-up is.
      if (one.flags.length === 0)
        await askForBids(node, { pace: ['--concurrency', '64'], seconds: WARM_SECONDS });
      figures.push(...figuresOf(one.what, await askForBids(node, one), flush));
    }
    return figures;
  },
};

function figuresOf(what: string, document: BidsDocument, flush: number): Figure[] {
  const { PerSecond, Outcomes, LatencyMs, Unanswered, NotBegun } = document;
  const outcomes = Object.entries(Outcomes).map(([name, count]) => `${count} ${name}`);
  if (Unanswered + NotBegun > 0) outcomes.push(`${Unanswered} not answered, ${NotBegun} not begun`);
  const note = outcomes.join(', ');
  return [
    { what, value: PerSecond, unit: 'bids/s', note },
    { what: `${what}, p50`, value: LatencyMs.P50, unit: 'ms', note: `a flush alone: ${digits(flush)} ms` },
    { what: `${what}, p99`, value: LatencyMs.P99, unit: 'ms' },
  ];
}

/** Accepts at once; at `hanging` it never answers for some jobs. */
async function probeService(scope: Scope): Promise<string> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const hangs = request.url === '/hanging' && HANGING_NAME.test(Buffer.concat(chunks).toString());
      if (!hangs) response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scope.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

/** What no bid can be faster than: one row on disk, the median of many one after the other. */
async function flushMs(scope: Scope): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'bacalhau-bench-'));
  scope.after(() => rm(folder, { recursive: true, force: true }));
  const environment = await openLmdbEnvironment({
    path: join(folder, 'executions.db'),
    role: 'compute',
    nodeId: TEST_NODE,
  });
  const table = environment.table(executionsTable);
  const times: number[] = [];
  for (let row = 0; row < FLUSHES; row += 1) {
    const startedAt = performance.now();
    environment.write((batch) => batch.put(table, `e-${row}`, ROW));
    await environment.flushed();
    times.push(performance.now() - startedAt);
  }
  await environment.close();
  return times.toSorted((a, b) => a - b)[FLUSHES / 2] ?? 0;
}
