import { NO_BODY, tooLarge } from './exchange.ts';

/** Puts a body together that comes in pieces, up to a bound; what is over it is thrown away as it comes. */
export class BodyCollector {
  /** True when its last piece has come, or never will. */
  complete = false;
  readonly #limit: number;
  #chunks: Buffer[] = [];
  #bytes = 0;
  readonly #whole: PromiseWithResolvers<Uint8Array> = Promise.withResolvers();

  /** @param limit bytes */
  constructor(limit: number) {
    this.#limit = limit;
    // A route may not care for the body.
    this.#whole.promise.catch(() => {});
  }

  /** One piece, copied: its memory belongs to the server. */
  take(chunk: ArrayBuffer, last: boolean): void {
    this.#bytes += chunk.byteLength;
    if (this.#bytes > this.#limit) this.fail(tooLarge(this.#limit));
    else if (chunk.byteLength > 0) this.#chunks.push(Buffer.from(Buffer.from(chunk)));
    if (!last) return;
    this.complete = true;
    const [first, second] = this.#chunks;
    this.#whole.resolve(second === undefined ? (first ?? NO_BODY) : Buffer.concat(this.#chunks));
    this.#chunks = [];
  }

  /** It will not come, or is not wanted. */
  fail(error: Error): void {
    this.#chunks = [];
    this.#whole.reject(error);
  }

  /** @throws NodeError BodyTooLarge, ClientGone */
  whole(): Promise<Uint8Array> {
    return this.#whole.promise;
  }
}
