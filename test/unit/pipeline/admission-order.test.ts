import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ledger } from '../../../src/capacity/ledger.ts';
import type { Gpu, Resources } from '../../../src/core/job.ts';
import { NO_RESOURCES } from '../../../src/core/resources.ts';
import { Admission, AGING_MS, shapeOf } from '../../../src/pipeline/admission.ts';
import type { Item } from '../../../src/pipeline/item.ts';
import { BoundedQueue } from '../../../src/pipeline/queue.ts';
import { type ItemParts, pipelineItem } from '../../support/capacity/items.ts';
import { ManualClock } from '../../support/requester/manual-clock.ts';

const GB = 1e9;
const machine: Resources = { cpu: 4, memory: 16 * GB, disk: 100 * GB, gpu: 2 };

class Bench {
  readonly clock = new ManualClock();
  readonly ledger = new Ledger({
    total: machine,
    queue: { cpu: 400, memory: 1600 * GB, disk: 10_000 * GB, gpu: 200 },
    slots: 256,
  });
  readonly queue = new BoundedQueue<Item>({ name: 'admit', bound: 256, shapeOf });
  places = Number.POSITIVE_INFINITY;
  hasDisk = true;
  changes = 0;
  readonly running = new Map<string, Item>();
  readonly admission = new Admission({
    queue: this.queue,
    ledger: this.ledger,
    clock: this.clock,
    gpus: [0, 1].map(gpu),
    hasDisk: () => this.hasDisk,
    reservePlaces: () => {
      if (this.places <= 0) return false;
      this.places -= 1;
      return true;
    },
    onChange: () => {
      this.changes += 1;
    },
  });

  add(id: string, request: Partial<Resources>, more: Partial<ItemParts> = {}): Item {
    const resources = { ...NO_RESOURCES, ...request };
    const item = pipelineItem({ id, resources, queuedAtMs: this.clock.nowMs(), ...more });
    item.ticket = this.ledger.reserve(resources) ?? 0;
    assert.equal(this.ledger.accept(item.ticket), true, `${id} has room to wait`);
    assert.equal(this.queue.tryPush(item), true);
    return item;
  }

  take(max = 64): string[] {
    const taken = this.admission.take(max);
    for (const item of taken) this.running.set(item.id, item);
    return taken.map(({ id }) => id);
  }

  end(id: string): void {
    const item = this.running.get(id);
    assert.ok(item !== undefined, `${id} runs`);
    this.running.delete(id);
    this.admission.releaseAll(item);
  }
}

function gpu(index: number): Gpu {
  return { Index: index, Name: 'L4', Vendor: 'NVIDIA', Memory: 1, PCIAddress: `0000:0${index}:00.0` };
}

test('first come, first served; a higher priority goes first', () => {
  const bench = new Bench();
  for (const id of ['a', 'b', 'c']) bench.add(id, { cpu: 2 });
  bench.add('urgent', { cpu: 2 }, { priority: 5 });
  assert.deepEqual(bench.take(), ['urgent', 'a']);
  bench.end('a');
  assert.deepEqual(bench.take(), ['b']);
  bench.end('urgent');
  assert.deepEqual(bench.take(), ['c']);
});

test('smaller ones pass one that does not fit until it has aged; then room is kept, and it runs', () => {
  const bench = new Bench();
  bench.add('first', { cpu: 2 });
  bench.take();
  bench.add('large', { cpu: 4 });
  bench.add('small 1', { cpu: 1 });
  assert.deepEqual(bench.take(), ['small 1']);
  bench.clock.advance(AGING_MS + 1);
  bench.add('small 2', { cpu: 1 });
  assert.deepEqual(bench.take(), [], 'one core is free, and kept');
  bench.end('first');
  bench.add('small 3', { cpu: 0.1 });
  assert.deepEqual(bench.take(), []);
  bench.end('small 1');
  assert.deepEqual(bench.take(), ['large']);
  bench.end('large');
  assert.deepEqual(bench.take(), ['small 2', 'small 3']);
});

