/** One exchange with a node: its clock's time lies between the two of this machine. Milliseconds, each of its own clock. */
export interface Exchange {
  readonly sentMs: number;
  readonly nodeMs: number;
  readonly answeredMs: number;
}

/** What must be added to this machine's clock to read a node's: every exchange narrows it down. */
export class ClockOffset {
  #least = Number.NEGATIVE_INFINITY;
  #most = Number.POSITIVE_INFINITY;

  note({ sentMs, nodeMs, answeredMs }: Exchange): void {
    this.#least = Math.max(this.#least, nodeMs - answeredMs);
    this.#most = Math.min(this.#most, nodeMs - sentMs);
  }

  /** Milliseconds; the middle of what is possible. */
  get offsetMs(): number {
    return Number.isFinite(this.#least) ? (this.#least + this.#most) / 2 : 0;
  }

  /** How far off that may be, either way. */
  get uncertaintyMs(): number {
    return Number.isFinite(this.#least) ? Math.abs(this.#most - this.#least) / 2 : 0;
  }
}
