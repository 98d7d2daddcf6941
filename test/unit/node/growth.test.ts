import assert from 'node:assert/strict';
import { test } from 'node:test';
import { growingPercent } from '../../../src/node/growth.ts';

const MIB = 1_048_576;

test('a small heap grows as V8 likes, a large one by a fixed amount, a huge one not more slowly than by two fifths', () => {
  assert.equal(growingPercent(50 * MIB), 0);
  assert.equal(growingPercent(96 * MIB), 100);
  assert.equal(growingPercent(192 * MIB), 50);
  assert.equal(growingPercent(4096 * MIB), 40);
});