test('what an aged one does not lack may be taken by others', () => {
  const bench = new Bench();
  bench.add('gpus', { cpu: 1, gpu: 2 });
  bench.take();
  bench.add('waits for GPUs', { cpu: 1, gpu: 2 });
  bench.clock.advance(AGING_MS + 1);
  bench.add('cpu 1', { cpu: 1 });
  bench.add('cpu 2', { cpu: 2 });
  bench.add('cpu 3', { cpu: 1 });
  // Three cores are free, one of which is kept.
  assert.deepEqual(bench.take(), ['cpu 1', 'cpu 3']);
  bench.end('gpus');
  assert.deepEqual(bench.take(), ['waits for GPUs']);
});

test('when room was made for an aged one, others like it follow before the room is filled', () => {
  const bench = new Bench();
  bench.add('small 0', { cpu: 1 });
  bench.take();
  for (let index = 0; index < 3; index += 1) bench.add(`large ${index}`, { cpu: 4 });
  bench.clock.advance(AGING_MS + 1);
  bench.add('small 1', { cpu: 1 });
  assert.deepEqual(bench.take(), []);
  bench.end('small 0');
  for (let index = 0; index < 3; index += 1) {
    assert.deepEqual(bench.take(), [`large ${index}`]);
    bench.add(`urgent ${index}`, { cpu: 4 }, { priority: 1 });
    bench.end(`large ${index}`);
    assert.deepEqual(bench.take(), [`urgent ${index}`], 'priority is above any series');
    bench.end(`urgent ${index}`);
  }
  assert.deepEqual(bench.take(), ['small 1']);
});

test('many that do not fit do not hide one that does', () => {
  const bench = new Bench();
  bench.add('gpus', { gpu: 2 });
  bench.take();
  for (let index = 0; index < 150; index += 1) bench.add(`waits ${index}`, { gpu: 1 });
  bench.add('cpu', { cpu: 1 });
  assert.deepEqual(bench.take(), ['cpu']);
});

test('cancelled while it waits: the next one has its room at once', () => {
  const bench = new Bench();
  bench.add('first', { cpu: 4 });
  bench.take();
  const second = bench.add('second', { cpu: 4 });
  bench.add('third', { cpu: 4 });
  assert.equal(bench.queue.remove('second'), second);
  bench.admission.releaseAll(second);
  assert.equal(bench.ledger.promised().cpu, 4);
  bench.end('first');
  assert.deepEqual(bench.take(), ['third']);
});

test('two jobs of one GPU have different ones; they come back with the run, the disk with the end', () => {
  const bench = new Bench();
  const jobs = ['a', 'b', 'c'].map((id) => bench.add(id, { cpu: 1, disk: 40 * GB, gpu: 1 }));
  assert.deepEqual(bench.take(), ['a', 'b']);
  const devices = (): number[][] => jobs.map(({ gpus }) => gpus.map(({ Index }) => Index));
  assert.deepEqual(devices(), [[0], [1], []]);
  const [first] = jobs;
  assert.ok(first !== undefined);
  bench.admission.releaseRun(first);
  bench.admission.releaseRun(first);
  assert.deepEqual([bench.ledger.free().cpu, bench.ledger.free().gpu], [3, 1]);
  assert.deepEqual(bench.take(), [], 'its disk is still held');
  bench.end('a');
  assert.deepEqual(bench.take(), ['c']);
  assert.deepEqual(devices(), [[], [1], [0]]);
  bench.admission.releaseAll(first);
  assert.equal(bench.ledger.used().cpu, 2, 'what is given back twice counts once');
});

test('no place downstream, or no room on the disk: nothing is taken and nothing is lost', () => {
  const bench = new Bench();
  bench.add('a', { cpu: 1 });
  bench.places = 0;
  assert.deepEqual(bench.take(), []);
  bench.places = 1;
  bench.hasDisk = false;
  assert.deepEqual(bench.take(), []);
  assert.deepEqual([bench.places, bench.ledger.used(), bench.changes], [1, NO_RESOURCES, 0]);
  bench.hasDisk = true;
  assert.deepEqual(bench.take(), ['a']);
  assert.equal(bench.changes, 1);
});
