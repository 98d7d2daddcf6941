import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_RESOURCES } from '../../../src/core/resources.ts';
import { CLASSES, describe, simulate } from '../../support/capacity/simulation.ts';

const EXECUTIONS = 10_000;
const MINUTE = 60_000;

test('10,000 executions of mixed sizes on 64 cores and 8 GPUs: the machine is used, and no class starves', (t) => {
  for (const seed of [1, 2]) {
    const report = simulate({ executions: EXECUTIONS, seed, load: 0.8 });
    for (const line of describe(report)) t.diagnostic(line);
    assert.equal(
      report.classes.reduce((sum, { count }) => sum + count, 0),
      EXECUTIONS,
    );
    assert.deepEqual(report.left, [NO_RESOURCES, NO_RESOURCES]);
    for (const { name, maxMs } of report.classes)
      assert.ok(maxMs < 30 * MINUTE, `${name} waited ${maxMs} ms`);
    assert.ok(report.utilisation.cpu > 0.75, `CPU ${report.utilisation.cpu}`);
  }
});

test('more than the machine can do: every class waits alike, and the machine is used', (t) => {
  const report = simulate({ executions: EXECUTIONS, seed: 1, load: 1.2 });
  for (const line of describe(report)) t.diagnostic(line);
  const longest = Math.max(...report.classes.map(({ maxMs }) => maxMs));
  const shortest = Math.min(...report.classes.map(({ maxMs }) => maxMs));
  assert.equal(report.classes.length, CLASSES.length);
  assert.ok(longest < 1.25 * shortest, `${shortest} to ${longest} ms`);
  assert.ok(report.utilisation.cpu > 0.8, `CPU ${report.utilisation.cpu}`);
  // Passed by a few hundred, not by all that came later.
  for (const { name, mostPassed } of report.classes) assert.ok(mostPassed < 1000, `${name}: ${mostPassed}`);
});
