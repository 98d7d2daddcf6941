import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createSequencer } from '../../../src/events/seq.ts';

it('rises by one from where it starts', () => {
  const sequencer = createSequencer(41);
  assert.equal(sequencer.last(), 41);
  assert.deepEqual([sequencer.next(), sequencer.next()], [42, 43]);
  assert.equal(sequencer.last(), 43);
});
