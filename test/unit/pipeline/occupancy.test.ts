import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Item } from '../../../src/pipeline/item.ts';
import { Occupancy } from '../../../src/pipeline/occupancy.ts';
import { Park } from '../../../src/pipeline/park.ts';
import { BoundedQueue } from '../../../src/pipeline/queue.ts';
import { pipelineKit } from '../../support/pipeline.ts';

test('only what holds capacity counts as active: no offer, no one that waits, nor one that waits for approval', () => {
  const kit = pipelineKit();
  const item = kit.item();
  const items = new Map(['offered', 'queued', 'approval', 'runs'].map((id) => [id, { ...item, id }]));
  const queue = new BoundedQueue<Item>({ name: 'admit', bound: 10 });
  const park = new Park({ clock: kit.clock, onExpired: () => undefined });
  park.offer({ ...item, id: 'offered' });
  queue.tryPush({ ...item, id: 'queued' });
  const occupancy = new Occupancy({ items, queue, park, approvals: { size: 1 }, ledger: kit.ledger });
  assert.deepEqual([occupancy.offered, occupancy.queued, occupancy.active], [1, 1, 1]);
  park.stop();
});
