import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Ledger } from '../../../src/capacity/ledger.ts';
import type { Resources } from '../../../src/core/job.ts';
import { NO_RESOURCES } from '../../../src/core/resources.ts';

const GB = 1024 ** 3;
const machine: Resources = { cpu: 2, memory: 8 * GB, disk: 100 * GB, gpu: 2 };
const queue: Resources = { cpu: 8, memory: 32 * GB, disk: 400 * GB, gpu: 8 };

test('takes what fits, refuses what does not, in every dimension', () => {
  const ledger = new Ledger({ total: machine, queue });
  const half = ledger.units({ cpu: 1, memory: 4 * GB, disk: 50 * GB, gpu: 1 });
  assert.equal(ledger.tryUse(half), true);
  assert.equal(ledger.tryUse(half), true);
  for (const dimension of ['cpu', 'memory', 'disk', 'gpu'] as const) {
    const least = { ...NO_RESOURCES, [dimension]: dimension === 'cpu' ? 0.01 : 1 };
    assert.equal(ledger.tryUse(ledger.units(least)), false, dimension);
  }
  assert.equal(ledger.tryUse(ledger.units(NO_RESOURCES)), true);
  ledger.releaseUsed(half);
  assert.deepEqual(ledger.free(), { cpu: 1, memory: 4 * GB, disk: 50 * GB, gpu: 1 });
});

test('requests round up, totals round down', () => {
  const ledger = new Ledger({ total: { ...NO_RESOURCES, cpu: 0.999, memory: 5 * 1024 ** 2 }, queue });
  assert.deepEqual(ledger.total(), { cpu: 0.99, memory: 4 * 1024 ** 2, disk: 0, gpu: 0 });
  assert.equal(ledger.tryUse(ledger.units({ ...NO_RESOURCES, cpu: 0.981 })), true);
  assert.equal(ledger.tryUse(ledger.units({ ...NO_RESOURCES, cpu: 0.001 })), false);
});

test('decimal fractions of a core add up to the core', () => {
  const ledger = new Ledger({ total: { ...NO_RESOURCES, cpu: 0.3 }, queue });
  const tenth = ledger.units({ ...NO_RESOURCES, cpu: 0.1 });
  assert.deepEqual(
    [ledger.tryUse(tenth), ledger.tryUse(tenth), ledger.tryUse(tenth), ledger.tryUse(tenth)],
    [true, true, true, false],
  );
});

test('the accounts are apart', () => {
  const ledger = new Ledger({ total: machine, queue });
  const big = ledger.units({ ...NO_RESOURCES, cpu: 6 });
  assert.equal(ledger.fitsMachine(big), false);
  assert.equal(ledger.tryUse(big), false);
  assert.equal(ledger.tryPromise(big), true);
  assert.equal(ledger.fitsQueue(big), false);
  assert.equal(ledger.tryPromise(big), false);
  assert.deepEqual(ledger.free(), machine);
  ledger.releasePromised(big);
  assert.deepEqual(ledger.promised(), NO_RESOURCES);
});

test('never over the total, never negative, exactly zero when all is given back', () => {
  const request = fc.record({
    cpu: fc.double({ min: 0, max: 3, noNaN: true }),
    memory: fc.integer({ min: 0, max: 10 * GB }),
    disk: fc.integer({ min: 0, max: 120 * GB }),
    gpu: fc.integer({ min: 0, max: 3 }),
  });
  fc.assert(
    fc.property(fc.array(fc.tuple(request, fc.boolean()), { maxLength: 60 }), (steps) => {
      const ledger = new Ledger({ total: machine, queue });
      const held: bigint[] = [];
      for (const [wish, giveBack] of steps) {
        const units = ledger.units(wish);
        if (ledger.tryUse(units)) held.push(units);
        const used = ledger.used();
        for (const key of ['cpu', 'memory', 'disk', 'gpu'] as const)
          assert.ok(used[key] >= 0 && used[key] <= machine[key]);
        if (giveBack) {
          const last = held.pop();
          if (last !== undefined) ledger.releaseUsed(last);
        }
      }
      for (const units of held) ledger.releaseUsed(units);
      assert.deepEqual(ledger.used(), NO_RESOURCES);
    }),
  );
});
