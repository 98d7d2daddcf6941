import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BoundedQueue } from '../../../src/pipeline/queue.ts';

interface Entry {
  readonly id: string;
  readonly priority: number;
}

test('refuses what exceeds the bound and keeps order by priority, then arrival', () => {
  const queue = new BoundedQueue<Entry>({ name: 'test', bound: 3 });
  assert.equal(queue.tryPush({ id: 'a', priority: 0 }), true);
  assert.equal(queue.tryPush({ id: 'b', priority: 5 }), true);
  assert.equal(queue.tryPush({ id: 'c', priority: 0 }), true);
  assert.equal(queue.tryPush({ id: 'd', priority: 9 }), false);
  assert.deepEqual(
    [queue.shift()?.id, queue.shift()?.id, queue.shift()?.id, queue.shift()],
    ['b', 'a', 'c', undefined],
  );
  assert.equal(queue.highWater, 3);
});

test('the oldest of each shape is shown in order, and the next of it when it was taken', () => {
  const shapeOf = ({ id }: Entry): string => id.slice(0, 1);
  const queue = new BoundedQueue<Entry>({ name: 'test', bound: 10, shapeOf });
  for (const id of ['a1', 'a2', 'b1', 'c1', 'b2', 'a3']) queue.tryPush({ id, priority: 0 });
  queue.tryPush({ id: 'a9', priority: 1 });
  const seen: string[] = [];
  for (const { id } of queue.firsts()) {
    seen.push(id);
    if (id.startsWith('b') || id === 'a1') queue.remove(id);
  }
  assert.deepEqual(seen, ['a9', 'a1', 'a2', 'b1', 'c1', 'b2']);
  assert.deepEqual(
    [...queue].map(({ id }) => id),
    ['a2', 'c1', 'a3', 'a9'],
  );
  assert.deepEqual([queue.shift()?.id, queue.shift()?.id, queue.shift()?.id], ['a9', 'a2', 'c1']);
});

test('tells of space exactly when it stops being full', () => {
  let calls = 0;
  const queue = new BoundedQueue<Entry>({ name: 'test', bound: 2, onSpace: () => (calls += 1) });
  queue.tryPush({ id: 'a', priority: 0 });
  queue.shift();
  assert.equal(calls, 0);
  queue.tryReserve();
  queue.tryPush({ id: 'b', priority: 0 });
  queue.shift();
  assert.equal(calls, 1);
  queue.tryPush({ id: 'c', priority: 0 });
  queue.releaseReserved();
  assert.equal(calls, 2);
});

const shapeOf = ({ id }: Entry): string => String(Number(id) % 3);

/** True for the oldest of its priority and shape. */
function isFirst(entry: Entry, index: number, entries: readonly Entry[]): boolean {
  const same = (other: Entry): boolean =>
    other.priority === entry.priority && shapeOf(other) === shapeOf(entry);
  return entries.findIndex(same) === index;
}

/** What the queue must do, on a plain list. */
class Model {
  readonly bound: number;
  entries: (Entry & { order: number })[] = [];
  reserved = 0;
  #order = 0;

  constructor(bound: number) {
    this.bound = bound;
  }

  get free(): number {
    return this.bound - this.entries.length - this.reserved;
  }

  push(entry: Entry): void {
    this.entries.push({ ...entry, order: this.#order++ });
    this.entries.sort((a, b) => b.priority - a.priority || a.order - b.order);
  }
}

test('behaves like its model: bounded, ordered, every item leaves once', () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('push' as const),
      id: fc.nat(30),
      priority: fc.integer({ min: -2, max: 2 }),
    }),
    fc.record({ kind: fc.constant('shift' as const) }),
    fc.record({ kind: fc.constant('remove' as const), id: fc.nat(30) }),
    fc.record({ kind: fc.constant('reserve' as const) }),
    fc.record({ kind: fc.constant('release' as const) }),
    fc.record({
      kind: fc.constant('fill' as const),
      id: fc.nat(30),
      priority: fc.integer({ min: -2, max: 2 }),
    }),
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }), fc.array(step, { maxLength: 80 }), (bound, steps) => {
      const queue = new BoundedQueue<Entry>({ name: 'test', bound, shapeOf });
      const model = new Model(bound);
      for (const action of steps) {
        switch (action.kind) {
          case 'push': {
            const entry = { id: String(action.id), priority: action.priority };
            if (queue.has(entry.id)) break;
            const fits = model.free > 0;
            assert.equal(queue.tryPush(entry), fits);
            if (fits) model.push(entry);
            break;
          }
          case 'shift':
            assert.equal(queue.shift()?.id, model.entries.shift()?.id);
            break;
          case 'remove': {
            const id = String(action.id);
            const known = model.entries.find((entry) => entry.id === id);
            assert.equal(queue.remove(id)?.id, known?.id);
            model.entries = model.entries.filter((entry) => entry !== known);
            break;
          }
          case 'reserve': {
            const fits = model.free > 0;
            assert.equal(queue.tryReserve(), fits);
            if (fits) model.reserved += 1;
            break;
          }
          case 'release':
            if (model.reserved === 0) break;
            queue.releaseReserved();
            model.reserved -= 1;
            break;
          case 'fill': {
            const entry = { id: String(action.id), priority: action.priority };
            if (model.reserved === 0 || queue.has(entry.id)) break;
            queue.pushReserved(entry);
            model.reserved -= 1;
            model.push(entry);
            break;
          }
        }
        assert.equal(queue.depth, model.entries.length);
        assert.equal(queue.free, model.free);
        assert.deepEqual(
          [...queue.firsts()].map((entry) => entry.id),
          model.entries.filter(isFirst).map((entry) => entry.id),
        );
      }
    }),
  );
});
