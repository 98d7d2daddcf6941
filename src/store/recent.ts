/**
 * Records written lately, so that a role sees its own writes at once, before they are committed, and reads
 * what it works on without decoding it again. Never forgets a record before it is committed.
 */
export class Recent<V> {
  readonly #limit: number;
  #young = new Map<string, V>();
  #old = new Map<string, V>();
  #weight = 0;

  /** `limit`: sum of weights from which records grow old. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get(id: string): V | undefined {
    const young = this.#young.get(id);
    return young === undefined ? this.#old.get(id) : young;
  }

  set(id: string, value: V, weight = 1): void {
    this.#young.set(id, value);
    this.#weight += weight;
  }

  /**
   * To be called after every commit. What was written since the commit began is at most one generation old,
   * and stays until the next call that finds the limit passed.
   */
  age(): void {
    if (this.#weight < this.#limit) return;
    this.#old = this.#young;
    this.#young = new Map();
    this.#weight = 0;
  }
}
