import { Ledger } from '../../src/capacity/ledger.ts';
import type { Resources } from '../../src/core/job.ts';
import { Admission, shapeOf } from '../../src/pipeline/admission.ts';
import type { Item } from '../../src/pipeline/item.ts';
import { BoundedQueue } from '../../src/pipeline/queue.ts';
import { pipelineItem } from '../../test/support/capacity/items.ts';
import { ManualClock } from '../../test/support/requester/manual-clock.ts';
import type { Bench } from '../support/bench.ts';
import { measure } from '../support/micro.ts';

const QUEUED = 10_000;
const GIB = 1024 ** 3;
const TOTAL: Resources = { cpu: 64, memory: 512 * GIB, disk: 8192 * GIB, gpu: 8 };
const QUEUE: Resources = { cpu: 65_536, memory: 524_288 * GIB, disk: 8_388_608 * GIB, gpu: 64 };
const SMALL: Resources = { cpu: 0.5, memory: GIB, disk: GIB, gpu: 0 };

/** What an end of a run costs on a full machine while very many wait. */
export const admissionBench: Bench = {
  name: 'admission',
  doc: 'admission with 10,000 queued: one ends, the next is admitted; one is cancelled',
  run: (size) =>
    measure(
      [
        ...[1, 10, 1000].map((shapes) => ({
          what: `one ends, the next starts; ${shapes} shapes wait`,
          per: 1,
          run: fullMachine(shapes),
        })),
        { what: 'cancel one that waits, and queue it again', per: 1, run: cancelling() },
      ],
      size,
    ),
};

function fullMachine(shapes: number): () => void {
  const clock = new ManualClock();
  const ledger = new Ledger({ total: TOTAL, queue: QUEUE });
  const queue = new BoundedQueue<Item>({ name: 'admit', bound: QUEUED + 1, shapeOf });
  const admission = new Admission({
    queue,
    ledger,
    clock,
    gpus: [],
    hasDisk: () => true,
    reservePlaces: () => true,
    onChange: () => undefined,
  });
  let count = 0;
  const add = (): void => {
    const resources = { ...SMALL, memory: SMALL.memory + (count % shapes) * 1_048_576 };
    const item = pipelineItem({ resources, queuedAtMs: clock.nowMs() });
    item.ticket = ledger.reserve(resources) ?? 0;
    ledger.accept(item.ticket);
    queue.tryPush(item);
    count += 1;
  };
  const running: Item[] = [];
  while (queue.depth < QUEUED) add();
  for (let taken = admission.take(64); taken.length > 0; taken = admission.take(64)) running.push(...taken);
  while (queue.depth < QUEUED) add();
  return () => {
    const ended = running.shift();
    if (ended !== undefined) admission.releaseAll(ended);
    running.push(...admission.take(64));
    add();
  };
}

function cancelling(): () => void {
  const queue = new BoundedQueue<Item>({ name: 'admit', bound: QUEUED, shapeOf });
  const items = Array.from({ length: QUEUED }, () => pipelineItem({ resources: SMALL, queuedAtMs: 0 }));
  for (const item of items) queue.tryPush(item);
  let next = 0;
  return () => {
    next = (next + 7919) % QUEUED;
    const item = items[next];
    if (item !== undefined && queue.remove(item.id) !== undefined) queue.tryPush(item);
  };
}
