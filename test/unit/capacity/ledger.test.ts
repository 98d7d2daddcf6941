import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Ledger } from '../../../src/capacity/ledger.ts';
import { Layout } from '../../../src/capacity/ledger-layout.ts';
import { Rest } from '../../../src/capacity/ledger-steps.ts';
import { LedgerView, type Ticket } from '../../../src/capacity/ledger-view.ts';
import { READER } from '../../../src/capacity/ledger-words.ts';
import type { Resources } from '../../../src/core/job.ts';
import { NO_RESOURCES } from '../../../src/core/resources.ts';

const GB = 1024 ** 3;
const TB = 1024 * GB;
const machine: Resources = { cpu: 2, memory: 8 * GB, disk: 100 * GB, gpu: 2 };
const times = (a: Resources, n: number): Resources => ({
  cpu: a.cpu * n,
  memory: a.memory * n,
  disk: a.disk * n,
  gpu: a.gpu * n,
});
const queue = times(machine, 4);
const DIMENSIONS = ['cpu', 'memory', 'disk', 'gpu'] as const;

function small(more: Partial<{ total: Resources; queue: Resources; slots: number }> = {}): Ledger {
  return new Ledger({ total: machine, queue, slots: 64, ...more });
}

/** A reservation that is accepted, so that it can be used. */
function accepted(ledger: Ledger, request: Resources): Ticket {
  const ticket = ledger.reserve(request);
  assert.ok(ticket !== undefined, 'reserved');
  assert.equal(ledger.accept(ticket), true);
  return ticket;
}

test('takes what fits, refuses what does not, in every dimension', () => {
  const ledger = small();
  const half = { cpu: 1, memory: 4 * GB, disk: 50 * GB, gpu: 1 };
  const first = accepted(ledger, half);
  const second = accepted(ledger, half);
  assert.equal(ledger.use(first), true);
  assert.equal(ledger.use(second), true);
  for (const dimension of DIMENSIONS) {
    const least = { ...NO_RESOURCES, [dimension]: dimension === 'cpu' ? 0.01 : 1 };
    const ticket = accepted(ledger, least);
    assert.equal(ledger.fitsNow(ticket), false, dimension);
    assert.equal(ledger.use(ticket), false, dimension);
    assert.equal(ledger.phase(ticket), Rest.accepted, 'still promised');
    ledger.close(ticket);
  }
  assert.equal(ledger.use(accepted(ledger, NO_RESOURCES)), true);
  assert.deepEqual(ledger.promised(), NO_RESOURCES);
  ledger.stop(first);
  assert.deepEqual(ledger.free(), { cpu: 1, memory: 4 * GB, disk: 0, gpu: 1 }, 'the disk is kept');
  ledger.close(first);
  assert.deepEqual(ledger.free(), half);
});

test('requests round up, totals round down, and a request of the whole total fits', () => {
  const total = { cpu: 0.999, memory: 8_000_000_000, disk: 3 * TB, gpu: 0 };
  const ledger = small({ total, queue: times(total, 32) });
  assert.ok(ledger.total().cpu <= total.cpu && ledger.total().memory <= total.memory);
  const whole = accepted(ledger, total);
  assert.equal(ledger.use(whole), true);
  const least = accepted(ledger, { ...NO_RESOURCES, memory: 1 });
  assert.equal(ledger.use(least), false);
  ledger.close(whole);
  assert.equal(ledger.use(least), true);
  assert.equal(ledger.fitsMachine({ ...total, memory: total.memory + 1_000 }), false);
  assert.equal(ledger.issue({ ...NO_RESOURCES, gpu: 1 }), undefined);
});

test('another thread’s look says what could be promised, and changes nothing', () => {
  const ledger = small();
  const look = new LedgerView(ledger.share(), READER);
  assert.equal(look.fitsQueue(queue), true);
  assert.equal(look.fitsQueue({ ...queue, gpu: queue.gpu + 1 }), false, 'never fits');
  accepted(ledger, machine);
  assert.equal(look.fitsQueue(queue), false);
  assert.equal(look.fitsQueue(times(machine, 3)), true);
  assert.deepEqual([look.promised(), look.open()], [ledger.promised(), ledger.open()]);
  assert.deepEqual(ledger.promised().gpu, machine.gpu);
});

