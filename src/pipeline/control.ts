import type { Clock, Timer } from '../core/clock.ts';
import { formatDuration } from '../core/duration.ts';
import type { Item, StopCause } from './item.ts';

/** A run shorter than this is never recorded as Running on its own: its end follows at once. */
export const LAZY_RUNNING_MS = 50;

export interface ControlOptions {
  readonly defaultExecutionTimeoutMs: number;
}

export interface ControlModules {
  readonly clock: Clock;
  /** Ends the item early, wherever it stands. */
  readonly stop: (item: Item, cause: StopCause) => void;
  /** The run has gone on for LAZY_RUNNING_MS. */
  readonly onLongRun: (item: Item) => void;
}

/**
 * The clocks of executions: queue (accepted, not started), execution (the job's own code runs) and total.
 * What they decide goes straight to wherever the item stands, never behind work.
 */
export class Control {
  readonly #options: ControlOptions;
  readonly #modules: ControlModules;
  /** Runs not yet known to be long, in order of their start. */
  readonly #young = new Map<Item, number>();
  #look: Timer | undefined;
  #stopped = false;

  constructor(options: ControlOptions, modules: ControlModules) {
    this.#options = options;
    this.#modules = modules;
  }

  /** The item was accepted at `record.acceptTime`: queue and total clocks start there. */
  accepted(item: Item): void {
    const acceptedMs = Math.floor(item.record.acceptTime / 1000);
    const { queueTimeoutMs, totalTimeoutMs } = item.header;
    if (queueTimeoutMs > 0) {
      this.#arm(item, acceptedMs + queueTimeoutMs, () => {
        if (item.station !== 'admit') return;
        this.#timeout(
          item,
          `execution waited for capacity longer than its queue timeout of ${formatDuration(queueTimeoutMs)}`,
        );
      });
    }
    if (totalTimeoutMs > 0) {
      this.#arm(item, acceptedMs + totalTimeoutMs, () => {
        this.#timeout(
          item,
          `execution took longer than its total timeout of ${formatDuration(totalTimeoutMs)}`,
        );
      });
    }
  }

  /** The job's own code has started. */
  running(item: Item): void {
    if (this.#stopped) return;
    const asked = item.header.executionTimeoutMs;
    const limitMs = asked > 0 ? asked : this.#options.defaultExecutionTimeoutMs;
    const now = this.#modules.clock.nowMs();
    if (Number.isFinite(limitMs) && limitMs > 0) {
      this.#arm(item, now + limitMs, () => {
        this.#timeout(item, `execution timed out: it took longer than ${formatDuration(limitMs)}`);
      });
    }
    this.#young.set(item, now);
    this.#armLook();
  }

  /** The engine has stopped: publishing is not the job's time any more. */
  ended(item: Item): void {
    this.#young.delete(item);
    for (const timer of item.timers ?? []) timer.cancel();
    item.timers = undefined;
  }

  /** Runs that are told of from now on, while their threads let go of them, get no clocks. */
  stop(): void {
    this.#stopped = true;
    this.#look?.cancel();
    this.#look = undefined;
    this.#young.clear();
  }

  #timeout(item: Item, cause: string): void {
    this.#modules.stop(item, { why: 'timeout', cause });
  }

  #arm(item: Item, atMs: number, callback: () => void): void {
    item.timers ??= [];
    item.timers.push(this.#modules.clock.at(atMs, callback));
  }

  #armLook(): void {
    if (this.#look !== undefined) return;
    const { clock } = this.#modules;
    this.#look = clock.at(clock.nowMs() + LAZY_RUNNING_MS, () => {
      this.#look = undefined;
      const old = clock.nowMs() - LAZY_RUNNING_MS;
      for (const [item, sinceMs] of this.#young) {
        if (sinceMs > old) break;
        this.#young.delete(item);
        this.#modules.onLongRun(item);
      }
      if (this.#young.size > 0) this.#armLook();
    });
  }
}
