import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Resources } from '../../../src/core/job.ts';
import { NodeRoom } from '../../../src/requester/room.ts';
import { nodeInfo } from '../../support/requester/kit.ts';

function cores(cpu: number): Resources {
  return { cpu, memory: 0, disk: 0, gpu: 0 };
}

function room(slots: number, cpu: number, asksInFlight = 512): NodeRoom {
  const made = new NodeRoom({ asksInFlight });
  const { compute } = nodeInfo({ openSlots: slots, openCapacity: { cpu, memory: 1e9, disk: 1e9, gpu: 0 } });
  if (compute !== null) made.told(compute);
  return made;
}

const open = (slots: number, cpu: number): { openSlots: number; openCapacity: Resources } => ({
  openSlots: slots,
  openCapacity: { cpu, memory: 1e9, disk: 1e9, gpu: 0 },
});

describe('what is believed of the room at a node', () => {
  it('is nothing before the node has spoken', () => {
    assert.equal(new NodeRoom({ asksInFlight: 1 }).isOpen(1e6), false);
  });

  it('is what it told, less what was asked', () => {
    const node = room(3, 2);
    assert.ok(node.has(cores(1), 2, 0));
    assert.ok(!node.has(cores(1), 3, 0));
    node.asked(cores(1.5), 0);
    assert.ok(node.has(cores(0.5), 1, 0));
    assert.ok(!node.has(cores(0.6), 1, 0));
    node.asked(cores(0.1), 0);
    node.asked(cores(0.1), 0);
    assert.ok(!node.isOpen(0));
    node.announced(open(8, 4), 1);
    assert.ok(node.has(cores(2.3), 1, 1));
    assert.ok(!node.has(cores(2.4), 1, 1));
    for (const asked of [1.5, 0.1, 0.1]) node.answered(cores(asked), true);
    assert.equal(node.outstanding, 3);
  });

  it('ends at the limit of open asks', () => {
    const node = room(99, 99, 2);
    assert.ok(!node.has(cores(0), 3, 0));
    node.asked(cores(0), 0);
    node.asked(cores(0), 0);
    assert.ok(!node.isOpen(1e9));
  });

  it('shrinks with a refusal: nothing as large is asked, smaller things are', () => {
    const node = room(9, 9);
    node.asked(cores(1), 0);
    node.answered(cores(1), true);
    node.asked(cores(4), 0);
    node.answered(cores(4), false);
    node.refused(cores(4), 0);
    assert.ok(!node.has(cores(4), 1, 1));
    assert.ok(!node.has(cores(5), 1, 1));
    assert.ok(node.has(cores(3), 1, 1));
    node.ended();
    assert.ok(node.has(cores(4), 1, 1));
  });

  it('is not renewed by announcements that were just disproved, but by a probe at last', () => {
    const node = room(9, 9);
    let now = 0;
    const asks: number[] = [];
    for (; now < 300_000; now += 10) {
      node.announced(open(9, 9), now);
      if (!node.has(cores(1), 1, now)) continue;
      node.asked(cores(1), now);
      node.answered(cores(1), false);
      node.refused(null, now);
      asks.push(now);
    }
    assert.ok(asks.length < 60, `${asks.length} asks`);
    assert.ok((asks.at(-1) ?? 0) > 200_000);
  });
});
