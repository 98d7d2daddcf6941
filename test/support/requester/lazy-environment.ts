import type { Environment, Table, TableSpec, WriteBatch } from '../../../src/store/environment.ts';
import { openMemoryEnvironment } from '../../../src/store/memory-environment.ts';

type Change = (batch: WriteBatch) => void;

/**
 * A store as LMDB is seen through its interface: what is written becomes visible at a commit in a later turn,
 * and durable at a flush after that. `crash` gives what a restart would find.
 */
export class LazyEnvironment implements Environment {
  readonly kind = 'memory';
  readonly path = '';
  readonly #visible: Environment;
  /** What a restart would find. */
  readonly #durable: Change[] = [];
  readonly #hooks: Change[] = [];
  #uncommitted: Change[] = [];
  #unflushed: Change[] = [];
  #commits: (() => void)[] = [];
  #flushes: (() => void)[] = [];
  #isAutomatic: boolean;
  #scheduled = false;
  #isDead = false;

  constructor(options: { readonly automatic?: boolean; readonly durable?: readonly Change[] } = {}) {
    this.#visible = openMemoryEnvironment();
    for (const change of options.durable ?? []) {
      this.#visible.write(change);
      this.#durable.push(change);
    }
    this.#isAutomatic = options.automatic ?? true;
  }

  table<V>(spec: TableSpec): Table<V> {
    return this.#visible.table<V>(spec);
  }

  write(change: Change): void {
    this.#record(change);
    if (!this.#isAutomatic || this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.commit();
      setImmediate(() => this.flush());
    });
  }

  writeLater(change: Change): void {
    this.write(change);
  }

  committed(): Promise<void> {
    if (this.#uncommitted.length === 0 && !this.#isDead) return Promise.resolve();
    return new Promise((resolve) => this.#commits.push(resolve));
  }

  flushed(): Promise<void> {
    if (this.#uncommitted.length + this.#unflushed.length === 0 && !this.#isDead) return Promise.resolve();
    return new Promise((resolve) => this.#flushes.push(resolve));
  }

  beforeCommit(hook: Change): void {
    this.#hooks.push(hook);
  }

  failure(): undefined {
    return undefined;
  }

  close(): Promise<void> {
    this.commit();
    this.flush();
    return Promise.resolve();
  }

  commit(): void {
    if (this.#isDead) return;
    if (this.#uncommitted.length > 0) for (const hook of this.#hooks) this.#record(hook);
    for (const change of this.#uncommitted) this.#visible.write(change);
    this.#unflushed.push(...this.#uncommitted);
    this.#uncommitted = [];
    const waiting = this.#commits;
    this.#commits = [];
    for (const resolve of waiting) resolve();
  }

  flush(): void {
    if (this.#isDead) return;
    this.#durable.push(...this.#unflushed);
    this.#unflushed = [];
    if (this.#uncommitted.length > 0) return;
    const waiting = this.#flushes;
    this.#flushes = [];
    for (const resolve of waiting) resolve();
  }

  /** Nothing written from now on reaches the disk; returns an environment over what has. */
  crash(): LazyEnvironment {
    this.#isAutomatic = false;
    this.#isDead = true;
    this.#unflushed = [];
    this.#uncommitted = [];
    return new LazyEnvironment({ durable: this.#durable });
  }

  #record(change: Change): void {
    const steps: Change[] = [];
    change({
      put: (table, key, value) => steps.push((batch) => batch.put(table, key, value)),
      remove: (table, key) => steps.push((batch) => batch.remove(table, key)),
    });
    this.#uncommitted.push((batch) => {
      for (const step of steps) step(batch);
    });
  }
}