test('decimal fractions of a core add up to the core', () => {
  const ledger = small({ total: { ...NO_RESOURCES, cpu: 0.3 } });
  const uses = Array.from({ length: 4 }, () => ledger.use(accepted(ledger, { ...NO_RESOURCES, cpu: 0.1 })));
  assert.deepEqual(uses, [true, true, true, false]);
});

test('units follow the totals: fine on a small machine, enough bits on a large one with its queue', () => {
  const fine = new Layout(machine);
  assert.deepEqual(
    DIMENSIONS.map((dimension) => fine.unit(dimension)),
    [0.01, 1024 ** 2, 1024 ** 2, 1],
  );
  const large = { cpu: 256, memory: 4 * TB, disk: 200 * TB, gpu: 16 };
  for (const limit of [large, times(large, 32)]) {
    const layout = new Layout(limit);
    const packed = layout.amounts(layout.limit);
    for (const dimension of DIMENSIONS) {
      assert.ok(packed[dimension] <= limit[dimension], dimension);
      assert.ok(packed[dimension] >= limit[dimension] * 0.999, `${dimension}: ${packed[dimension]}`);
      assert.ok(layout.unit(dimension) <= Math.max(1, limit[dimension] / 2 ** 12), dimension);
    }
    assert.equal(packed.gpu, limit.gpu, 'GPUs are never rounded');
  }
});

test('property: a layout adds, compares and gives back exactly, up to the limit in all dimensions', () => {
  const limit = fc.record({
    cpu: fc.double({ min: 0, max: 8192, noNaN: true }),
    memory: fc.nat({ max: 2 ** 47 }).map(Number),
    disk: fc.nat({ max: 2 ** 50 }),
    gpu: fc.nat({ max: 512 }),
  });
  const share = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(limit, share, share, share, share, (most, a, b, c, d) => {
      const layout = new Layout(most);
      assert.equal(layout.within(layout.limit), true);
      const part = layout.request({
        cpu: most.cpu * a,
        memory: Math.floor(most.memory * b),
        disk: Math.floor(most.disk * c),
        gpu: Math.floor(most.gpu * d),
      });
      assert.ok(part !== undefined);
      assert.equal(layout.within(part), true);
      const one = layout.amounts(part);
      const two = layout.within(part + part);
      const fitsTwice = DIMENSIONS.every(
        (key) => 2 * one[key] <= layout.amounts(layout.limit)[key] + layout.unit(key) / 100,
      );
      assert.equal(two, fitsTwice);
    }),
  );
});

test('devices: each to one execution, lowest first, and back', () => {
  const total = { ...machine, gpu: 8 };
  const ledger = small({ total, queue: times(total, 32) });
  const take = (gpu: number): Ticket => {
    const ticket = accepted(ledger, { ...NO_RESOURCES, gpu });
    assert.equal(ledger.use(ticket), true);
    return ticket;
  };
  const one = take(1);
  const four = take(4);
  assert.deepEqual([ledger.devices(one), ledger.devices(four)], [[0], [1, 2, 3, 4]]);
  ledger.stop(one);
  assert.deepEqual(ledger.devices(one), []);
  const four2 = take(4);
  assert.deepEqual(ledger.devices(four2), [0, 5, 6, 7]);
  const none = accepted(ledger, { ...NO_RESOURCES, gpu: 1 });
  assert.equal(ledger.use(none), false);
  assert.throws(() => small({ total: { ...machine, gpu: 56 } }), /at most 55/);
});

