import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rfc3339 } from '../../../src/core/clock.ts';

test('times are written to the microsecond, in whatever order they come', () => {
  const second = Date.UTC(2026, 10, 29, 23, 59, 59) * 1000;
  for (const [micros, text] of [
    [second, '2026-11-29T23:59:59.000000Z'],
    [second + 7, '2026-11-29T23:59:59.000007Z'],
    [second + 999_999, '2026-11-29T23:59:59.999999Z'],
    [second + 1_000_000, '2026-11-30T00:00:00.000000Z'],
    [second - 1, '2026-11-29T23:59:58.999999Z'],
    [second, '2026-11-29T23:59:59.000000Z'],
    [0, '1970-01-01T00:00:00.000000Z'],
  ] as const) {
    assert.equal(rfc3339(micros), text);
  }
  assert.throws(() => rfc3339(Number.NaN), RangeError);
  assert.equal(rfc3339(0), '1970-01-01T00:00:00.000000Z');
});
