import { NodeError } from '../core/errors.ts';

/** Ends a transfer that has fallen silent, however long it may take as a whole. */
export class StallWatch {
  readonly #silence = new AbortController();
  readonly #ms: number;
  readonly #timer: NodeJS.Timeout;
  /** Aborted by the caller's signal, or by silence. */
  readonly signal: AbortSignal;

  /** @param what what falls silent, for the error */
  constructor(ms: number, what: string, signal: AbortSignal) {
    this.#ms = ms;
    this.signal = AbortSignal.any([signal, this.#silence.signal]);
    this.#timer = setTimeout(() => {
      this.#silence.abort(
        new NodeError('InputUnavailable', `${what}: nothing was received for ${this.#ms / 1000} s`),
      );
    }, ms);
  }

  /** Something has moved. */
  touch(): void {
    this.#timer.refresh();
  }

  /** Must be called at the end. Idempotent. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  /** Passes `source` on, and touches with every piece. */
  async *watch<T>(source: AsyncIterable<T>): AsyncGenerator<T> {
    for await (const piece of source) {
      this.touch();
      yield piece;
      this.touch();
    }
  }
}
