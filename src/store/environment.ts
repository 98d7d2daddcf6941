import type { NodeError } from '../core/errors.ts';

/** A key: text, number or an array of them. Arrays order by element; numbers before text. */
export type Key = string | number | readonly (string | number)[];

/** Declared once in tables.ts; names are never reused for another meaning. */
export interface TableSpec {
  readonly name: string;
  /** msgpack: any plain value. bytes: Uint8Array kept as it is. */
  readonly encoding: 'msgpack' | 'bytes';
}

export interface RangeOptions {
  /** Inclusive: where to begin. With `reverse` the highest key, and `end` the lowest. */
  readonly start?: Key;
  /** Exclusive. */
  readonly end?: Key;
  readonly reverse?: boolean;
  readonly limit?: number;
  /** Entries to pass over first. */
  readonly offset?: number;
}

/**
 * One ordered map. Reads see what is committed: call `environment.committed()` first when own writes must show.
 * A key or a bound too long to be any row's finds nothing.
 */
export interface Table<V> {
  get(key: Key): V | undefined;
  has(key: Key): boolean;
  /** Materialised at once: no snapshot is held across an await. Use `limit` and go on from the last key. */
  range(options?: RangeOptions): { key: Key; value: V }[];
  keys(options?: RangeOptions): Key[];
  count(options?: RangeOptions): number;
  /** Number of entries, O(1). */
  size(): number;
}

/** Writes of one atomic change. */
export interface WriteBatch {
  put<V>(table: Table<V>, key: Key, value: V): void;
  remove<V>(table: Table<V>, key: Key): void;
}

/**
 * One store of one role: LMDB, or memory. One owner, on the main thread. Writes are grouped: everything
 * written in one turn of the event loop is one transaction, and transactions share flushes.
 */
export interface Environment {
  readonly kind: 'lmdb' | 'memory';
  /** Absolute path of the database file; "" for memory. */
  readonly path: string;
  table<V>(spec: TableSpec): Table<V>;
  /** All writes of the callback become visible together, and durable together, in the order of the calls. */
  write(change: (batch: WriteBatch) => void): void;
  /** As `write`, for what nobody waits for: it goes with the next transaction, or some milliseconds later. */
  writeLater(change: (batch: WriteBatch) => void): void;
  /** Resolves when all writes so far are visible to reads. Resolved at once when none is pending. @throws NodeError StoreFailed, DiskFull */
  committed(): Promise<void>;
  /** Resolves when all writes so far are on disk. One promise shared by all waiters of a flush. @throws NodeError StoreFailed, DiskFull */
  flushed(): Promise<void>;
  /** Registers writes that go at the end of every transaction: what is derived from the others and needs writing once. */
  beforeCommit(hook: (batch: WriteBatch) => void): void;
  /** Why the last attempt to commit failed; undefined when all is well. Writes are kept and tried again meanwhile. */
  failure(): NodeError | undefined;
  /** Flushes and closes. */
  close(): Promise<void>;
}
