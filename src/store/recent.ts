import { compareKeys, LAST_TEXT } from './keys.ts';

/** Most records that are kept because they were read. */
const MAX_READ = 1024;

/**
 * Records written lately, so that a role sees its own writes at once, before they are committed, and reads
 * what it works on without decoding it again. Never forgets a record before it is committed. Keys are ids, which
 * are time-ordered: one above the highest that was ever written is in no table, and need not be looked for.
 */
export class Recent<V> {
  readonly #limit: number;
  #highest: string;
  readonly #read = new Map<string, V>();
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
    if (young !== undefined) return young;
    const old = this.#old.get(id);
    return old === undefined ? this.#read.get(id) : old;
  }

  /** True when the table can not have it. */
  isNew(id: string): boolean {
    return compareKeys(id, this.#highest) > 0;
  }

  set(id: string, value: V, weight = 1): void {
    this.#young.set(id, value);
    this.#weight += weight;
    this.#read.delete(id);
    if (this.isNew(id)) this.#highest = id;
  }

  /** Keeps what was read from the table and will be needed again soon; of much, the latest. */
  keep(id: string, value: V): V {
    if (this.#read.size >= MAX_READ) this.#read.clear();
    this.#read.set(id, value);
    return value;
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
