import type { JobId } from '../core/ids.ts';
import type { LiveJob } from './change.ts';
import type { ChangeListener } from './planner.ts';

/** Lets a reader wait for the next change of one job. */
export class Watchers implements ChangeListener {
  readonly #waiting = new Map<JobId, Set<() => void>>();

  changed(live: LiveJob): void {
    const waiting = this.#waiting.get(live.id);
    if (waiting === undefined) return;
    this.#waiting.delete(live.id);
    for (const wake of waiting) wake();
  }

  /** Resolves with the next change of the job. Rejects with the signal's reason when it is aborted. */
  next(jobId: JobId, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting.get(jobId) ?? new Set();
      this.#waiting.set(jobId, waiting);
      const onAbort = (): void => {
        waiting.delete(wake);
        if (waiting.size === 0 && this.#waiting.get(jobId) === waiting) this.#waiting.delete(jobId);
        reject(signal?.reason instanceof Error ? signal.reason : new Error('the wait was aborted'));
      };
      const wake = (): void => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      waiting.add(wake);
      if (signal?.aborted === true) onAbort();
      else signal?.addEventListener('abort', onAbort, { once: true });
    });
  }
}
