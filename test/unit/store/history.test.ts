import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { History } from '../../../src/store/history.ts';
import { openMemoryEnvironment } from '../../../src/store/memory-environment.ts';
import type { HistoryRow } from '../../../src/store/records.ts';
import { historyByOwnerTable, historyTable } from '../../../src/store/tables.ts';
import { testHistory } from '../../support/store-records.ts';

interface Made {
  readonly row: HistoryRow;
  readonly isListed: boolean;
}

const OWNERS = ['e-1', 'e-2', 'e-3', 'e-4', 'e-5', 'e-6'];

/** Rows are numbered in order; those of an open bid are written when it moves, all at once. */
const steps = fc.array(
  fc.record({
    owner: fc.constantFrom(...OWNERS),
    isListed: fc.boolean(),
    moves: fc.boolean(),
    /** Seqs of the other role before it. */
    gap: fc.oneof(fc.nat(2), fc.nat(700)),
    commits: fc.boolean(),
    restarts: fc.constantFrom(false, false, false, true),
  }),
  { maxLength: 80 },
);

/** All that a reader gets who asks for a page after the other. */
function paged(limit: number, page: (before: readonly HistoryRow[]) => HistoryRow[]): HistoryRow[] {
  const rows: HistoryRow[] = [];
  for (;;) {
    const more = page(rows);
    rows.push(...more);
    if (more.length < limit) return rows;
  }
}

describe('history of a role', () => {
  it('agrees with a sorted list, however rows come together in transactions, those numbered long before too', () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 9 }), (made, limit) => {
        const environment = openMemoryEnvironment();
        let history = new History({ role: 'compute', lastSeq: 0 }, environment);
        const written: Made[] = [];
        const bids = new Map<string, Made[]>(OWNERS.map((owner) => [owner, []]));
        const write = (one: Made): void => {
          history.add(one);
          written.push(one);
        };
        const commit = (): void => environment.write((batch) => history.write(batch));
        let seq = 0;
        for (const { owner, isListed, moves, gap, commits, restarts } of made) {
          seq += 1 + gap;
          const input = testHistory({ jobId: 'j', executionId: owner, message: `m${seq}` });
          const one = { row: { ...input, seq, role: 'compute' }, isListed } as const;
          const bid = bids.get(owner);
          if (bid === undefined) write(one);
          else bid.push(one);
          if (moves) {
            bids.delete(owner);
            bid?.forEach(write);
          }
          if (commits || restarts) commit();
          if (restarts) history = new History({ role: 'compute', lastSeq: seq }, environment);
        }
        commit();
        const all = written.sort((a, b) => a.row.seq - b.row.seq);
        const rows = paged(limit, (before) => history.after(before.at(-1)?.seq ?? 0, limit));
        assert.deepEqual(
          rows,
          all.map(({ row }) => row),
        );
        for (const owner of OWNERS) {
          const own = all.filter(({ row, isListed }) => isListed && row.executionId === owner);
          const found = paged(limit, (before) => history.of(owner, { offset: before.length, limit }));
          assert.deepEqual(
            found,
            own.map(({ row }) => row),
          );
          assert.deepEqual(history.of(owner, { offset: 0, limit: Number.MAX_SAFE_INTEGER }), found);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('writes the rows of one transaction as one, with an index entry an owner, and forgets those taken back', () => {
    const environment = openMemoryEnvironment();
    const history = new History({ role: 'requester', lastSeq: 0 }, environment);
    for (let seq = 1; seq <= 20; seq += 1) {
      const row = { ...testHistory({ jobId: `j-${seq % 4}` }), seq, role: 'requester' } as const;
      history.add({ row, isListed: seq !== 8 });
    }
    const before = history.waiting;
    history.add({ row: { ...testHistory({ jobId: 'j-0' }), seq: 21, role: 'requester' }, isListed: true });
    history.takeBack(before);
    environment.write((batch) => history.write(batch));
    assert.equal(environment.table(historyTable).size(), 1);
    assert.equal(environment.table(historyByOwnerTable).size(), 4);
    assert.deepEqual(
      history.of('j-0', { offset: 0, limit: 9 }).map(({ seq }) => seq),
      [4, 12, 16, 20],
    );
    assert.deepEqual(
      history.after(18, 9).map(({ seq }) => seq),
      [19, 20],
    );
  });
});
