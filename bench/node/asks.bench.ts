import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLmdbEnvironment } from '../../src/store/lmdb-environment.ts';
import { executionsTable } from '../../src/store/tables.ts';
import { type Scope, startTestNode, type TestNode } from '../../test/support/node.ts';
import { TEST_NODE } from '../../test/support/store-records.ts';
import type { Bench, Figure } from '../support/bench.ts';
import { digits } from '../support/table.ts';

const FLUSHES = 200;
const ROW = { some: 'row', of: 'the size of a record', with: 'x'.repeat(200) };

interface Case {
  readonly what: string;
  readonly flags: readonly string[];
  /** Of `bacalhau bench bid`. */
  readonly pace: readonly string[];
}

interface Document {
  readonly PerSecond: number;
  readonly Unanswered: number;
  readonly NotBegun: number;
  readonly Outcomes: Readonly<Record<string, number>>;
  readonly LatencyMs: Readonly<Record<'P50' | 'P99', number>>;
}

/** Bids of a whole node to a requester in another process, which turns each down: what a requester waits for an answer. */
export const asksBench: Bench = {
  name: 'asks',
  doc: 'a whole node, stores on disk: AskForBid over libp2p from another process until the bid is received, then turned down',
  run: async (_, scope) => {
    const url = await probeService(scope);
    const flush = await flushMs(scope);
    const cases: Case[] = [
      { what: 'without a probe, 1,000/s', flags: [], pace: ['--rate', '1000'] },
      { what: 'without a probe, 256 at once', flags: [], pace: ['--concurrency', '256'] },
      {
        what: 'with an HTTP probe, 200/s',
        flags: ['--job-selection-probe-http', url],
        pace: ['--rate', '200'],
      },
      {
        what: 'with an exec probe, 20/s',
        flags: ['--job-selection-probe-exec', 'exit 0'],
        pace: ['--rate', '20'],
      },
    ];
    const node = await startTestNode(scope);
    const figures: Figure[] = [];
    for (const one of cases) {
      await node.restart({ flags: [...one.flags] });
      figures.push(...figuresOf(one.what, await ask(node, one.pace), flush));
    }
    return figures;
  },
};

function figuresOf(what: string, document: Document, flush: number): Figure[] {
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

async function ask(node: TestNode, pace: readonly string[]): Promise<Document> {
  const [peer = ''] = node.swarmAddresses;
  const flags = ['--engine', 'mock', '--duration', '3s', '--output', 'json'];
  const { code, stdout, stderr } = await node.cli(['bench', 'bid', '--peer', peer, ...pace, ...flags]);
  if (code !== 0) throw new Error(`bench bid ended with code ${code}:\n${stderr}`);
  return JSON.parse(stdout) as Document;
}

/** Accepts at once. */
async function probeService(scope: Scope): Promise<string> {
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(204).end());
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
