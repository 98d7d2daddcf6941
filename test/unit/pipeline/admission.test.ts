import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Rest } from '../../../src/capacity/ledger-steps.ts';
import type { Gpu, Resources } from '../../../src/core/job.ts';
import { NO_RESOURCES } from '../../../src/core/resources.ts';
import { Admission, shapeOf } from '../../../src/pipeline/admission.ts';
import type { Item } from '../../../src/pipeline/item.ts';
import { BoundedQueue } from '../../../src/pipeline/queue.ts';
import { MACHINE, MIB, type PipelineKit, pipelineKit, request } from '../../support/pipeline.ts';

const AGING_MS = 30_000;
const gpus: readonly Gpu[] = [0, 1, 2, 3].map((Index) => ({
  Index,
  Name: `gpu-${Index}`,
  Vendor: 'NVIDIA',
  Memory: 1024,
  PCIAddress: '',
}));

interface Setup extends PipelineKit {
  readonly admission: Admission;
  readonly queue: BoundedQueue<Item>;
  /** An accepted execution, in the queue since now. */
  accept(resources: Partial<Resources>, priority?: number): Item;
  admitted(max?: number): string[];
}

function setup(reservePlaces: (item: Item) => boolean = () => true): Setup {
  const kit = pipelineKit();
  const queue = new BoundedQueue<Item>({ name: 'admit', bound: 1000, shapeOf });
  const admission = new Admission({
    queue,
    ledger: kit.ledger,
    clock: kit.clock,
    gpus,
    hasDisk: () => true,
    reservePlaces,
    onChange: () => undefined,
  });
  return {
    ...kit,
    admission,
    queue,
    accept(resources, priority = 0) {
      const item = kit.item({ resources: request(resources), priority });
      item.ticket = kit.ledger.restore(item.header.resources) ?? 0;
      assert.ok(kit.ledger.accept(item.ticket));
      item.queuedAtMs = kit.clock.nowMs();
      assert.ok(queue.tryPush(item));
      return item;
    },
    admitted: (max = 64) => admission.take(max).map(({ id }) => id),
  };
}

test('by priority, then arrival, and at most as many as asked for', () => {
  const { accept, admitted } = setup();
  const low = accept({ cpu: 0.1 }, -1);
  const first = accept({ cpu: 0.1 });
  const second = accept({ cpu: 0.1 });
  const high = accept({ cpu: 0.1 }, 5);
  assert.deepEqual(admitted(3), [high.id, first.id, second.id]);
  assert.deepEqual(admitted(3), [low.id]);
  assert.deepEqual(admitted(3), []);
});

describe('one that does not fit', () => {
  test('is passed by smaller ones until it has aged, and then by none', () => {
    const { accept, admitted, admission, clock } = setup();
    const running = accept({ cpu: 1.5 });
    admitted();
    const large = accept({ cpu: 2 });
    const small = accept({ cpu: 0.25 });
    assert.deepEqual(admitted(), [small.id]);
    clock.advance(AGING_MS);
    const late = accept({ cpu: 0.25 });
    assert.deepEqual(admitted(), [late.id], 'on the dot it has not aged yet');
    clock.advance(1);
    const later = accept({ cpu: 0.01 });
    assert.deepEqual(admitted(), [], 'what is free is kept for the large one');
    for (const item of [running, small, late]) admission.releaseAll(item);
    assert.deepEqual(admitted(), [large.id]);
    admission.releaseAll(large);
    assert.deepEqual(admitted(), [later.id]);
  });

  test('is still passed by those of higher priority', () => {
    const { accept, admitted, clock } = setup();
    accept({ cpu: 1.5 });
    admitted();
    accept({ cpu: 2 });
    clock.advance(AGING_MS + 1);
    const urgent = accept({ cpu: 0.5 }, 1);
    assert.deepEqual(admitted(), [urgent.id]);
  });

  test('for want of a place at its engine holds no capacity back, however old it is', () => {
    const { accept, admitted, clock, ledger } = setup((item) => item.header.resources.memory === 0);
    accept({ cpu: 1, memory: 8 * MIB });
    clock.advance(AGING_MS * 2);
    const other = accept({ cpu: 2 });
    assert.deepEqual(admitted(), [other.id]);
    assert.equal(ledger.used().cpu, 2);
    assert.equal(ledger.promised().cpu, 1, 'it keeps its promise');
  });

  test('is looked past for 64 sizes, not for ever', () => {
    const { accept, admitted, ledger } = setup();
    accept({ cpu: 2 });
    admitted();
    for (let count = 0; count < 64; count += 1) accept({ cpu: 1 + count / 100 });
    const small = accept({ memory: 4 * MIB });
    assert.deepEqual(admitted(), []);
    assert.equal(ledger.phase(small.ticket), Rest.accepted);
  });
});

