import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  computeStateCodes,
  computeTransitions,
  desiredStateCodes,
  isComputeTerminal,
  isJobTerminal,
  isLocalTerminal,
  jobTransitions,
  localTransitions,
} from '../../../src/core/states.ts';

function reachable(table: Readonly<Record<string, readonly string[]>>, from: string): Set<string> {
  const seen = new Set([from]);
  for (const state of seen) for (const next of table[state] ?? []) seen.add(next);
  return seen;
}

for (const [name, table, first] of [
  ['local executions', localTransitions, 'Created'],
  ['executions at the requester', computeTransitions, 'New'],
  ['jobs', jobTransitions, 'Pending'],
] as const) {
  test(`${name}: every state is reached, leads only to known ones, and can end`, () => {
    const states = Object.keys(table);
    assert.deepEqual([...reachable(table, first)].sort(), states.sort());
    for (const [state, next] of Object.entries(table)) {
      assert.equal(new Set(next).size, next.length, `${state} names a state twice`);
      assert.equal((next as readonly string[]).includes(state), false, `${state} leads to itself`);
      const ends = [...reachable(table, state)].filter((other) =>
        ['Completed', 'Failed', 'Cancelled', 'Stopped', 'BidRejected', 'AskForBidRejected'].includes(other),
      );
      assert.ok(ends.length > 0, `${state} never ends`);
    }
  });
}

test('terminal states', () => {
  assert.deepEqual(
    (Object.keys(localTransitions) as (keyof typeof localTransitions)[]).filter(isLocalTerminal),
    ['Completed', 'Failed', 'Cancelled'],
  );
  assert.deepEqual(
    (Object.keys(computeTransitions) as (keyof typeof computeTransitions)[]).filter(isComputeTerminal).sort(),
    ['AskForBidRejected', 'BidRejected', 'Cancelled', 'Completed', 'Failed'],
  );
  assert.deepEqual((Object.keys(jobTransitions) as (keyof typeof jobTransitions)[]).filter(isJobTerminal), [
    'Completed',
    'Failed',
    'Stopped',
  ]);
});

test('wire integers are those of Bacalhau 1.9', () => {
  assert.equal(computeStateCodes.BidAccepted, 5);
  assert.equal(computeStateCodes.Running, 6);
  assert.equal(computeStateCodes.Completed, 9);
  assert.equal(computeStateCodes.Cancelled, 11);
  assert.deepEqual(Object.values(computeStateCodes), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  assert.deepEqual(Object.values(desiredStateCodes), [0, 1, 2]);
});
