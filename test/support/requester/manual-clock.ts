import type { Clock, Timer } from '../../../src/core/clock.ts';

/** A clock that stands still until it is moved. Timers run in order of their time. */
export class ManualClock implements Clock {
  #nowMs = 1_700_000_000_000;
  #ticks = 0;
  #timers: { atMs: number; callback: () => void }[] = [];

  /** Rises by one with every reading, so that no two records are of the same time. */
  nowMicros(): number {
    this.#ticks += 1;
    return this.#nowMs * 1000 + this.#ticks;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  at(atMs: number, callback: () => void): Timer {
    const timer = { atMs, callback };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }

  get pendingTimers(): number {
    return this.#timers.length;
  }

  /** Moves on by `ms`, running what falls due. */
  advance(ms: number): void {
    const until = this.#nowMs + ms;
    for (;;) {
      const due = this.#timers.filter(({ atMs }) => atMs <= until).sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((other) => other !== due);
      if (due.atMs > this.#nowMs) this.#setNow(due.atMs);
      due.callback();
    }
    this.#setNow(until);
  }

  #setNow(ms: number): void {
    if (ms > this.#nowMs) {
      this.#nowMs = ms;
      this.#ticks = 0;
    }
  }
}

/** Lets everything that is due in the event loop run, `count` turns of it. */
export async function turns(count = 8): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
