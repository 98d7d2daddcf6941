import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';

const NANOS = 1e6;
/** An hour: nothing that is waited for takes longer. */
const LONGEST_NS = 3.6e12;
/** Significant figures of a percentile. */
const FIGURES = 3;
/** Steps of the shown distribution in a doubling of the latency, and the shortest that is told apart. */
const STEPS = 4;
const SHORTEST_MS = 0.001;
const MOST_ROWS = 12;

/** How many latencies lie from `fromMs` to below `toMs`. */
export interface LatencyRow {
  readonly fromMs: number;
  readonly toMs: number;
  readonly count: number;
}

/** Latencies in an HDR histogram: percentiles to three figures from a microsecond to an hour, in memory that does not grow. */
export class Latencies {
  readonly #histogram: RecordableHistogram = createHistogram({
    lowest: 1,
    highest: LONGEST_NS,
    figures: FIGURES,
  });
  /** The histogram does not tell its counts: they are kept on a scale of their own, for a picture. */
  readonly #steps: number[] = [];
  #count = 0;

  /** @param ms 0 or more */
  record(ms: number): void {
    this.#histogram.record(Math.min(LONGEST_NS, Math.max(1, Math.round(ms * NANOS))));
    const step = Math.max(0, Math.floor(Math.log2(ms / SHORTEST_MS) * STEPS));
    while (this.#steps.length <= step) this.#steps.push(0);
    this.#steps[step] = (this.#steps[step] ?? 0) + 1;
    this.#count += 1;
  }

  get count(): number {
    return this.#count;
  }

  /** Milliseconds that a share of all does not exceed; 0 while there are none. @param share above 0, up to 1 */
  at(share: number): number {
    return this.#count === 0 ? 0 : this.#histogram.percentile(share * 100) / NANOS;
  }

  /** Milliseconds. */
  summary(): { readonly min: number; readonly mean: number; readonly max: number } {
    if (this.#count === 0) return { min: 0, mean: 0, max: 0 };
    const { min, mean, max } = this.#histogram;
    return { min: min / NANOS, mean: mean / NANOS, max: max / NANOS };
  }

  /** The distribution from the shortest to the longest, in at most twelve rows of equal ratio. */
  rows(): LatencyRow[] {
    const first = this.#steps.findIndex((count) => count > 0);
    if (first < 0) return [];
    const width = Math.ceil((this.#steps.length - first) / MOST_ROWS);
    const edge = (step: number): number => (step === 0 ? 0 : SHORTEST_MS * 2 ** (step / STEPS));
    const rows: LatencyRow[] = [];
    for (let step = first; step < this.#steps.length; step += width) {
      const count = this.#steps.slice(step, step + width).reduce((sum, one) => sum + one, 0);
      rows.push({ fromMs: edge(step), toMs: edge(step + width), count });
    }
    return rows;
  }

  /** Forgets all. */
  clear(): void {
    this.#histogram.reset();
    this.#steps.length = 0;
    this.#count = 0;
  }
}