test('a stale ticket does nothing', () => {
  const ledger = small({ slots: 1 });
  const first = accepted(ledger, machine);
  assert.equal(ledger.use(first), true);
  ledger.close(first);
  const second = accepted(ledger, machine);
  assert.notEqual(first, second);
  for (const act of [
    () => ledger.close(first),
    () => ledger.stop(first),
    () => ledger.use(first),
    () => ledger.close(0),
  ]) {
    act();
    assert.equal(ledger.phase(second), Rest.accepted);
    assert.equal(ledger.promised().cpu, machine.cpu);
  }
  assert.equal(ledger.reserve(NO_RESOURCES), undefined, 'no slot is free');
  ledger.close(second);
  assert.deepEqual([ledger.promised(), ledger.used(), ledger.freeSlots], [NO_RESOURCES, NO_RESOURCES, 1]);
});

test('a lease ends or is accepted, never both', () => {
  const ledger = small();
  const first = ledger.reserve(machine);
  const second = ledger.reserve(machine);
  assert.ok(first !== undefined && second !== undefined);
  assert.deepEqual([ledger.expire(first), ledger.accept(first)], [true, false]);
  assert.deepEqual([ledger.accept(second), ledger.expire(second)], [true, false]);
  assert.equal(ledger.promised().cpu, machine.cpu);
});

test('promises found at a restart stand though they fit no more, and nothing is corrupted by them', () => {
  const ledger = small({ queue: machine });
  const restored = Array.from({ length: 5 }, () => ledger.restore(machine));
  assert.ok(restored.every((ticket) => ticket !== undefined));
  assert.deepEqual(ledger.promised(), machine, 'promised is never above the queue capacity');
  for (const ticket of restored) {
    assert.equal(ledger.reserve({ ...NO_RESOURCES, cpu: 0.01 }), undefined, 'nothing new meanwhile');
    assert.equal(ledger.accept(ticket ?? 0), true);
    assert.equal(ledger.use(ticket ?? 0), true);
    assert.deepEqual(ledger.used(), machine);
    ledger.close(ticket ?? 0);
  }
  assert.deepEqual([ledger.promised(), ledger.used()], [NO_RESOURCES, NO_RESOURCES]);
  assert.ok(ledger.reserve(machine) !== undefined);
  assert.equal(ledger.restore(times(machine, 2)), undefined);
  const kept = ledger.restoreDisk(60 * GB);
  assert.equal(ledger.used().disk, 60 * GB);
  assert.equal(ledger.restoreDisk(60 * GB), undefined);
  ledger.close(kept ?? 0);
  assert.deepEqual(ledger.used(), NO_RESOURCES);
});

test('never over, never negative, exactly zero when all is given back, whatever is done in any order', () => {
  const request = fc.record({
    cpu: fc.double({ min: 0, max: 3, noNaN: true }),
    memory: fc.integer({ min: 0, max: 10 * GB }),
    disk: fc.integer({ min: 0, max: 120 * GB }),
    gpu: fc.integer({ min: 0, max: 3 }),
  });
  const act = fc.constantFrom('issue', 'lease', 'accept', 'use', 'stop', 'expire', 'release', 'close');
  fc.assert(
    fc.property(fc.array(fc.tuple(act, request, fc.nat()), { maxLength: 120 }), (acts) => {
      const ledger = small({ slots: 8 });
      const view = new LedgerView(ledger.share(), 2);
      const tickets: Ticket[] = [0];
      for (const [what, wish, which] of acts) {
        const ticket = tickets[which % tickets.length] ?? 0;
        if (what === 'issue') tickets.push(ledger.issue(wish) ?? 0);
        else if (what === 'close') ledger.close(ticket);
        else view[what](ticket);
        for (const [held, most] of [
          [ledger.used(), machine],
          [ledger.promised(), queue],
        ] as const) {
          for (const key of DIMENSIONS) assert.ok(held[key] >= 0 && held[key] <= most[key], key);
        }
        const devices = tickets.flatMap((one) => ledger.devices(one));
        assert.equal(new Set(devices).size, devices.length, 'no device is given twice');
      }
      for (const ticket of tickets) ledger.close(ticket);
      assert.deepEqual([ledger.used(), ledger.promised(), ledger.freeSlots], [NO_RESOURCES, NO_RESOURCES, 8]);
    }),
  );
});
