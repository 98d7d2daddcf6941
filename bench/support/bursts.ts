import { availableParallelism } from 'node:os';
import type { TestNode, Wire } from '../../test/support/node.ts';
import { sample } from '../../test/support/prometheus.ts';
import type { BurstResult } from './load-protocol.ts';
import { pause } from './process.ts';
import { load } from './processes.ts';

const CONNECTIONS = 256;
/** So many times the jobs of a burst run before it, unmeasured: V8 is done with compiling after some ten thousand. */
const WARM_UP_SHARE = 2;
const SAMPLE_EVERY_MS = 250;

/** What every job of the benchmarks asks for. */
export const ASKED = { CPU: '100m', Memory: '16mb' } as const;
const ASKED_CORES = 0.1;

export interface Target {
  readonly origin: string;
  readonly pid: number;
}

export const targetOf = (node: TestNode): Target => ({ origin: node.apiUrl, pid: node.pid });
export const bodyOf = (job: Wire): string => JSON.stringify({ Job: job });

/** Submits as fast as 256 connections go, twice as many jobs before it unmeasured. */
export function burst(
  { origin, pid }: Target,
  body: string,
  count: number,
  untilCompleted: boolean,
): Promise<BurstResult> {
  const warmUp = Math.ceil(count * WARM_UP_SHARE);
  const measured = { count, connections: CONNECTIONS, untilCompleted, serverPid: pid };
  return load({ kind: 'burst', origin, body, warmUp, ...measured });
}

/** What a job cost, and the cores that were busy with it. */
export function costs(result: BurstResult, count: number): string {
  const each = (micros: number): string => `${(micros / count).toFixed(0)} µs`;
  const refused = result.refused === 0 ? '' : `, ${result.refused} times busy`;
  const server = `${each(result.serverCpuMicros)} (main thread ${each(result.mainThreadMicros)})`;
  return `CPU each: server ${server}, load ${each(result.loadCpuMicros)}${refused}`;
}

/** Places that running jobs can have, and how many of them were taken while something ran. */
export interface Places {
  readonly permits: number;
  readonly taken: number;
}

/** Looks at a node's capacity again and again while `work` goes on. */
export async function watchPlaces<T>(node: TestNode, work: Promise<T>): Promise<[T, Places]> {
  const used: number[] = [];
  let permits = 0;
  let isOver = false;
  const watch = (async () => {
    while (!isOver) {
      const metrics = await node.metrics();
      const cores = (account: string): number =>
        sample(metrics, 'bacalhau_capacity', { account, resource: 'cpu' });
      permits = Math.floor(cores('total') / ASKED_CORES + 1e-6);
      used.push(cores('used') / ASKED_CORES);
      await pause(SAMPLE_EVERY_MS);
    }
  })();
  const result = await work.finally(() => {
    isOver = true;
  });
  await watch;
  return [result, { permits, taken: used.reduce((sum, one) => sum + one, 0) / Math.max(1, used.length) }];
}

/** Which bound was reached first: the main thread, the cores, places (permits / holding time), or none (waits for the disk). */
export function boundOf(result: BurstResult, count: number, { permits, taken }: Places): string {
  const rate = count / result.seconds;
  const holdingMs = (taken / rate) * 1000;
  const atMost = holdingMs === 0 ? Number.POSITIVE_INFINITY : (permits / holdingMs) * 1000;
  const micros = result.serverCpuMicros + result.loadCpuMicros;
  const busy = micros / (result.seconds * 1e6 * availableParallelism());
  const mainBusy = result.mainThreadMicros / (result.seconds * 1e6);
  const bound =
    mainBusy > 0.85
      ? 'the main thread'
      : busy > 0.85
        ? 'the cores'
        : taken > 0.9 * permits
          ? 'the places'
          : 'waits (disk, or other load)';
  const limit = Number.isFinite(atMost) ? `${atMost.toFixed(0)}/s` : 'no limit';
  return `${permits} places / ${holdingMs.toFixed(2)} ms held = ${limit}; cores ${percent(busy)} busy, main thread ${percent(mainBusy)}; bound: ${bound}`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}
