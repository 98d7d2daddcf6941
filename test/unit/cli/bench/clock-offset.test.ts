import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ClockOffset } from '../../../../src/cli/bench/clock-offset.ts';

test('the offset of two clocks is known within what it says, however lopsided the exchanges are', () => {
  const exchange = fc.record({
    at: fc.double({ min: 0, max: 1e6, noNaN: true }),
    there: fc.double({ min: 0, max: 50, noNaN: true }),
    back: fc.double({ min: 0, max: 50, noNaN: true }),
  });
  fc.assert(
    fc.property(
      fc.double({ min: -1e9, max: 1e9, noNaN: true }),
      fc.array(exchange, { minLength: 1, maxLength: 30 }),
      (offset, exchanges) => {
        const clock = new ClockOffset();
        for (const { at, there, back } of exchanges) {
          clock.note({ sentMs: at, nodeMs: at + there + offset, answeredMs: at + there + back });
        }
        assert.ok(Math.abs(clock.offsetMs - offset) <= clock.uncertaintyMs + 1e-3);
        assert.ok(clock.uncertaintyMs <= 50 + 1e-3);
      },
    ),
  );
  const unknown = new ClockOffset();
  assert.deepEqual([unknown.offsetMs, unknown.uncertaintyMs], [0, 0]);
});
