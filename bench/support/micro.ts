import { Bench as TinyBench } from 'tinybench';
import type { BenchSize, Figure } from './bench.ts';
import { digits } from './table.ts';

/** One thing to be timed. */
export interface MicroCase {
  readonly what: string;
  /** Operations in one call of `run`; many, where one is shorter than the clock can tell. */
  readonly per: number;
  run(): unknown;
  /** Bytes of one operation: the figure is then MB/s. */
  readonly bytes?: number;
  /** The same with everything left out that is not inevitable. */
  readonly limit?: { readonly what: string; readonly per: number; run(): unknown };
}

const WARM_UP_SHARE = 0.3;
/** A case and its limit take turns, so that what else the machine does falls on both. */
const ROUNDS = 3;

/** Times each case, and its limit in turn with it, by the median of their samples. */
export async function measure(cases: readonly MicroCase[], { microMs }: BenchSize): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const { what, per, run, bytes, limit } of cases) {
    const rates: number[] = [];
    const limits: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      rates.push(await medianRate(run, per, microMs / ROUNDS));
      if (limit !== undefined) limits.push(await medianRate(limit.run, limit.per, microMs / ROUNDS));
    }
    const rate = median(rates);
    const scale = bytes === undefined ? 1 : bytes / 1e6;
    figures.push({
      what,
      value: rate * scale,
      unit: bytes === undefined ? 'ops/s' : 'MB/s',
      ...(limit === undefined ? {} : { limit: { what: limit.what, value: median(limits) * scale } }),
      note: `${digits(1e6 / rate)} µs each`,
    });
  }
  return figures;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

/** Operations per second. */
async function medianRate(run: () => unknown, per: number, milliseconds: number): Promise<number> {
  const bench = new TinyBench({ time: milliseconds, warmupTime: milliseconds * WARM_UP_SHARE, throws: true });
  bench.add('case', run);
  const [task] = await bench.run();
  if (task?.result.state !== 'completed') throw new Error('a benchmark did not end');
  return (per / task.result.latency.p50) * 1000;
}
