import { MAX_PROBES, type StrategyName, strategyNames } from './protocol.ts';

/** What a strategy may say, as it is counted. */
export type VerdictName = 'yes' | 'no' | 'not now' | 'wait';
export const verdictNames: readonly VerdictName[] = ['yes', 'no', 'not now', 'wait'];

export type ProbeName = 'exec_probe' | 'http_probe';
export const probeNames: readonly ProbeName[] = ['exec_probe', 'http_probe'];

/** Why a probe gave no answer; "slots": too many were running. */
export type ProbeFault = 'timeout' | 'start' | 'unreachable' | 'answer' | 'lost' | 'slots';
export const probeFaults: readonly ProbeFault[] = [
  'timeout',
  'start',
  'unreachable',
  'answer',
  'lost',
  'slots',
];

/** Upper bounds of probe durations, in seconds. */
export const PROBE_SECONDS: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];

/** Counts of durations: as the metrics' own buckets. */
export interface ProbeDurations {
  readonly bounds: readonly number[];
  /** One more than `bounds`. Not cumulative. */
  readonly counts: readonly number[];
  /** Seconds. */
  readonly sum: number;
  readonly count: number;
}

const VERDICTS_AT = 0;
const FAULTS_AT = VERDICTS_AT + strategyNames.length * verdictNames.length;
const DURATIONS_AT = FAULTS_AT + probeNames.length * probeFaults.length;
/** Bounds, what lies beyond, and the sum in microseconds. */
const PER_PROBE = PROBE_SECONDS.length + 2;
const COUNTERS = DURATIONS_AT + probeNames.length * PER_PROBE;
const SLOTS_AT = COUNTERS * BigInt64Array.BYTES_PER_ELEMENT;
const BYTES = SLOTS_AT + probeNames.length * MAX_PROBES * Int32Array.BYTES_PER_ELEMENT;

/** Seconds are counted from here, so that they fit into 31 bits until 2091. */
const EPOCH_SECONDS = 1_700_000_000;

/**
 * What the bid threads count and what limits their probes, in memory they share with the main thread: counting
 * costs no message, and the limit holds for all threads together.
 */
export class BidTally {
  readonly buffer: SharedArrayBuffer;
  readonly #counters: BigInt64Array;
  readonly #slots: Int32Array;

  /** Of a buffer that another thread made, or a new one. */
  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(BYTES)) {
    this.buffer = buffer;
    this.#counters = new BigInt64Array(buffer, 0, COUNTERS);
    this.#slots = new Int32Array(buffer, SLOTS_AT);
  }

  /** A strategy said this. */
  said(strategy: StrategyName, verdict: VerdictName): void {
    Atomics.add(this.#counters, verdictAt(strategy, verdict), 1n);
  }

  /** A probe gave no answer. */
  failed(probe: ProbeName, fault: ProbeFault): void {
    Atomics.add(this.#counters, faultAt(probe, fault), 1n);
  }

  /** A probe took this long, whatever came of it. */
  took(probe: ProbeName, ms: number): void {
    const seconds = ms / 1000;
    let index = PROBE_SECONDS.findIndex((bound) => seconds <= bound);
    if (index < 0) index = PROBE_SECONDS.length;
    const at = DURATIONS_AT + probeNames.indexOf(probe) * PER_PROBE;
    Atomics.add(this.#counters, at + index, 1n);
    Atomics.add(this.#counters, at + PER_PROBE - 1, BigInt(Math.round(ms * 1000)));
  }

  /**
   * Takes one of the first `cap` places for a probe of a kind; gives the way to return it, or undefined when all are
   * taken. A place not returned in `holdMs` lapses: its thread has died.
   */
  enter(probe: ProbeName, cap: number, holdMs: number, nowMs: number = Date.now()): (() => void) | undefined {
    const now = Math.floor(nowMs / 1000) - EPOCH_SECONDS;
    const until = now + Math.ceil(holdMs / 1000) + 1;
    const from = probeNames.indexOf(probe) * MAX_PROBES;
    for (let at = from; at < from + Math.min(cap, MAX_PROBES); at += 1) {
      const held = Atomics.load(this.#slots, at);
      if (held !== 0 && held >= now) continue;
      if (Atomics.compareExchange(this.#slots, at, held, until) !== held) continue;
      let returned = false;
      return () => {
        if (returned) return;
        returned = true;
        // Only the own one: a place that has lapsed may be somebody else's by now.
        Atomics.compareExchange(this.#slots, at, until, 0);
      };
    }
    return undefined;
  }

  /** Probes of a kind that run now. */
  running(probe: ProbeName, nowMs: number = Date.now()): number {
    const now = Math.floor(nowMs / 1000) - EPOCH_SECONDS;
    const from = probeNames.indexOf(probe) * MAX_PROBES;
    let count = 0;
    for (let at = from; at < from + MAX_PROBES; at += 1) if (Atomics.load(this.#slots, at) >= now) count += 1;
    return count;
  }

  verdicts(strategy: StrategyName, verdict: VerdictName): number {
    return Number(Atomics.load(this.#counters, verdictAt(strategy, verdict)));
  }

  failures(probe: ProbeName, fault: ProbeFault): number {
    return Number(Atomics.load(this.#counters, faultAt(probe, fault)));
  }

  durations(probe: ProbeName): ProbeDurations {
    const at = DURATIONS_AT + probeNames.indexOf(probe) * PER_PROBE;
    const counts = Array.from({ length: PROBE_SECONDS.length + 1 }, (_, index) =>
      Number(Atomics.load(this.#counters, at + index)),
    );
    return {
      bounds: PROBE_SECONDS,
      counts,
      sum: Number(Atomics.load(this.#counters, at + PER_PROBE - 1)) / 1e6,
      count: counts.reduce((sum, count) => sum + count, 0),
    };
  }
}

function verdictAt(strategy: StrategyName, verdict: VerdictName): number {
  return VERDICTS_AT + strategyNames.indexOf(strategy) * verdictNames.length + verdictNames.indexOf(verdict);
}

function faultAt(probe: ProbeName, fault: ProbeFault): number {
  return FAULTS_AT + probeNames.indexOf(probe) * probeFaults.length + probeFaults.indexOf(fault);
}
