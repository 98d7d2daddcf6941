import { mkdir, statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { type Database, type Key as LmdbKey, open, type RootDatabase } from 'lmdb';
import { NodeError } from '../core/errors.ts';
import type { NodeId } from '../core/ids.ts';
import type { Environment, Key, RangeOptions, TableSpec, WriteBatch } from './environment.ts';
import { GroupCommit } from './group-commit.ts';
import { mayExist } from './keys.ts';
import { type OwnerLock, takeOwnership } from './owner-lock.ts';
import { decodeValue, encodeValue, type NamedTable, type Operation } from './recorder.ts';
import { inspectStoreFile } from './store-file.ts';
import { metaTable, SCHEMA_VERSION } from './tables.ts';

type BytesDatabase = Database<Uint8Array, LmdbKey>;

const MAX_TABLES = 32;
/** Address space, not memory or disk; LMDB maps more when the file outgrows it. */
const FIRST_MAP_BYTES = 256 * 1024 * 1024;
/** Below it a failed write is put down to a full disk: liblmdb reports a short write as an I/O error. */
const FULL_DISK_BYTES = 1024 * 1024;
const FULL_CODES: readonly unknown[] = [28, 122, -30_792];

export interface LmdbOptions {
  /** Database file, its name included. Missing folders are created for the owner only. */
  readonly path: string;
  readonly role: 'compute' | 'requester';
  readonly nodeId: NodeId;
}

/** Row "schema" of the meta table. */
interface SchemaRow {
  readonly version: number;
  readonly role: LmdbOptions['role'];
  readonly nodeId: NodeId;
}

class LmdbTable<V> implements NamedTable<V> {
  readonly spec: TableSpec;
  readonly #environment: LmdbEnvironment;
  readonly #database: BytesDatabase;

  constructor(spec: TableSpec, environment: LmdbEnvironment, database: BytesDatabase) {
    this.spec = spec;
    this.#environment = environment;
    this.#database = database;
  }

  get(key: Key): V | undefined {
    this.#environment.assertOpen();
    if (!mayExist(key)) return undefined;
    const bytes = this.#database.get(key as LmdbKey);
    return bytes === undefined ? undefined : decodeValue<V>(this.spec, bytes);
  }

  has(key: Key): boolean {
    this.#environment.assertOpen();
    return mayExist(key) && this.#database.doesExist(key as LmdbKey);
  }

  range(options: RangeOptions = {}): { key: Key; value: V }[] {
    this.#environment.assertOpen();
    const rows: { key: Key; value: V }[] = [];
    if (!mayExist(options.start) || !mayExist(options.end)) return rows;
    for (const { key, value } of this.#database.getRange(lmdbRange(options))) {
      rows.push({ key: key as Key, value: decodeValue<V>(this.spec, value) });
    }
    return rows;
  }

  keys(options: RangeOptions = {}): Key[] {
    this.#environment.assertOpen();
    if (!mayExist(options.start) || !mayExist(options.end)) return [];
    return [...this.#database.getKeys(lmdbRange(options))] as Key[];
  }

  count(options: RangeOptions = {}): number {
    this.#environment.assertOpen();
    if (!mayExist(options.start) || !mayExist(options.end)) return 0;
    return this.#database.getKeysCount(lmdbRange(options));
  }

  size(): number {
    this.#environment.assertOpen();
    return (this.#database.getStats() as { entryCount: number }).entryCount;
  }
}

interface LmdbRange {
  start?: LmdbKey;
  end?: LmdbKey;
  reverse?: boolean;
  limit?: number;
  offset?: number;
}

function lmdbRange(options: RangeOptions): LmdbRange {
  const range: LmdbRange = {};
  if (options.start !== undefined) range.start = options.start as LmdbKey;
  if (options.end !== undefined) range.end = options.end as LmdbKey;
  if (options.reverse === true) range.reverse = true;
  if (options.limit !== undefined) range.limit = options.limit;
  if (options.offset !== undefined) range.offset = options.offset;
  return range;
}

/**
 * One LMDB file. There is one transaction in flight at a time, so LMDB's overlapping syncs would gain nothing:
 * they are off, and a commit is on disk when it resolves.
 */
class LmdbEnvironment implements Environment {
  readonly kind = 'lmdb';
  readonly path: string;
  readonly #root: RootDatabase<Uint8Array, LmdbKey>;
  readonly #lock: OwnerLock;
  readonly #databases = new Map<string, BytesDatabase>();
  readonly #group: GroupCommit;
  #closed: Promise<void> | undefined;

  constructor(path: string, root: RootDatabase<Uint8Array, LmdbKey>, lock: OwnerLock) {
    this.path = path;
    this.#root = root;
    this.#lock = lock;
    this.#group = new GroupCommit(
      (operations) => this.#commit(operations),
      (error) => this.#explain(error),
    );
  }

  assertOpen(): void {
    if (this.#closed !== undefined) throw new NodeError('StoreFailed', `the store ${this.path} is closed`);
  }

  table<V>(spec: TableSpec): LmdbTable<V> {
    this.assertOpen();
    return new LmdbTable<V>(spec, this, this.#database(spec.name));
  }

  write(change: (batch: WriteBatch) => void): void {
    this.assertOpen();
    this.#group.write(change);
  }

  writeLater(change: (batch: WriteBatch) => void): void {
    this.assertOpen();
    this.#group.writeLater(change);
  }

  committed(): Promise<void> {
    return this.#group.done();
  }

  flushed(): Promise<void> {
    return this.#group.done();
  }

  beforeCommit(hook: (batch: WriteBatch) => void): void {
    this.#group.beforeCommit(hook);
  }

  failure(): NodeError | undefined {
    return this.#group.failure();
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  #database(name: string): BytesDatabase {
    let database = this.#databases.get(name);
    if (database === undefined) {
      database = this.#root.openDB<Uint8Array, LmdbKey>({ name, encoding: 'binary' });
      this.#databases.set(name, database);
    }
    return database;
  }

  async #commit(operations: readonly Operation[]): Promise<void> {
    await this.#root.batch(() => {
      for (const { table, key, bytes } of operations) {
        const database = this.#database(table.name);
        if (bytes === undefined) void database.remove(key as LmdbKey);
        else void database.put(key as LmdbKey, bytes);
      }
    });
  }

  async #explain(thrown: unknown): Promise<NodeError> {
    let error: unknown = thrown;
    if (thrown instanceof Error && 'commitError' in thrown) {
      // The cause comes as a promise that rejects.
      error = await Promise.resolve(thrown.commitError).then(
        () => thrown,
        (cause: unknown) => cause,
      );
    }
    const text = error instanceof Error ? error.message : String(error);
    const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
    const details = { path: this.path };
    if (FULL_CODES.includes(code) || (await this.#diskIsFull())) {
      const message = `no room left on the disk of the store ${this.path}; writes are kept in memory and tried again every second`;
      return new NodeError('DiskFull', message, { cause: error, details });
    }
    return new NodeError('StoreFailed', `cannot write the store ${this.path}: ${text}`, {
      cause: error,
      details,
    });
  }

  async #diskIsFull(): Promise<boolean> {
    try {
      const { bavail, bsize } = await statfs(dirname(this.path));
      return bavail * bsize < FULL_DISK_BYTES;
    } catch {
      return false;
    }
  }

  async #close(): Promise<void> {
    try {
      await this.#group.drain();
    } finally {
      await this.#root.close();
      await this.#lock.release();
    }
  }
}

