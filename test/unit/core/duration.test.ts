import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatDuration, parseDurationMs } from '../../../src/core/duration.ts';
import { NodeError } from '../../../src/core/errors.ts';

test("Go's duration texts", () => {
  for (const [text, ms] of [
    ['10m', 600_000],
    ['1h30m', 5_400_000],
    ['500ms', 500],
    ['1.5s', 1500],
    ['0', 0],
    ['2us', 0.002],
    [' 1H ', 3_600_000],
  ] as const) {
    assert.equal(parseDurationMs(text), ms, text);
  }
});

test('anything else is refused', () => {
  for (const text of ['', '10', '-1s', '1 s', 's', '1d', '1m garbage']) {
    assert.throws(
      () => parseDurationMs(text),
      (error) => error instanceof NodeError && error.code === 'ConfigInvalid',
      text,
    );
  }
});

test('printed as Go prints them', () => {
  assert.equal(formatDuration(5_400_000), '1h30m0s');
  assert.equal(formatDuration(600_000), '10m0s');
  assert.equal(formatDuration(1500), '1.5s');
  assert.equal(formatDuration(500), '500ms');
});

test('property: whole milliseconds survive printing and reading', () => {
  fc.assert(
    fc.property(fc.nat({ max: 100_000_000 }), (ms) => {
      assert.ok(Math.abs(parseDurationMs(formatDuration(ms)) - ms) < 1e-6);
    }),
  );
});
