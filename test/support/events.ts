import { limits } from '../../src/core/limits.ts';
import type { EventRole, EventType } from '../../src/events/event.ts';
import { EventHub, type HubOptions } from '../../src/events/hub.ts';
import type { HistoryRow } from '../../src/store/records.ts';
import type { HistoryReader } from '../../src/store/role-log.ts';

const UUID = '0197a1b2-c3d4-7000-8000-0000000000';

/** The n-th of a hundred ids. */
export const testJobId = (n: number): string => `j-${UUID}${String(n).padStart(2, '0')}`;
export const testExecutionId = (n: number): string => `e-${UUID}${String(n).padStart(2, '0')}`;
export const testNodeId = (n: number): string =>
  `12D3KooWExampleExampleExample0000000${String(n).padStart(2, '0')}`;

/** A row of the log: its ids, its type and its time follow from its seq and `n`. */
export function testRow(seq: number, role: EventRole, n = seq, level: EventType = 'execution'): HistoryRow {
  return {
    seq,
    role,
    time: 1_795_361_244_000_000 + seq * 1000,
    level,
    jobId: level === 'node' ? '' : testJobId(n % 10),
    jobVersion: 1,
    executionId: level === 'execution' ? testExecutionId(n % 20) : '',
    nodeId: testNodeId(n % 3),
    from: 'Created',
    to: 'Running',
    topic: 'Execution',
    message: `event ${seq} \u00e9\n"quoted"`,
    details: n % 2 === 0 ? {} : { Reason: 'a "reason"' },
  };
}

/** The log of one role whose disk does what a test says. */
export class ScriptedLog implements HistoryReader {
  readonly role: EventRole;
  readonly written: HistoryRow[] = [];
  readonly unwritten: HistoryRow[] = [];
  lost = 1;
  #listener: (rows: readonly HistoryRow[]) => void = () => undefined;

  constructor(role: EventRole) {
    this.role = role;
  }

  /** The first `count` rows that wait are on disk now, and told. */
  flush(count: number = this.unwritten.length): void {
    const rows = this.unwritten.splice(0, count);
    this.written.push(...rows);
    if (rows.length > 0) this.#listener(rows);
  }

  log({ after, limit }: { readonly after: number; readonly limit: number }): HistoryRow[] {
    let low = 0;
    let high = this.written.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.written[middle]?.seq ?? 0) <= after) low = middle + 1;
      else high = middle;
    }
    return this.written.slice(low, low + limit).filter(({ seq }) => seq >= this.lost);
  }

  floor(): number {
    return this.lost;
  }

  firstUnwritten(): number {
    return this.unwritten[0]?.seq ?? Number.POSITIVE_INFINITY;
  }

  onHistory(listener: (rows: readonly HistoryRow[]) => void): void {
    this.#listener = listener;
  }
}

/** A hub over two scripted logs that share a sequence. */
export class ScriptedEvents {
  readonly requester = new ScriptedLog('requester');
  readonly compute = new ScriptedLog('compute');
  readonly hub: EventHub;
  last = 0;

  constructor(bounds: Partial<HubOptions['limits']> = {}) {
    this.hub = new EventHub(
      { limits: { ...limits, ...bounds } },
      { logs: [this.requester, this.compute], lastSeq: () => this.last },
    );
  }

  /** Writes a row of that role; it is not on disk yet. */
  append(role: EventRole, n?: number, level?: EventType): HistoryRow {
    this.last += 1;
    const row = testRow(this.last, role, n, level);
    this[role].unwritten.push(row);
    return row;
  }

  /** A number is given out, and its row is never written. */
  burn(): void {
    this.last += 1;
  }

  /** Rows of both roles that were ever written, in order. */
  all(): HistoryRow[] {
    return [...this.requester.written, ...this.compute.written].sort((a, b) => a.seq - b.seq);
  }
}
