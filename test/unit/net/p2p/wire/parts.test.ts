import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NodeError } from '../../../../../src/core/errors.ts';
import { ByteBudget } from '../../../../../src/net/p2p/wire/budget.ts';
import { WireFault } from '../../../../../src/net/p2p/wire/fault.ts';
import { FlowWindow } from '../../../../../src/net/p2p/wire/flow-window.ts';
import { Guard } from '../../../../../src/net/p2p/wire/guard.ts';
import { wireLimits } from '../../../../../src/net/p2p/wire/limits.ts';
import { busy, LinkOutbox } from '../../../../../src/net/p2p/wire/outbox.ts';
import { Pulse } from '../../../../../src/net/p2p/wire/pulse.ts';
import { ManualClock } from '../../../../support/requester/manual-clock.ts';

const WINDOW = { windowMessages: 3, windowBytes: 1000 };
const BOUNDS = { outboxMessages: 5, outboxBytes: 500, frameMessages: 4, frameTargetBytes: 100 };

function outboxWith(
  bounds: Partial<typeof BOUNDS> = {},
  budget = 10_000,
): {
  outbox: LinkOutbox;
  offer: (bytes: number, wantsAnswer?: boolean) => boolean;
  take: () => number[];
  ends: (NodeError | undefined)[];
} {
  const outbox = new LinkOutbox({ ...BOUNDS, ...bounds }, new ByteBudget(budget));
  const ends: (NodeError | undefined)[] = [];
  return {
    outbox,
    ends,
    offer: (bytes, wantsAnswer = true) =>
      outbox.tryPush({
        type: 'BidAccepted',
        code: 2,
        payload: Buffer.alloc(bytes),
        attachment: undefined,
        settle: wantsAnswer ? (error) => void ends.push(error) : undefined,
      }),
    take: () => outbox.take(WINDOW, 0, () => undefined).map(({ id }) => id),
  };
}

test('the outbox is bounded by count, by bytes, and by what all links hold', () => {
  const byCount = outboxWith();
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6].map((bytes) => byCount.offer(bytes)),
    [true, true, true, true, true, false],
  );
  const byBytes = outboxWith();
  assert.deepEqual([byBytes.offer(400), byBytes.offer(101), byBytes.offer(100)], [true, false, true]);
  const shared = outboxWith({}, 300);
  assert.deepEqual([shared.offer(200), shared.offer(200)], [true, false]);
  assert.deepEqual(shared.take(), [1]);
  assert.equal(shared.offer(200), true);
});

test('a frame takes as much as it should hold, and the window stops what wants an answer', () => {
  const { outbox, offer, take, ends } = outboxWith({ outboxMessages: 100 });
  for (let index = 0; index < 6; index += 1) offer(40);
  assert.deepEqual(take(), [1, 2], 'the third would pass the target');
  assert.deepEqual(take(), [3], 'the window holds three');
  assert.deepEqual(take(), []);
  assert.equal(outbox.answered(2, undefined), 0);
  assert.equal(outbox.answered(2, undefined), undefined, 'answered once');
  assert.deepEqual(take(), [4]);
  assert.equal(outbox.answered(9, undefined), undefined);
  assert.deepEqual(ends, [undefined]);
});

test('one message always fits, however large', () => {
  const { offer, take } = outboxWith({ outboxBytes: 5000 });
  offer(4000);
  assert.deepEqual(take(), [1]);
});

test('what wants no answer has number 0 and no window', () => {
  const { offer, take, outbox } = outboxWith({ outboxMessages: 100 });
  for (let index = 0; index < 4; index += 1) offer(10);
  assert.deepEqual(take(), [1, 2, 3]);
  assert.deepEqual(take(), []);
  const posts = outboxWith({ outboxMessages: 100 });
  for (let index = 0; index < 4; index += 1) posts.offer(1, false);
  assert.deepEqual(posts.take(), [0, 0, 0, 0]);
  assert.equal(outbox.unanswered, 3);
});

