import type { HistoryRow } from '../store/records.ts';
import type { EventRole } from './event.ts';

/**
 * Puts the rows of two roles into the order of their seq. Each role tells its own in order, when they are on
 * disk; which come first of the two depends on the disks. A row waits here until none with a lower seq can come.
 */
export class Merge {
  readonly #held: Readonly<Record<EventRole, HistoryRow[]>> = { requester: [], compute: [] };

  get size(): number {
    return this.#held.requester.length + this.#held.compute.length;
  }

  add(role: EventRole, rows: readonly HistoryRow[]): void {
    const held = this.#held[role];
    for (const row of rows) held.push(row);
  }

  /** Takes out the rows below `end`, in order. */
  take(end: number): HistoryRow[] {
    const { requester, compute } = this.#held;
    const taken: HistoryRow[] = [];
    let r = 0;
    let c = 0;
    for (;;) {
      const a = requester[r];
      const b = compute[c];
      const isA = a !== undefined && (b === undefined || a.seq < b.seq);
      const next = isA ? a : b;
      if (next === undefined || next.seq >= end) break;
      taken.push(next);
      if (isA) r += 1;
      else c += 1;
    }
    requester.splice(0, r);
    compute.splice(0, c);
    return taken;
  }

  /** Forgets what waits: it is in the logs. */
  clear(): void {
    this.#held.requester.length = 0;
    this.#held.compute.length = 0;
  }
}
