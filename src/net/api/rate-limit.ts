import { TokenBucket } from '../../core/token-bucket.ts';

const MAX_ADDRESSES = 10_000;

/** True for addresses of this machine. */
export function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}

/** A token bucket for each remote address, with one second's worth of burst. The loopback is never limited. */
export class RateLimiter {
  readonly #perSecond: number;
  readonly #addresses: Map<string, TokenBucket> = new Map();

  /** @param perSecond requests a second of one address; 0 means no limit */
  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** Takes one request of `address` at `nowMs`; false when it must wait. */
  take(address: string, nowMs: number): boolean {
    if (this.#perSecond === 0 || isLoopback(address)) return true;
    let bucket = this.#addresses.get(address);
    if (bucket === undefined) {
      if (this.#addresses.size >= MAX_ADDRESSES) this.#forget(nowMs);
      bucket = new TokenBucket(this.#perSecond, this.#perSecond, nowMs);
      this.#addresses.set(address, bucket);
    }
    return bucket.tryTake(1, nowMs);
  }

  /** An address that was silent for a second has its whole allowance again: nothing is lost by forgetting it. */
  #forget(nowMs: number): void {
    for (const [address, bucket] of this.#addresses) {
      if (bucket.isFull(nowMs)) this.#addresses.delete(address);
    }
    // Under a flood from more addresses than are remembered, the longest known ones start anew.
    for (const address of this.#addresses.keys()) {
      if (this.#addresses.size < MAX_ADDRESSES) break;
      this.#addresses.delete(address);
    }
  }
}