test('asks wait behind everything else, and leave half of each bound to it', () => {
  const outbox = new LinkOutbox(
    { outboxMessages: 6, outboxBytes: 6000, frameMessages: 10, frameTargetBytes: 10_000 },
    new ByteBudget(10_000),
  );
  const offer = (type: 'AskForBid' | 'CancelExecution'): boolean =>
    outbox.tryPush({
      type,
      code: type === 'AskForBid' ? 1 : 4,
      payload: Buffer.alloc(10),
      attachment: undefined,
      settle: () => undefined,
    });
  assert.deepEqual(
    [1, 2, 3, 4].map(() => offer('AskForBid')),
    [true, true, true, false],
  );
  assert.deepEqual(
    [1, 2, 3, 4].map(() => offer('CancelExecution')),
    [true, true, true, false],
  );
  const window = { windowMessages: 8, windowBytes: 1000 };
  const types = (): number[] => outbox.take(window, 0, () => undefined).map(({ type }) => type);
  assert.deepEqual(types(), [4, 4, 4, 1], 'half of the window is kept');
  for (let cancel = 0; cancel < 4; cancel += 1) offer('CancelExecution');
  assert.deepEqual(types(), [4, 4, 4, 4], 'and used by what is not an ask');
  for (let id = 1; id <= 8; id += 1) outbox.answered(id, undefined);
  assert.deepEqual(types(), [1, 1]);
});

test('the end of the link is the end of all its messages', () => {
  const { outbox, offer, take, ends } = outboxWith();
  for (let index = 0; index < 5; index += 1) offer(10);
  take();
  const error = busy('peer');
  outbox.fail(error);
  assert.deepEqual(ends, [error, error, error, error, error]);
  assert.equal(outbox.waiting, 0);
  assert.equal(outbox.unanswered, 0);
});

test('many messages go through in order', () => {
  const { outbox, offer } = outboxWith({ outboxMessages: 5000, outboxBytes: 1e6, frameMessages: 7 });
  const seen: number[] = [];
  for (let round = 0; round < 40; round += 1) {
    for (let index = 0; index < 100; index += 1) assert.ok(offer(1));
    for (let frame = 0; frame < 12; frame += 1) {
      const wide = { windowMessages: 10_000, windowBytes: 1e6 };
      for (const { sequence } of outbox.take(wide, 0, () => undefined)) seen.push(sequence);
    }
  }
  assert.deepEqual(
    seen,
    Array.from({ length: seen.length }, (_, index) => index + 1),
  );
  assert.equal(outbox.waiting, 4000 - seen.length);
});

function faultAt(pulse: Pulse, ticks: number, state: Parameters<Pulse['tick']>[1]): string | undefined {
  for (let tick = 0; tick < ticks; tick += 1) {
    try {
      pulse.tick(1000, state);
    } catch (thrown) {
      if (thrown instanceof WireFault) return `${thrown.reason} ${tick + 1}`;
      throw thrown;
    }
  }
  return undefined;
}

const QUIET = { isGreeting: false, isHeld: false, isBlocked: false };

test('a silent peer is given up, one that is heard or not listened to is not', () => {
  assert.equal(faultAt(new Pulse(wireLimits), 20, QUIET), 'silent 6');
  assert.equal(faultAt(new Pulse(wireLimits), 20, { ...QUIET, isHeld: true }), undefined);
  const heard = new Pulse(wireLimits);
  for (let second = 0; second < 20; second += 1) {
    assert.equal(faultAt(heard, 1, QUIET), undefined);
    heard.hear();
  }
});

test('a stalled reader and a missing hello are given up', () => {
  const stalled = new Pulse(wireLimits);
  let fault: string | undefined;
  let seconds = 0;
  while (fault === undefined && seconds < 100) {
    stalled.hear();
    fault = faultAt(stalled, 1, { ...QUIET, isBlocked: true });
    seconds += 1;
  }
  assert.equal(fault, 'stalled 1');
  assert.equal(seconds, 30);
  const greeting = new Pulse({ ...wireLimits, silenceMs: 1e6 });
  assert.equal(faultAt(greeting, 30, { ...QUIET, isGreeting: true }), 'hello 10');
});

