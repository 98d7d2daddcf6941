const MAX_ADDRESSES = 10_000;

interface Allowance {
  tokens: number;
  updatedMs: number;
}

/** True for addresses of this machine. */
export function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}

/** A token bucket for each remote address, with one second's worth of burst. The loopback is never limited. */
export class RateLimiter {
  readonly #perSecond: number;
  readonly #addresses: Map<string, Allowance> = new Map();

  /** @param perSecond requests a second of one address; 0 means no limit */
  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** Takes one request of `address` at `nowMs`; false when it must wait. */
  take(address: string, nowMs: number): boolean {
    if (this.#perSecond === 0 || isLoopback(address)) return true;
    const known = this.#addresses.get(address);
    if (known === undefined) {
      if (this.#addresses.size >= MAX_ADDRESSES) this.#forget(nowMs);
      this.#addresses.set(address, { tokens: this.#perSecond - 1, updatedMs: nowMs });
      return true;
    }
    const earned = ((nowMs - known.updatedMs) / 1000) * this.#perSecond;
    known.tokens = Math.min(this.#perSecond, known.tokens + Math.max(0, earned));
    known.updatedMs = nowMs;
    if (known.tokens < 1) return false;
    known.tokens -= 1;
    return true;
  }

  /** An address that was silent for a second has its whole allowance again: nothing is lost by forgetting it. */
  #forget(nowMs: number): void {
    for (const [address, { updatedMs }] of this.#addresses) {
      if (nowMs - updatedMs >= 1000) this.#addresses.delete(address);
    }
    // Under a flood from more addresses than are remembered, the longest known ones start anew.
    for (const address of this.#addresses.keys()) {
      if (this.#addresses.size < MAX_ADDRESSES) break;
      this.#addresses.delete(address);
    }
  }
}
