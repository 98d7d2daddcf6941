import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SortedMap } from '../../../src/store/sorted-map.ts';

function keysOf(map: SortedMap<number>, reverse = false): unknown[] {
  const keys: unknown[] = [];
  map.walk({ reverse }, (key) => keys.push(key) > 0);
  return keys;
}

describe('sorted map', () => {
  it('agrees with a Map over thousands of insertions and removals', () => {
    const step = fc.record({
      from: fc.nat(20_000),
      count: fc.integer({ min: 1, max: 3000 }),
      put: fc.boolean(),
      stride: fc.constantFrom(1, -1, 7919),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (steps) => {
        const map = new SortedMap<number>();
        const model = new Map<number, number>();
        for (const { from, count, put, stride } of steps) {
          for (let i = 0; i < count; i++) {
            const key = (((from + i * stride) % 20_000) + 20_000) % 20_000;
            if (put) {
              map.set(key, i);
              model.set(key, i);
            } else assert.equal(map.delete(key), model.delete(key));
          }
        }
        const expected = [...model.keys()].sort((a, b) => a - b);
        assert.equal(map.size, expected.length);
        assert.deepEqual(keysOf(map), expected);
        assert.deepEqual(keysOf(map, true), expected.toReversed());
        for (const [key, value] of model) assert.equal(map.get(key), value);
        for (const key of expected) assert.equal(map.delete(key), true);
        assert.deepEqual(keysOf(map), []);
        map.set(1, 1);
        assert.deepEqual(keysOf(map), [1]);
      }),
      { numRuns: 25 },
    );
  });
});