test('a reservation moves from promised to used; a stopped run keeps its disk, a settled one nothing', () => {
  const { accept, admitted, admission, ledger } = setup();
  const item = accept({ cpu: 1, memory: 64 * MIB, disk: 640 * MIB, gpu: 1 });
  const asked = { cpu: 1, memory: 64 * MIB, disk: 640 * MIB, gpu: 1 };
  assert.deepEqual([ledger.promised(), ledger.used()], [asked, NO_RESOURCES]);
  admitted();
  assert.deepEqual([ledger.promised(), ledger.used()], [NO_RESOURCES, asked]);
  admission.releaseRun(item);
  admission.releaseRun(item);
  assert.deepEqual(ledger.used(), request({ disk: 640 * MIB }));
  admission.releaseAll(item);
  admission.releaseAll(item);
  assert.deepEqual([ledger.promised(), ledger.used()], [NO_RESOURCES, NO_RESOURCES]);
});

test('who leaves before it was admitted gives its promise back', () => {
  const { accept, admission, ledger } = setup();
  const item = accept({ cpu: 1, gpu: 2 });
  admission.releaseAll(item);
  assert.deepEqual(ledger.promised(), NO_RESOURCES);
});

test('GPUs are given to one execution at a time, and again when it has stopped', () => {
  const { accept, admitted, admission } = setup();
  const [two, one] = [accept({ gpu: 2 }), accept({ gpu: 1 })];
  admitted();
  const indexes = (item: Item): number[] => item.gpus.map(({ Index }) => Index);
  assert.deepEqual([indexes(two), indexes(one)], [[0, 1], [2]]);
  const three = accept({ gpu: 3 });
  assert.deepEqual(admitted(), []);
  admission.releaseRun(two);
  assert.deepEqual(indexes(two), []);
  assert.deepEqual(admitted(), [three.id]);
  assert.deepEqual(indexes(three), [0, 1, 3]);
});

test('whatever comes and goes: never more than the machine, no GPU twice, and nothing held in the end', () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('accept' as const),
      cpu: fc.integer({ min: 0, max: 200 }).map((percent) => percent / 100),
      gpu: fc.integer({ min: 0, max: 4 }),
      disk: fc.integer({ min: 0, max: 100 }).map((count) => count * 64 * MIB),
      priority: fc.integer({ min: -2, max: 2 }),
    }),
    fc.record({
      kind: fc.constantFrom('stop' as const, 'settle' as const),
      which: fc.nat(),
    }),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: AGING_MS }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { accept, admission, ledger, clock, queue } = setup();
      const all: Item[] = [];
      for (const action of steps) {
        if (action.kind === 'accept') {
          all.push(accept({ cpu: action.cpu, gpu: action.gpu, disk: action.disk }, action.priority));
        } else if (action.kind === 'wait') clock.advance(action.ms);
        else {
          const item = all[action.which % Math.max(1, all.length)];
          if (item !== undefined && action.kind === 'stop') admission.releaseRun(item);
          if (item !== undefined && action.kind === 'settle') {
            queue.remove(item.id);
            admission.releaseAll(item);
          }
        }
        admission.take(64);
        const used = ledger.used();
        for (const key of ['cpu', 'memory', 'disk', 'gpu'] as const)
          assert.ok(used[key] <= MACHINE[key], key);
        const given = all.flatMap((item) => item.gpus.map(({ Index }) => Index));
        assert.equal(new Set(given).size, given.length);
      }
      for (const item of all) admission.releaseAll(item);
      assert.deepEqual([ledger.promised(), ledger.used()], [NO_RESOURCES, NO_RESOURCES]);
    }),
  );
});
