import { NodeError } from '../core/errors.ts';
import type { Environment, Key, RangeOptions, TableSpec, WriteBatch } from './environment.ts';
import { decodeValue, type NamedTable, Recorder } from './recorder.ts';
import { SortedMap } from './sorted-map.ts';

/** Values are kept encoded, so that a reader never shares an object with a writer. */
class MemoryTable<V> implements NamedTable<V> {
  readonly spec: TableSpec;
  readonly entries: SortedMap<Uint8Array> = new SortedMap();

  constructor(spec: TableSpec) {
    this.spec = spec;
  }

  get(key: Key): V | undefined {
    const bytes = this.entries.get(key);
    return bytes === undefined ? undefined : decodeValue<V>(this.spec, bytes);
  }

  has(key: Key): boolean {
    return this.entries.has(key);
  }

  range(options: RangeOptions = {}): { key: Key; value: V }[] {
    const rows: { key: Key; value: V }[] = [];
    this.entries.walk(options, (key, bytes) => {
      rows.push({ key, value: decodeValue<V>(this.spec, bytes) });
      return true;
    });
    return rows;
  }

  keys(options: RangeOptions = {}): Key[] {
    const keys: Key[] = [];
    this.entries.walk(options, (key) => {
      keys.push(key);
      return true;
    });
    return keys;
  }

  count(options: RangeOptions = {}): number {
    let count = 0;
    this.entries.walk(options, () => {
      count += 1;
      return true;
    });
    return count;
  }

  size(): number {
    return this.entries.size;
  }
}

const DONE: Promise<void> = Promise.resolve();

/** The store type `memory`: ordered maps on the heap. Everything is gone when the process ends. */
class MemoryEnvironment implements Environment {
  readonly kind = 'memory';
  readonly path = '';
  readonly #tables = new Map<string, MemoryTable<unknown>>();
  readonly #hooks: ((batch: WriteBatch) => void)[] = [];
  #closed = false;

  table<V>(spec: TableSpec): MemoryTable<V> {
    let table = this.#tables.get(spec.name);
    if (table === undefined) {
      table = new MemoryTable(spec);
      this.#tables.set(spec.name, table);
    }
    return table as MemoryTable<V>;
  }

  writeLater(change: (batch: WriteBatch) => void): void {
    this.write(change);
  }

  write(change: (batch: WriteBatch) => void): void {
    if (this.#closed) throw new NodeError('StoreFailed', 'the memory store is closed');
    const recorder = new Recorder();
    recorder.record(change);
    for (const hook of this.#hooks) recorder.record(hook);
    for (const { table, key, bytes } of recorder.operations) {
      const { entries } = this.table(table);
      if (bytes === undefined) entries.delete(key);
      else entries.set(key, bytes);
    }
  }

  committed(): Promise<void> {
    return DONE;
  }

  flushed(): Promise<void> {
    return DONE;
  }

  beforeCommit(hook: (batch: WriteBatch) => void): void {
    this.#hooks.push(hook);
  }

  failure(): undefined {
    return undefined;
  }

  close(): Promise<void> {
    this.#closed = true;
    return DONE;
  }
}

/** An environment that lives as long as the process. */
export function openMemoryEnvironment(): Environment {
  return new MemoryEnvironment();
}
