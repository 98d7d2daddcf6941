import { Packr } from 'msgpackr';
import { NodeError } from '../core/errors.ts';
import type { Key, Table, TableSpec, WriteBatch } from './environment.ts';
import { checkKey } from './keys.ts';

const packr = new Packr({ useRecords: false, int64AsType: 'number' });

/** Bytes of a value as its table keeps them. @throws NodeError StoreFailed */
export function encodeValue(spec: TableSpec, value: unknown): Uint8Array {
  if (spec.encoding === 'msgpack') return packr.pack(value);
  if (value instanceof Uint8Array) return value;
  throw new NodeError(
    'StoreFailed',
    `table ${spec.name} keeps bytes; got ${value === null ? 'null' : typeof value}`,
  );
}

/** The value of a table's bytes. */
export function decodeValue<V>(spec: TableSpec, bytes: Uint8Array): V {
  return (spec.encoding === 'msgpack' ? packr.unpack(bytes) : bytes) as V;
}

/** A table that can say what it is called and how it encodes. */
export interface NamedTable<V> extends Table<V> {
  readonly spec: TableSpec;
}

/** One put, or (no bytes) one removal. */
export interface Operation {
  readonly table: TableSpec;
  readonly key: Key;
  readonly bytes: Uint8Array | undefined;
}

/**
 * Writes in the order in which they were asked for. Values are encoded at once, so that a value changed later
 * is stored as it was.
 */
export class Recorder implements WriteBatch {
  readonly operations: Operation[] = [];
  /** Sum of the values' sizes. */
  bytes = 0;

  put<V>(table: Table<V>, key: Key, value: V): void {
    const { spec } = table as NamedTable<V>;
    checkKey(spec.name, key);
    const bytes = encodeValue(spec, value);
    this.operations.push({ table: spec, key, bytes });
    this.bytes += bytes.length;
  }

  remove<V>(table: Table<V>, key: Key): void {
    const { spec } = table as NamedTable<V>;
    checkKey(spec.name, key);
    this.operations.push({ table: spec, key, bytes: undefined });
  }

  /** Runs `change`; when it throws, what it has written is forgotten. */
  record(change: (batch: WriteBatch) => void): void {
    const mark = this.operations.length;
    const bytes = this.bytes;
    try {
      change(this);
    } catch (error) {
      this.operations.length = mark;
      this.bytes = bytes;
      throw error;
    }
  }
}
