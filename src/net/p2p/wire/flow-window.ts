import { WireFault } from './fault.ts';

/** Bytes in flight at first, at least, and at most: one yamux window (host-limits.ts). */
const FIRST_BYTES = 131_072;
const LEAST_BYTES = 65_536;
const MOST_BYTES = 524_288;
const STEP_BYTES = 32_768;
/** How much longer than the shortest round trip a piece may take: that long it keeps small messages waiting. */
const DELAY_MS = 2;
/** On a long path as a share of it: it varies more, and small messages take as long anyway. */
const DELAY_SHARE = 0.25;
const SHRINK = 0.7;
/** The path may have become longer: the shortest round trip is forgotten, little by little. */
const FORGET = 0.001;

/**
 * How much of a large transfer may be under way. The receiver says how much it has taken; where pieces begin to
 * queue, in this process, in the network or over there, less is sent at once, so that the messages beside it
 * need not wait behind them.
 */
export class FlowWindow {
  #window = FIRST_BYTES;
  #sent = 0;
  #taken = 0;
  readonly #marks: { end: number; atMs: number }[] = [];
  #shortestMs = Number.POSITIVE_INFINITY;
  /** Pieces sent before the last change say nothing about it. */
  #changedAt = 0;

  get isFull(): boolean {
    return this.#sent - this.#taken >= this.#window;
  }

  /** Everything sent has been taken. */
  get isEmpty(): boolean {
    return this.#sent === this.#taken;
  }

  sent(bytes: number, nowMs: number): void {
    this.#sent += bytes;
    this.#marks.push({ end: this.#sent, atMs: nowMs });
  }

  /** The receiver has taken `total` bytes in all. @throws WireFault sequence */
  taken(total: number, nowMs: number): void {
    if (total < this.#taken || total > this.#sent) {
      throw new WireFault(
        'sequence',
        `${total} bytes taken, of ${this.#sent} sent and ${this.#taken} taken before`,
      );
    }
    this.#taken = total;
    let last: { end: number; atMs: number } | undefined;
    while ((this.#marks[0]?.end ?? Number.POSITIVE_INFINITY) <= total) last = this.#marks.shift();
    if (last === undefined) return;
    const tripMs = nowMs - last.atMs;
    this.#shortestMs = Math.min(this.#shortestMs + tripMs * FORGET, tripMs);
    if (tripMs - this.#shortestMs <= Math.max(DELAY_MS, this.#shortestMs * DELAY_SHARE)) {
      this.#window = Math.min(MOST_BYTES, this.#window + STEP_BYTES);
    } else if (last.end > this.#changedAt) {
      this.#window = Math.max(LEAST_BYTES, this.#window * SHRINK);
      this.#changedAt = this.#sent;
    }
  }
}
