import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Spaced } from '../../../src/node/spaced.ts';
import { ManualClock } from '../../support/requester/manual-clock.ts';

test('the first is passed on at once, of the others the latest after a pause', () => {
  const clock = new ManualClock();
  const passed: number[] = [];
  const spaced = new Spaced<number>({ pauseMs: 5 }, { clock, pass: (value) => void passed.push(value) });
  for (const value of [1, 2, 3]) spaced.tell(value);
  assert.deepEqual(passed, [1]);
  clock.advance(4);
  spaced.tell(4);
  assert.deepEqual(passed, [1]);
  clock.advance(1);
  assert.deepEqual(passed, [1, 4]);
  spaced.tell(5);
  clock.advance(5);
  assert.deepEqual(passed, [1, 4, 5]);
  clock.advance(100);
  spaced.tell(6);
  assert.deepEqual(passed, [1, 4, 5, 6]);
  spaced.tell(7);
  spaced.stop();
  clock.advance(100);
  assert.deepEqual(passed, [1, 4, 5, 6]);
});
