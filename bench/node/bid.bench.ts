import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Outcome } from '../../src/core/outcome.ts';
import type { BidInput, BidOptions, BidOutput } from '../../src/workers/bid/protocol.ts';
import { Pool, workerUrl } from '../../src/workers/pool.ts';
import { header, jobSpec, OFFER, OPTIONS } from '../../test/support/bid.ts';
import type { Scope } from '../../test/support/node.ts';
import { silentLogger } from '../../test/support/pipeline.ts';
import type { Bench, Figure } from '../support/bench.ts';

/** Asks decided at once: what a busy requester has under way. */
const AT_ONCE = 16;
const HANG_MS = 2000;
const HANGING_SHARE = 10;
/** Starting two processes a bid is what is measured: more of them say nothing new. */
const PROBED = 400;

interface Case {
  readonly what: string;
  readonly policy: Partial<BidOptions>;
  readonly count: number;
  /** Every so many-th job's probe hangs; 0 for none. */
  readonly hangEvery: number;
}

/** What the bid stage makes of asks: one thread, as a node has it, without the network and the store. */
export const bidBench: Bench = {
  name: 'bid',
  doc: 'decisions on asks, without and with probes, and with probes that hang',
  run: async (size, scope) => {
    const url = await probeService(scope);
    const hanging = `case "$BACALHAU_JOB_SELECTION_PROBE_DATA" in *'"Name":"hang"'*) sleep 600;; esac`;
    const probed = Math.min(PROBED, size.jobs);
    const cases: Case[] = [
      { what: 'without a probe', policy: {}, count: size.jobs * 5, hangEvery: 0 },
      { what: 'exec probe', policy: { probeExec: 'exit 0' }, count: probed, hangEvery: 0 },
      { what: 'HTTP probe', policy: { probeHttp: url }, count: size.jobs, hangEvery: 0 },
      {
        what: 'exec probe, 10 % hang',
        policy: { probeExec: hanging, probeTimeoutMs: HANG_MS, probeConcurrency: 1024 },
        count: probed,
        hangEvery: HANGING_SHARE,
      },
      {
        what: 'HTTP probe, 10 % hang',
        policy: { probeHttp: url, probeTimeoutMs: HANG_MS, probeConcurrency: 1024 },
        count: size.jobs,
        hangEvery: HANGING_SHARE,
      },
    ];
    const figures: Figure[] = [];
    for (const one of cases) figures.push(...(await decide(one)));
    return figures;
  },
};

/** Answers at once; never where the job is to hang. */
async function probeService(scope: Scope): Promise<string> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (!Buffer.concat(chunks).includes('"Name":"hang"')) response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scope.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

function specOf(name: string): Uint8Array {
  return new TextEncoder().encode(
    JSON.stringify({ ...jobSpec({ Engine: { Type: 'wasm', Params: { EntryModule: '/m' } } }), Name: name }),
  );
}

async function decide({ what, policy, count, hangEvery }: Case): Promise<Figure[]> {
  const waiting = new Map<string, (outcome: Outcome<BidOutput>) => void>();
  const pool = new Pool<BidInput, BidOutput>(
    {
      name: 'bid',
      file: workerUrl('../../src/workers/bid/bid.worker', import.meta.url),
      minThreads: 1,
      maxThreads: 1,
      batchesPerThread: 65_536,
      atomics: 'disabled',
      workerOptions: { ...OPTIONS, ...policy },
    },
    {
      logger: silentLogger,
      listener: {
        onOutcome: (id, outcome) => waiting.get(id)?.(outcome),
        onReport: () => undefined,
      },
    },
  );
  pool.control({ kind: 'live', name: 'offer', value: OFFER });
  const [plain, hang] = [specOf('n'), specOf('hang')];
  let next = 0;
  const runs: Promise<void>[] = [];
  const ask = async (spec: Uint8Array): Promise<Outcome<BidOutput>> => {
    const id = `e-${(next += 1)}`;
    const answer = new Promise<Outcome<BidOutput>>((resolve) => waiting.set(id, resolve));
    const input: BidInput = {
      asked: header({ executionId: id, engine: 'wasm' }),
      spec,
      explain: false,
    };
    runs.push(pool.run([{ id, input }]));
    const outcome = await answer;
    waiting.delete(id);
    return outcome;
  };
  try {
    for (let warm = 0; warm < 20; warm += 1) await ask(plain);
    const times: number[] = [];
    const hung: Promise<unknown>[] = [];
    let left = count;
    const startedAt = performance.now();
    const work = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        // Those that hang are under way beside the others, as at a node whose requester goes on asking.
        if (hangEvery > 0 && left % hangEvery === 0) {
          hung.push(ask(hang));
          continue;
        }
        const askedAt = performance.now();
        const outcome = await ask(plain);
        times.push(performance.now() - askedAt);
        if (outcome.kind !== 'advance') throw new Error(`${what}: ${JSON.stringify(outcome)}`);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    const seconds = (performance.now() - startedAt) / 1000;
    for (const outcome of (await Promise.all(hung)) as Outcome<BidOutput>[]) {
      if (outcome.kind !== 'reject' || outcome.code !== 'probe_failed')
        throw new Error(`${what}: a hanging probe ended as ${JSON.stringify(outcome)}`);
    }
    times.sort((a, b) => a - b);
    const at = (share: number): number =>
      times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
    const note = `${AT_ONCE} at once${hung.length > 0 ? `, beside ${hung.length} that hang` : ''}`;
    return [
      { what: `${what}: rate`, value: times.length / seconds, unit: 'bids/s', note },
      { what: `${what}: p50`, value: at(0.5), unit: 'ms' },
      { what: `${what}: p99`, value: at(0.99), unit: 'ms' },
    ];
  } finally {
    await Promise.allSettled(runs);
    await pool.stop();
  }
}
