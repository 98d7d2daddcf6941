import type { ExecutionId } from '../core/ids.ts';
import { type ExecutionRow, executionCodec } from './codecs.ts';
import type { Table } from './environment.ts';
import { type Chunk, encodeChunk, rowsAfter } from './history-chunk.ts';
import type { HistoryRow, LocalExecution } from './records.ts';

/** An execution that has not ended: its record, and while it is an open bid its history. */
export type LiveRow = readonly [record: ExecutionRow, history?: Chunk];

/** Rows read at once. */
const PAGE = 256;

/** A bid that has not been answered. */
export interface OpenBid {
  readonly record: LocalExecution;
  readonly rows: readonly HistoryRow[];
}

/**
 * Bids that nobody has answered: one row each, because most of them are turned down and forgotten. The history of what
 * is accepted, or ends otherwise, moves to that of all executions. All are in memory: there are no more of them than
 * places to wait.
 */
export class OpenBids {
  readonly #table: Table<LiveRow>;
  readonly #open = new Map<ExecutionId, OpenBid>();
  /** Moved, and perhaps not on disk yet: until then, readers of the tables do not find them there. */
  #moved = new Map<ExecutionId, OpenBid>();
  #movedBefore = new Map<ExecutionId, OpenBid>();

  /** `table`: of all executions that have not ended. */
  constructor(table: Table<LiveRow>) {
    this.#table = table;
    let start = '';
    for (;;) {
      const page = table.range({ ...(start !== '' && { start, offset: 1 }), limit: PAGE });
      for (const { key, value } of page) {
        const [record, history] = value;
        if (history !== undefined) this.#open.set(String(key), decodeBid(record, history));
      }
      if (page.length < PAGE) break;
      start = String(page.at(-1)?.key);
    }
  }

  /** The bid, as its writer sees it: not one that has moved. */
  get(id: ExecutionId): OpenBid | undefined {
    return this.#open.get(id);
  }

  /** Those that are committed at this moment; some have moved, and are among other executions already. */
  *committed(): Generator<OpenBid> {
    for (const bids of this.#all()) {
      for (const [id, bid] of bids) if (this.#table.has(id)) yield bid;
    }
  }

  /** History of committed bids after a seq, in order; some has moved, and is in the log already. */
  rowsAfter(after: number): HistoryRow[] {
    const rows: HistoryRow[] = [];
    for (const bids of this.#all()) {
      for (const [id, bid] of bids) {
        const [first] = bid.rows;
        if (first !== undefined && (bid.rows.at(-1) ?? first).seq > after && this.#table.has(id)) {
          rows.push(...bid.rows.filter(({ seq }) => seq > after));
        }
      }
    }
    return rows.sort((a, b) => a.seq - b.seq);
  }

  /** History of a committed bid, even if it has moved. */
  historyOf(id: ExecutionId): readonly HistoryRow[] {
    const bid = this.#all()
      .find((bids) => bids.has(id))
      ?.get(id);
    return bid !== undefined && this.#table.has(id) ? bid.rows : [];
  }

  add(bid: OpenBid): void {
    this.#open.set(bid.record.header.executionId, bid);
  }

  /** Its history is with that of all executions from this transaction on. */
  moved(id: ExecutionId): void {
    const bid = this.#open.get(id);
    if (bid === undefined) return;
    this.#open.delete(id);
    this.#moved.set(id, bid);
  }

  forgotten(id: ExecutionId): void {
    this.#open.delete(id);
  }

  /** To be called after every commit. What moved since it began is on disk by the next. */
  age(): void {
    if (this.#moved.size + this.#movedBefore.size === 0) return;
    this.#movedBefore = this.#moved;
    this.#moved = new Map();
  }

  #all(): readonly ReadonlyMap<ExecutionId, OpenBid>[] {
    return [this.#movedBefore, this.#moved, this.#open];
  }
}

export function encodeBid({ record, rows }: OpenBid): LiveRow {
  return [executionCodec.encode(record), encodeChunk(rows.map((row) => ({ row, isListed: true })))];
}

function decodeBid(record: ExecutionRow, history: Chunk): OpenBid {
  return { record: executionCodec.decode(record), rows: rowsAfter(history, 'compute', 0) };
}
