import type { HistoryRow } from '../store/records.ts';
import type { HistoryReader } from '../store/role-log.ts';
import { Merge } from './merge.ts';

/** Rows of both roles' logs, oldest first, and where to go on. */
export interface Page {
  readonly rows: readonly HistoryRow[];
  readonly next: number;
}

/** At most `limit` rows of each log with a seq from `from` to below `below`: one short read. */
export function readPage(
  logs: readonly HistoryReader[],
  { from, below, limit }: { readonly from: number; readonly below: number; readonly limit: number },
): Page {
  const merge = new Merge();
  let next = below;
  for (const log of logs) {
    const rows = log.log({ after: from - 1, limit });
    merge.add(log.role, rows);
    const last = rows.at(-1);
    // Behind a full page this log has more, which must not be overtaken by the other's.
    if (last !== undefined && rows.length === limit) next = Math.min(next, last.seq + 1);
  }
  return { rows: merge.take(next), next };
}

/**
 * The seq of the first event at or after `micros`, by bisection: times rise with the seq, but for steps of the clock.
 * `below` where there is none.
 */
export function seqAt(logs: readonly HistoryReader[], micros: number, below: number): number {
  let low = 1;
  let high = below;
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2);
    const { rows } = readPage(logs, { from: middle, below: high, limit: 1 });
    const [row] = rows;
    if (row === undefined) high = middle;
    else if (row.time >= micros) high = middle;
    else low = row.seq + 1;
  }
  return low;
}
