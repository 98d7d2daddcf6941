import type { ExecutionId } from '../core/ids.ts';
import { executionCodec, headerCodec } from './codecs.ts';
import type { Environment, Table, WriteBatch } from './environment.ts';
import { type Chunk, encodeChunk, rowsAfter } from './history-chunk.ts';
import type { HistoryRow, LocalExecution } from './records.ts';
import { bidsTable } from './tables.ts';

type Tuple = readonly unknown[];
/** Record, header, and history. */
type StoredBid = readonly [Tuple, Tuple, Chunk];

/** A bid that has not been answered. */
export interface OpenBid {
  readonly record: LocalExecution;
  readonly rows: readonly HistoryRow[];
}

/**
 * Bids that nobody has answered: one row each instead of nine, because most of them are turned down and forgotten. What
 * is accepted, or ends otherwise, moves to the tables of executions. All are in memory: there are no more of them than
 * places to wait.
 */
export class OpenBids {
  readonly #table: Table<StoredBid>;
  readonly #open = new Map<ExecutionId, OpenBid>();
  /** Moved, and perhaps not on disk yet: until then, readers of the tables do not find them there. */
  #moved = new Map<ExecutionId, OpenBid>();
  #movedBefore = new Map<ExecutionId, OpenBid>();

  constructor(environment: Environment) {
    this.#table = environment.table<StoredBid>(bidsTable);
    for (const { key, value } of this.#table.range()) this.#open.set(String(key), decode(value));
  }

  /** The bid, as its writer sees it: not one that has moved. */
  get(id: ExecutionId): OpenBid | undefined {
    return this.#open.get(id);
  }

  /** Those that are committed as open bids at this moment, the oldest first. */
  *committed(): Generator<OpenBid> {
    for (const bids of this.#all()) {
      for (const [id, bid] of bids) if (this.#table.has(id)) yield bid;
    }
  }

  /** History of committed bids after a seq, in order. */
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

  /** History of a committed bid. */
  historyOf(id: ExecutionId): readonly HistoryRow[] {
    const bid = this.#all()
      .find((bids) => bids.has(id))
      ?.get(id);
    return bid !== undefined && this.#table.has(id) ? bid.rows : [];
  }

  /** To be called inside `environment.write`, and `add` after it. */
  put(batch: WriteBatch, { record, rows }: OpenBid): void {
    const { header, ...changing } = record;
    batch.put(this.#table, header.executionId, [
      executionCodec.encode(changing),
      headerCodec.encode(header),
      encodeChunk(rows.map((row) => ({ row, isListed: true }))),
    ]);
  }

  add(bid: OpenBid): void {
    this.#open.set(bid.record.header.executionId, bid);
  }

  /** To be called inside `environment.write`, and `moved` or `forgotten` after it. */
  remove(batch: WriteBatch, id: ExecutionId): void {
    batch.remove(this.#table, id);
  }

  /** It is in the tables of executions from this transaction on. */
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

function decode([changing, header, history]: StoredBid): OpenBid {
  return {
    record: { header: headerCodec.decode(header), ...executionCodec.decode(changing) },
    rows: rowsAfter(history, 'compute', 0),
  };
}
