import { formatDuration } from '../../../core/duration.ts';
import type { BidPolicy } from '../protocol.ts';
import type { AskedJob, SlowStrategy, Verdict } from '../strategy.ts';
import type { BidTally, ProbeFault, ProbeName } from '../tally.ts';

/** The bids of a probe's place may take this much longer than its time limit: to be killed and to be counted. */
const HOLD_MARGIN_MS = 10_000;
/** Most characters of a probe's words that become the reason. */
const REASON_CHARACTERS = 1024;

/** A probe that gave no answer, and why. */
export class ProbeTrouble extends Error {
  readonly fault: ProbeFault;

  /** `message` goes on from "its exec probe ". */
  constructor(fault: ProbeFault, message: string) {
    super(message);
    this.name = 'ProbeTrouble';
    this.fault = fault;
  }
}

/** The probe has not answered in its time. */
export function probeTimedOut(timeoutMs: number): ProbeTrouble {
  return new ProbeTrouble('timeout', `has not answered in ${formatDuration(timeoutMs)}`);
}

/**
 * A probe as a strategy: with a place among those that run at once, a count of how long it took, and what its
 * trouble means.
 */
export function probeStrategy(
  probe: ProbeName,
  policy: Pick<BidPolicy, 'probeTimeoutMs' | 'probeConcurrency' | 'probeOnError'>,
  tally: BidTally,
  ask: (job: AskedJob, signal: AbortSignal) => Promise<Verdict>,
): SlowStrategy {
  const { probeTimeoutMs, probeConcurrency, probeOnError } = policy;
  const name = probe === 'exec_probe' ? 'exec probe' : 'HTTP probe';
  return {
    speed: 'slow',
    code: probe,
    applies: () => true,
    enter() {
      const leave = tally.enter(probe, probeConcurrency, probeTimeoutMs + HOLD_MARGIN_MS);
      if (leave !== undefined) return leave;
      tally.failed(probe, 'slots');
      return {
        kind: 'no',
        final: false,
        code: 'probe_slots_full',
        reason: `decide on the job now: as many ${name}s are running as may run at once (${probeConcurrency})`,
      };
    },
    async decide(job, signal) {
      const startedAt = performance.now();
      try {
        return await ask(job, signal);
      } catch (thrown) {
        // Nobody waits for it any more.
        if (signal.aborted) throw thrown;
        const fault = thrown instanceof ProbeTrouble ? thrown.fault : 'lost';
        const why = thrown instanceof ProbeTrouble ? thrown.message : `failed: ${String(thrown)}`;
        tally.failed(probe, fault);
        return {
          kind: 'no',
          final: probeOnError === 'reject',
          code: 'probe_failed',
          reason: `know whether to accept the job: its ${name} ${bounded(why)}`,
        };
      } finally {
        tally.took(probe, performance.now() - startedAt);
      }
    },
  };
}

// ANSI escape sequences, then whatever else no line of a log should hold.
const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|.)/g;
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g;

/** A probe's words as one line that may be shown and stored. */
export function bounded(words: string): string {
  const line = words.replaceAll(ESCAPES, '').replaceAll(CONTROLS, ' ').trim();
  return line.length > REASON_CHARACTERS ? `${line.slice(0, REASON_CHARACTERS - 1)}…` : line;
}
