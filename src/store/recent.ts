import { compareKeys, LAST_TEXT } from './keys.ts';

/**
 * Records written lately, so that a role sees its own writes at once, before they are committed, and reads
 * what it works on without decoding it again. Never forgets a record before it is committed. Keys are ids, which
 * are time-ordered: one above the highest that was ever written is in no table, and need not be looked for.
 */
export class Recent<V> {
  readonly #limit: number;
  #highest: string;
  #young = new Map<string, V>();
  #old = new Map<string, V>();
  #weight = 0;

  /** `limit`: sum of weights from which records grow old; `highest`: of the ids in the table, where `isNew` is asked. */
  constructor(limit: number, highest: string = LAST_TEXT) {
    this.#limit = limit;
    this.#highest = highest;
  }

  get(id: string): V | undefined {
    const young = this.#young.get(id);
    return young === undefined ? this.#old.get(id) : young;
  }

  /** True when the table can not have it. */
  isNew(id: string): boolean {
    return compareKeys(id, this.#highest) > 0;
  }

  set(id: string, value: V, weight = 1): void {
    this.#young.set(id, value);
    this.#weight += weight;
    if (this.isNew(id)) this.#highest = id;
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
