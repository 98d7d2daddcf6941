import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { ById } from '../../../src/core/by-id.ts';

it('is what a map of the same calls is, few or many', () => {
  const id = fc.integer({ min: 0, max: 60 }).map(String);
  fc.assert(
    fc.property(fc.array(fc.record({ id, value: fc.integer() }), { maxLength: 120 }), (calls) => {
      const list = new ById<{ id: string; value: number }>((one) => one.id);
      const map = new Map<string, { id: string; value: number }>();
      for (const call of calls) {
        assert.equal(list.get(call.id), map.get(call.id));
        list.set(call);
        map.set(call.id, call);
        assert.equal(list.get(call.id), call);
      }
      assert.equal(list.size, map.size);
      assert.deepEqual(list.values, [...map.values()]);
      assert.equal(list.get('another'), undefined);
    }),
  );
});
