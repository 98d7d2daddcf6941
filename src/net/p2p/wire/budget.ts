/** Memory that all peers share: bodies, messages being handled, messages that wait to be sent. */
export class ByteBudget {
  readonly #most: number;
  readonly #waiting = new Set<() => void>();
  #used = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get used(): number {
    return this.#used;
  }

  /** True when more is in use than there should be. */
  get isSpent(): boolean {
    return this.#used >= this.#most;
  }

  /** False, and nothing is taken, where it does not fit. */
  tryTake(bytes: number): boolean {
    if (this.#used + bytes > this.#most) return false;
    this.#used += bytes;
    return true;
  }

  /** Takes what is in memory already. */
  take(bytes: number): void {
    this.#used += bytes;
  }

  give(bytes: number): void {
    this.#used -= bytes;
    if (this.#waiting.size === 0) return;
    for (const retry of [...this.#waiting]) retry();
  }

  /** Calls back whenever something has been given. The answer ends it. */
  onGiven(retry: () => void): () => void {
    this.#waiting.add(retry);
    return () => this.#waiting.delete(retry);
  }
}