test('a ping goes out where nothing else does', () => {
  const pulse = new Pulse({ ...wireLimits, silenceMs: 1e6 });
  const pings = [];
  for (let second = 0; second < 6; second += 1) {
    const ping = pulse.tick(1000, QUIET);
    if (ping !== undefined) {
      pings.push([second, ping]);
      pulse.speak();
      pulse.pong(ping);
    }
  }
  assert.deepEqual(pings, [
    [1, 1],
    [4, 2],
  ]);
  assert.ok((pulse.rttMs ?? -1) >= 0);
  for (let second = 0; second < 6; second += 1) {
    pulse.speak();
    assert.equal(pulse.tick(1000, QUIET), undefined);
  }
});

test('a peer that offends again and again is barred, each time for longer', () => {
  const clock = new ManualClock();
  const bars: number[] = [];
  const guard = new Guard(wireLimits, {
    clock,
    onBar: (_peer, untilMs) => void bars.push(untilMs - clock.nowMs()),
  });
  assert.deepEqual([guard.strike('a'), guard.strike('a'), guard.isBarred('a')], [false, false, false]);
  clock.advance(61_000);
  assert.deepEqual([guard.strike('a'), guard.strike('a')], [false, false], 'old offences are forgotten');
  assert.equal(guard.strike('a'), true);
  assert.deepEqual([guard.isBarred('a'), guard.isBarred('b'), guard.barred], [true, false, 1]);
  clock.advance(60_001);
  assert.equal(guard.isBarred('a'), false);
  for (let strike = 0; strike < 3; strike += 1) guard.strike('a');
  for (let strike = 0; strike < 299; strike += 1) guard.strike('b', 0.01);
  assert.deepEqual(bars, [60_000, 120_000]);
});

test('the guard remembers a bounded number of peers, those seen last', () => {
  const guard = new Guard(
    { ...wireLimits, rememberedPeers: 2 },
    { clock: new ManualClock(), onBar: () => undefined },
  );
  const first = guard.of('a');
  guard.of('b');
  assert.equal(guard.of('a'), first);
  guard.of('c');
  assert.equal(guard.of('a'), first, 'b was forgotten');
});

test('streams of one peer are counted by a bucket', () => {
  const clock = new ManualClock();
  const guard = new Guard(
    { ...wireLimits, streamsPerSecond: 2, streamBurst: 3 },
    { clock, onBar: () => undefined },
  );
  assert.deepEqual(
    [1, 2, 3, 4].map(() => guard.mayOpen('a')),
    [true, true, true, false],
  );
  assert.equal(guard.mayOpen('b'), true);
  clock.advance(500);
  assert.deepEqual([guard.mayOpen('a'), guard.mayOpen('a')], [true, false]);
});

/** Sends as much as the window allows over a path of that many bytes a millisecond and that round trip; the most in flight. */
function flowOver(bytesPerMs: number, tripMs: number): { most: number; last: number } {
  const flow = new FlowWindow();
  const chunk = 32_768;
  const arrivals: { total: number; atMs: number }[] = [];
  let [now, sent, taken, free, most, last] = [0, 0, 0, 0, 0, 0];
  for (let step = 0; step < 3000; step += 1) {
    while (!flow.isFull) {
      sent += chunk;
      flow.sent(chunk, now);
      free = Math.max(free, now) + chunk / bytesPerMs;
      arrivals.push({ total: sent, atMs: free + tripMs });
    }
    last = sent - taken;
    most = Math.max(most, last);
    const next = arrivals.shift() ?? assert.fail();
    now = next.atMs;
    taken = next.total;
    flow.taken(taken, now);
  }
  return { most, last };
}

test('a large transfer keeps its queue short on a slow path, and fills a long one', () => {
  const slow = flowOver(1250, 1);
  assert.ok(slow.last <= 65_536 + 32_768, `${slow.last} bytes queue where 10 Mbit/s leave`);
  const long = flowOver(1_000_000, 100);
  assert.equal(long.last, 524_288);
});

test('what was never sent cannot have been taken', () => {
  const flow = new FlowWindow();
  flow.sent(100, 0);
  flow.taken(60, 1);
  assert.throws(() => flow.taken(50, 2), WireFault);
  assert.throws(() => flow.taken(101, 2), WireFault);
  flow.taken(100, 2);
  assert.ok(flow.isEmpty);
});
