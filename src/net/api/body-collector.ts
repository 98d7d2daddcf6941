import { BodyBytes } from './body-bytes.ts';
import { NO_BODY, tooLarge } from './exchange.ts';

/** Puts a body together that comes in pieces, up to a bound; what is over it is thrown away as it comes. */
export class BodyCollector {
  /** True when its last piece has come, or never will. */
  complete = false;
  readonly #limit: number;
  /** Undefined once nobody wants it any more. */
  #bytes: BodyBytes | undefined = new BodyBytes();
  readonly #whole: PromiseWithResolvers<Uint8Array> = Promise.withResolvers();

  /** @param limit bytes */
  constructor(limit: number) {
    this.#limit = limit;
    // A route may not care for the body.
    this.#whole.promise.catch(() => {});
  }

  /** One piece, whose memory belongs to the server. */
  take(chunk: ArrayBuffer, last: boolean): void {
    const bytes = this.#bytes;
    if (bytes !== undefined) {
      const piece = Buffer.from(chunk);
      if (bytes.length + piece.length > this.#limit) this.fail(tooLarge(this.#limit));
      // The first one is kept as it is.
      else bytes.append(bytes.length === 0 ? Buffer.from(piece) : piece);
    }
    if (!last) return;
    this.complete = true;
    this.#whole.resolve(bytes?.whole() ?? NO_BODY);
    this.#bytes = undefined;
  }

  /** It will not come, or is not wanted. */
  fail(error: Error): void {
    this.#bytes = undefined;
    this.#whole.reject(error);
  }

  /** @throws NodeError BodyTooLarge, ClientGone */
  whole(): Promise<Uint8Array> {
    return this.#whole.promise;
  }
}
