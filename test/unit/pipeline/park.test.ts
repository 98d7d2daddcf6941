import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limits } from '../../../src/core/limits.ts';
import type { Item } from '../../../src/pipeline/item.ts';
import { Park } from '../../../src/pipeline/park.ts';
import { type PipelineKit, pipelineKit } from '../../support/pipeline.ts';

const OFFER_MS = limits.offeredTimeoutMs;
/** How often the park looks: an offer ends at most this much late. */
const LOOK_MS = 1000;

function setup(): PipelineKit & { park: Park; expired: string[]; offer: () => Item } {
  const kit = pipelineKit();
  const expired: string[] = [];
  const park = new Park({ clock: kit.clock, onExpired: ({ id }) => expired.push(id) });
  return {
    ...kit,
    park,
    expired,
    offer() {
      const untilMs = kit.clock.nowMs() + OFFER_MS;
      const item = kit.item({}, { wait: { kind: 'offered', untilMs, reason: '' } });
      park.offer(item);
      return item;
    },
  };
}

test('an offer ends by its time, once, and those made later stand', () => {
  const { park, expired, offer, clock } = setup();
  const early = offer();
  assert.equal(early.station, 'offered');
  clock.advance(OFFER_MS / 2);
  const late = offer();
  clock.advance(OFFER_MS / 2 - 1);
  assert.deepEqual(expired, []);
  clock.advance(LOOK_MS + 1);
  assert.deepEqual(expired, [early.id]);
  assert.equal(park.takeOffered(early.id), undefined, 'an answer that comes now finds nothing');
  assert.equal(park.offered, 1);
  clock.advance(OFFER_MS);
  assert.deepEqual(expired, [early.id, late.id]);
  assert.equal(clock.pendingTimers, 0, 'nothing is looked for when nothing waits');
});

test('an offer that is answered does not end', () => {
  const { park, expired, offer, clock } = setup();
  const item = offer();
  assert.equal(park.takeOffered(item.id), item);
  assert.equal(park.takeOffered(item.id), undefined);
  clock.advance(OFFER_MS * 2);
  assert.deepEqual(expired, []);
});

test('results wait for their publisher in order, and one of them can be taken out', () => {
  const { park, item } = setup();
  const [first, second, third] = [item(), item(), item()];
  for (const one of [first, second, third]) park.retry(one);
  assert.equal(second.station, 'retry');
  assert.ok(park.removeRetry(second.id));
  assert.ok(!park.removeRetry(second.id));
  assert.equal(park.waitingForPublisher, 2);
  assert.deepEqual([park.takeRetry(), park.takeRetry(), park.takeRetry()], [first, third, undefined]);
});

test('a stopped park lets nothing run out: the records keep it', () => {
  const { park, expired, offer, clock } = setup();
  offer();
  park.stop();
  clock.advance(OFFER_MS * 2);
  assert.deepEqual(expired, []);
  assert.equal(clock.pendingTimers, 0);
});
