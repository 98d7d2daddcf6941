import type { Clock, Timer } from '../core/clock.ts';

/** Passes a value on at once, and what comes soon after it at the end of a pause: only the latest. */
export class Spaced<T> {
  readonly #pauseMs: number;
  readonly #clock: Clock;
  readonly #pass: (value: T) => void;
  #pause: Timer | undefined;
  #latest: { readonly value: T } | undefined;

  constructor(
    options: { readonly pauseMs: number },
    modules: { readonly clock: Clock; readonly pass: (value: T) => void },
  ) {
    this.#pauseMs = options.pauseMs;
    this.#clock = modules.clock;
    this.#pass = modules.pass;
  }

  tell(value: T): void {
    if (this.#pause !== undefined) {
      this.#latest = { value };
      return;
    }
    this.#pause = this.#clock.at(this.#clock.nowMs() + this.#pauseMs, () => {
      const latest = this.#latest;
      this.#pause = undefined;
      this.#latest = undefined;
      if (latest !== undefined) this.tell(latest.value);
    });
    this.#pass(value);
  }

  /** What waits is not passed on any more. */
  stop(): void {
    this.#pause?.cancel();
    this.#pause = undefined;
    this.#latest = undefined;
  }
}
