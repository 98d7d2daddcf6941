import type { Scope } from '../../test/support/node.ts';

/** One measured figure. */
export interface Figure {
  readonly what: string;
  readonly value: number;
  /** "ops/s", "jobs/s", "MB/s", "ms", … */
  readonly unit: string;
  /** What the machine can do at best, in the same unit. */
  readonly limit?: { readonly what: string; readonly value: number };
  /** What else a reader must know: cost, spread, conditions. */
  readonly note?: string;
}

/** How large the measurements are. */
export interface BenchSize {
  /** Milliseconds of each microbenchmark. */
  readonly microMs: number;
  /** Jobs of each burst. */
  readonly jobs: number;
  /** Repetitions where one thing is measured alone. */
  readonly repetitions: number;
}

/** A benchmark; what it starts and makes ends with the scope. */
export interface Bench {
  readonly name: string;
  readonly doc: string;
  /** It takes minutes, or more room than a machine may have: it is not among those that run when none is named. */
  readonly onlyByName?: boolean;
  run(size: BenchSize, scope: Scope): Promise<readonly Figure[]>;
}
