import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { shortId } from '../../../src/core/ids.ts';
import { EVENT_ROLES, EVENT_TYPES } from '../../../src/events/event.ts';
import { EVERYTHING, type EventFilter, FilterIndex, Matcher } from '../../../src/events/filter.ts';
import type { HistoryRow } from '../../../src/store/records.ts';
import { testExecutionId, testJobId, testNodeId, testRow } from '../../support/events.ts';

const ids = (make: (n: number) => string, count: number): fc.Arbitrary<string[]> =>
  fc.array(
    fc.tuple(fc.nat(count - 1), fc.boolean()).map(([n, short]) => (short ? shortId(make(n)) : make(n))),
    { maxLength: 3 },
  );

const filters: fc.Arbitrary<EventFilter> = fc.record({
  jobs: ids(testJobId, 10),
  executions: ids(testExecutionId, 20),
  nodes: ids(testNodeId, 3),
  types: fc.subarray([...EVENT_TYPES]),
  roles: fc.subarray([...EVENT_ROLES]),
});

const rows: fc.Arbitrary<HistoryRow> = fc
  .tuple(fc.nat(1000), fc.constantFrom(...EVENT_ROLES), fc.nat(40), fc.constantFrom(...EVENT_TYPES))
  .map((args) => testRow(...args));

/** What docs/EVENTS.md says, word by word. */
function passes(filter: EventFilter, row: HistoryRow): boolean {
  const has = (values: readonly string[], id: string): boolean =>
    values.length === 0 || values.some((value) => value === id || value === shortId(id));
  return (
    has(filter.jobs, row.jobId) &&
    has(filter.executions, row.executionId) &&
    has(filter.nodes, row.nodeId) &&
    (filter.types.length === 0 || filter.types.includes(row.level)) &&
    (filter.roles.length === 0 || filter.roles.includes(row.role))
  );
}

it('lets pass what is named by whole or short id, and everything where nothing is named', () => {
  fc.assert(
    fc.property(filters, rows, (filter, row) => {
      assert.equal(new Matcher(filter).matches(row), passes(filter, row));
      assert.equal(new Matcher(EVERYTHING).matches(row), true);
    }),
  );
});

it('the index finds every filter that a row passes, once', () => {
  fc.assert(
    fc.property(fc.array(filters, { maxLength: 12 }), fc.array(rows, { maxLength: 20 }), (all, some) => {
      const items = all.map((filter) => ({ filter, matcher: new Matcher(filter) }));
      const index = new FilterIndex<(typeof items)[number]>();
      for (const item of items) index.add(item);
      const kept = items.filter((_, n) => n % 3 !== 0);
      for (const item of items) if (!kept.includes(item)) index.remove(item);
      for (const row of some) {
        const found: unknown[] = [];
        index.visit(row, (item) => found.push(item));
        assert.equal(new Set(found).size, found.length, 'visited twice');
        assert.deepEqual(new Set(found), new Set(kept.filter(({ filter }) => passes(filter, row))));
      }
    }),
  );
});

it('filters that let the same pass have the same key', () => {
  const [a, b] = [testJobId(1), testJobId(2)];
  const key = (filter: Partial<EventFilter>): string => new Matcher({ ...EVERYTHING, ...filter }).key;
  assert.equal(key({ jobs: [a, b] }), key({ jobs: [b, a, b] }));
  assert.notEqual(key({ jobs: [a] }), key({ executions: [a] }));
});
