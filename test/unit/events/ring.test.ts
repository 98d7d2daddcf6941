import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { EventRing } from '../../../src/events/ring.ts';
import { testRow } from '../../support/events.ts';

it('holds the newest, complete from its start on', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 200 }),
      fc.nat(400),
      (items, steps, from) => {
        const ring = new EventRing({ items, bytes: 1e9, start: 1 });
        let seq = 0;
        const seqs = steps.map((step) => {
          seq += step;
          ring.push(testRow(seq, 'compute'));
          return seq;
        });
        const kept = seqs.slice(-items);
        assert.equal(ring.size, kept.length);
        assert.ok(seqs.every((one) => kept.includes(one) === one >= ring.start));
        assert.deepEqual(
          [...ring.from(from)].map(({ row }) => row.seq),
          kept.filter((one) => one >= from),
        );
      },
    ),
  );
});

it('is bounded by bytes as well, goes on for long, and can be emptied', () => {
  const ring = new EventRing({ items: 1e6, bytes: 200_000, start: 1 });
  for (let seq = 1; seq <= 10_000; seq += 1) {
    ring.push({ ...testRow(seq, 'compute'), message: 'x'.repeat(seq % 10 === 0 ? 10_000 : 10) });
  }
  assert.ok(ring.size > 10 && ring.size < 100, String(ring.size));
  assert.equal([...ring.from(0)].length, ring.size);
  assert.equal([...ring.from(0)].at(-1)?.row.seq, 10_000);
  ring.reset(20_000);
  assert.equal(ring.size, 0);
  assert.equal(ring.start, 20_000);
});
