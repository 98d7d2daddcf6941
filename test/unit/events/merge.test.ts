import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { EVENT_ROLES } from '../../../src/events/event.ts';
import { Merge } from '../../../src/events/merge.ts';
import { readPage, seqAt } from '../../../src/events/pages.ts';
import { ScriptedEvents, testRow } from '../../support/events.ts';

it('gives the rows of both roles in order of seq, whatever is told when', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...EVENT_ROLES), { maxLength: 60 }),
      fc.array(fc.tuple(fc.constantFrom(...EVENT_ROLES), fc.nat(5)), { maxLength: 60 }),
      (roles, tells) => {
        const left = {
          requester: roles.flatMap((role, n) => (role === 'requester' ? [testRow(n + 1, role)] : [])),
          compute: roles.flatMap((role, n) => (role === 'compute' ? [testRow(n + 1, role)] : [])),
        };
        const merge = new Merge();
        const got: number[] = [];
        const take = (): void => {
          const next = EVENT_ROLES.map((role) => left[role][0]?.seq ?? Number.POSITIVE_INFINITY);
          got.push(...merge.take(Math.min(...next)).map(({ seq }) => seq));
        };
        for (const [role, count] of tells) {
          merge.add(role, left[role].splice(0, count));
          take();
          const untold = EVENT_ROLES.map((one) => left[one][0]?.seq ?? roles.length + 1);
          assert.equal(got.length, Math.min(...untold) - 1, 'no more and no less than is certain');
        }
        for (const role of EVENT_ROLES) merge.add(role, left[role].splice(0));
        take();
        assert.deepEqual(
          got,
          roles.map((_, n) => n + 1),
        );
        assert.equal(merge.size, 0);
      },
    ),
  );
});

const written = fc.array(fc.oneof(fc.constantFrom(...EVENT_ROLES), fc.constant('burnt' as const)), {
  maxLength: 80,
});

function stored(kinds: readonly ('requester' | 'compute' | 'burnt')[]): ScriptedEvents {
  const events = new ScriptedEvents();
  for (const kind of kinds) {
    if (kind === 'burnt') events.burn();
    else events.append(kind);
  }
  events.requester.flush();
  events.compute.flush();
  return events;
}

it('pages of both logs hold every row once, in order', () => {
  fc.assert(
    fc.property(
      written,
      fc.integer({ min: 1, max: 10 }),
      fc.integer({ min: 1, max: 81 }),
      (kinds, limit, from) => {
        const events = stored(kinds);
        const logs = [events.requester, events.compute];
        const below = events.last + 1;
        const got: number[] = [];
        let cursor = from;
        while (cursor < below) {
          const page = readPage(logs, { from: cursor, below, limit });
          assert.ok(page.next > cursor && page.rows.length <= 2 * limit);
          got.push(...page.rows.map(({ seq }) => seq));
          cursor = page.next;
        }
        assert.deepEqual(
          got,
          events.all().flatMap(({ seq }) => (seq >= from ? [seq] : [])),
        );
      },
    ),
  );
});

it('finds the first event of a time', () => {
  fc.assert(
    fc.property(written, fc.integer({ min: 0, max: 90 }), (kinds, at) => {
      const events = stored(kinds);
      const { time } = testRow(at, 'compute');
      const below = events.last + 1;
      const found = seqAt([events.requester, events.compute], time, below);
      const expected = events.all().find((row) => row.time >= time);
      const { rows } = readPage([events.requester, events.compute], { from: found, below, limit: 1 });
      assert.equal(rows[0]?.seq, expected?.seq);
    }),
  );
});