function checkSchema(path: string, row: SchemaRow | undefined, options: LmdbOptions): 'ours' | NodeError {
  const wrong = (what: string): NodeError =>
    new NodeError('StoreForeign', `the store ${path} ${what}`, { details: { path } });
  if (row === undefined) return wrong('is an LMDB database of another program; it was left as it is');
  if (row.version > SCHEMA_VERSION) {
    return wrong(
      `was written by a newer version of this node (schema ${row.version}; this version reads ${SCHEMA_VERSION})`,
    );
  }
  if (row.version < SCHEMA_VERSION) {
    return wrong(
      `was written by an older version of this node (schema ${row.version}; this version reads ${SCHEMA_VERSION}): move it away to begin with a new one`,
    );
  }
  if (row.role !== options.role)
    return wrong(`holds the ${row.role} role's state, not the ${options.role} role's`);
  if (row.nodeId !== options.nodeId) {
    return wrong(`belongs to node ${row.nodeId}, and this is node ${options.nodeId}`);
  }
  return 'ours';
}

async function prepareSchema(
  root: RootDatabase<Uint8Array, LmdbKey>,
  path: string,
  options: LmdbOptions,
): Promise<void> {
  const isNew = (root.getStats() as { entryCount: number }).entryCount === 0;
  if (!isNew) {
    // Only looks: a table that is not there must not be created in somebody else's file.
    const lookUp = { name: metaTable.name, encoding: 'binary' as const, create: false };
    const found: BytesDatabase | undefined = root.openDB<Uint8Array, LmdbKey>(lookUp);
    const bytes = found?.get('schema');
    const row = bytes === undefined ? undefined : decodeValue<SchemaRow>(metaTable, bytes);
    const verdict = checkSchema(path, row, options);
    if (verdict !== 'ours') throw verdict;
    return;
  }
  const row: SchemaRow = { version: SCHEMA_VERSION, role: options.role, nodeId: options.nodeId };
  const meta = root.openDB<Uint8Array, LmdbKey>({ name: metaTable.name, encoding: 'binary' });
  await meta.put('schema', encodeValue(metaTable, row));
}

function openFailed(path: string, error: unknown): NodeError {
  const text = error instanceof Error ? error.message : String(error);
  const code = /MDB_INVALID|MDB_VERSION_MISMATCH|MDB_CORRUPTED/.test(text) ? 'StoreForeign' : 'StoreFailed';
  return new NodeError(code, `cannot open the store ${path}: ${text}`, { cause: error, details: { path } });
}

/**
 * Opens, or makes, the database of one role of one node, and owns it until it is closed or the process ends.
 * @throws NodeError StoreForeign for a file that is not this role's and node's, StoreLocked when another
 * process (or another part of this one) has it open, StoreFailed when the path cannot be used
 */
export async function openLmdbEnvironment(options: LmdbOptions): Promise<Environment> {
  const path = resolve(options.path);
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw openFailed(path, error);
  }
  await inspectStoreFile(path);
  const lock = await takeOwnership(path).catch((error: unknown) => {
    throw error instanceof NodeError ? error : openFailed(path, error);
  });
  let root: RootDatabase<Uint8Array, LmdbKey> | undefined;
  try {
    root = open<Uint8Array, LmdbKey>({
      path,
      noSubdir: true,
      encoding: 'binary',
      maxDbs: MAX_TABLES,
      mapSize: FIRST_MAP_BYTES,
      overlappingSync: false,
      // Transactions are cut here (group-commit.ts), as explicit batches.
      eventTurnBatching: false,
    });
    await prepareSchema(root, path, options);
    return new LmdbEnvironment(path, root, lock);
  } catch (error) {
    await root?.close();
    await lock.release();
    throw error instanceof NodeError ? error : openFailed(path, error);
  }
}
