import type { Environment, Key, Table, WriteBatch } from './environment.ts';
import {
  type Chunk,
  encodeChunk,
  MAX_SPAN,
  type NewRow,
  partsOf,
  rowsAfter,
  rowsOf,
} from './history-chunk.ts';
import { LAST_NUMBER } from './keys.ts';
import type { HistoryRow } from './records.ts';
import { historyByOwnerTable, historyTable } from './tables.ts';

/** Keys of chunks read at once. */
const PAGE = 128;

/** Seq of the last row of the chunk, and how many of its rows are the owner's. */
type Entry = readonly [last: number, count: number];

function elements(key: Key): readonly (string | number)[] {
  return typeof key === 'object' ? key : [key];
}

/**
 * History of one role: rows that are committed together are stored together, in few chunks. The index by owner has one
 * entry a chunk. Chunks of rows that were numbered long before (of open bids, which move here when they are accepted)
 * lie among others; all others follow each other.
 */
export class History {
  readonly #role: HistoryRow['role'];
  readonly #chunks: Table<Chunk>;
  readonly #byOwner: Table<Entry>;
  #open: NewRow[] = [];
  /** The highest seq in a chunk. */
  #highest: number;

  constructor(
    options: { readonly role: HistoryRow['role']; readonly lastSeq: number },
    environment: Environment,
  ) {
    this.#role = options.role;
    this.#highest = options.lastSeq;
    this.#chunks = environment.table(historyTable);
    this.#byOwner = environment.table(historyByOwnerTable);
  }

  /** Rows that wait for the end of the transaction. */
  get waiting(): number {
    return this.#open.length;
  }

  /** The row goes with the transaction that is cut next. */
  add(added: NewRow): void {
    this.#open.push(added);
  }

  /** Forgets rows again that were added since `waiting` was `count`. */
  takeBack(count: number): void {
    this.#open.splice(count);
  }

  /** To be called at the end of every transaction. */
  write(batch: WriteBatch): void {
    if (this.#open.length === 0) return;
    const rows = this.#open.sort((a, b) => a.row.seq - b.row.seq);
    this.#open = [];
    // Apart, so that all chunks of one owner are in the order of its rows.
    const late = rows.findLastIndex(({ row }) => row.seq <= this.#highest) + 1;
    for (const part of partsOf(rows.slice(0, late))) this.#put(batch, part);
    for (const part of partsOf(rows.slice(late))) this.#put(batch, part);
    this.#highest = Math.max(this.#highest, rows.at(-1)?.row.seq ?? 0);
  }

  #put(batch: WriteBatch, part: readonly NewRow[]): void {
    const first = part[0]?.row.seq ?? 0;
    const last = part.at(-1)?.row.seq ?? first;
    batch.put(this.#chunks, [first, last], encodeChunk(part));
    const counts = new Map<string, number>();
    for (const { row, isListed } of part) {
      const owner = this.#role === 'requester' ? row.jobId : row.executionId;
      if (isListed) counts.set(owner, (counts.get(owner) ?? 0) + 1);
    }
    for (const [owner, count] of counts) batch.put(this.#byOwner, [owner, first], [last, count]);
  }

  /** Listed rows of one job or execution, oldest first. */
  of(owner: string, { offset, limit }: { readonly offset: number; readonly limit: number }): HistoryRow[] {
    const rows: HistoryRow[] = [];
    let skip = offset;
    const range = { start: [owner, 0], end: [owner, LAST_NUMBER], limit: offset + limit };
    for (const { key, value } of this.#byOwner.range(range)) {
      const [last, count] = value;
      if (skip >= count) {
        skip -= count;
        continue;
      }
      const chunk = this.#chunks.get([elements(key)[1] ?? 0, last]);
      if (chunk !== undefined) rows.push(...rowsOf(chunk, this.#role, owner).slice(skip));
      skip = 0;
      if (rows.length >= limit) break;
    }
    return rows.slice(0, limit);
  }

  /** Rows with a greater seq, oldest first. */
  after(after: number, limit: number): HistoryRow[] {
    const rows: HistoryRow[] = [];
    for (const [first, last] of this.#spans(Math.max(0, after + 1 - MAX_SPAN))) {
      // Whatever comes now begins here.
      if ((rows[limit - 1]?.seq ?? LAST_NUMBER) < first) break;
      if (last <= after) continue;
      const chunk = this.#chunks.get([first, last]);
      if (chunk === undefined) continue;
      const overlaps = first < (rows.at(-1)?.seq ?? 0);
      rows.push(...rowsAfter(chunk, this.#role, after));
      if (overlaps) rows.sort((a, b) => a.seq - b.seq);
    }
    return rows.slice(0, limit);
  }

  *#spans(from: number): Generator<readonly [first: number, last: number]> {
    let start: Key = [from];
    let offset = 0;
    for (;;) {
      const keys = this.#chunks.keys({ start, offset, limit: PAGE });
      for (const key of keys) {
        const [first, last] = elements(key);
        yield [Number(first), Number(last)];
      }
      const last = keys.at(-1);
      if (last === undefined || keys.length < PAGE) return;
      start = last;
      offset = 1;
    }
  }
}
