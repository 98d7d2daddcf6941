import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NodeError } from '../../../../src/core/errors.ts';
import type { RequesterBound } from '../../../../src/core/messages.ts';
import { accepted, ask, bench, idsOf, SELF } from '../../../support/delivery.ts';
import { turns } from '../../../support/requester/manual-clock.ts';

describe('messages of one process', () => {
  it('go in order, and are removed when they have arrived', async () => {
    const b = bench();
    await b.delivery.start();
    await turns(4);
    for (const id of ['a', 'b', 'c']) b.outbox.write(accepted(id));
    assert.deepEqual(b.got, []);
    await turns(4);
    assert.deepEqual(idsOf(b.got), ['a', 'b', 'c']);
    assert.deepEqual(b.outbox.rows, []);
  });

  it('stay when their receiver has not stored them, and go again, ever more slowly', async () => {
    const b = bench({ retryMinMs: 100, retryMaxMs: 400 });
    await b.delivery.start();
    await turns(4);
    b.handle = () => Promise.reject(new NodeError('DiskFull', 'no space'));
    b.outbox.write(accepted('a'));
    await turns(4);
    const times: number[] = [];
    for (let ms = 0; ms < 2000; ms += 50) {
      const before = b.got.length;
      b.clock.advance(50);
      await turns(3);
      if (b.got.length > before) times.push(ms + 50);
    }
    assert.deepEqual(times, [100, 300, 700, 1100, 1500, 1900]);
    assert.equal(b.outbox.rows.length, 1);
    b.handle = () => Promise.resolve();
    b.outbox.write(accepted('b'));
    b.clock.advance(400);
    await turns(4);
    assert.deepEqual(b.outbox.rows, []);
    assert.equal(b.clock.pendingTimers, 0);
  });

  it('do not hold up one another when one fails', async () => {
    const b = bench();
    await b.delivery.start();
    await turns(4);
    b.handle = ({ executionId }) =>
      executionId === 'a' ? Promise.reject(new Error('no')) : Promise.resolve();
    b.outbox.write(accepted('a'));
    b.outbox.write(accepted('b'));
    await turns(4);
    assert.deepEqual(
      b.outbox.rows.map(({ message }) => 'executionId' in message && message.executionId),
      ['a'],
    );
  });

  it('of an earlier life are sent at start, in order, in a window of bounded size', async () => {
    const b = bench({ window: 10, page: 4 });
    for (let n = 0; n < 100; n += 1) b.outbox.write(accepted(`e-${n}`));
    await turns(2);
    let open = 0;
    let most = 0;
    const release: (() => void)[] = [];
    b.handle = () => {
      open += 1;
      most = Math.max(most, open);
      return new Promise((resolve) => {
        release.push(() => {
          open -= 1;
          resolve();
        });
      });
    };
    await b.delivery.start();
    for (let n = 100; n < 120; n += 1) b.outbox.write(accepted(`e-${n}`));
    for (let round = 0; round < 200 && b.outbox.rows.length > 0; round += 1) {
      await turns(2);
      release.shift()?.();
      if (round === 30) for (let n = 120; n < 130; n += 1) b.outbox.write(accepted(`e-${n}`));
    }
    assert.ok(most > 5 && most <= 10, `${most} at once`);
    assert.deepEqual(
      idsOf(b.got),
      Array.from({ length: 130 }, (_, n) => `e-${n}`),
    );
    assert.deepEqual(b.outbox.rows, []);
    b.outbox.write(accepted('last'));
    await turns(3);
    release.shift()?.();
    await turns(3);
    assert.equal(b.outbox.rows.length, 0);
  });
});

describe('asks', () => {
  it('let what was promised pass', async () => {
    const b = bench();
    await b.delivery.start();
    await turns(4);
    for (let n = 0; n < 200; n += 1) b.outbox.write(ask(`ask-${n}`));
    for (let n = 0; n < 100; n += 1) b.outbox.write(accepted(`offer-${n}`));
    await turns(10);
    const order = idsOf(b.got);
    assert.equal(order.length, 300);
    assert.deepEqual(
      order.slice(0, 100),
      Array.from({ length: 100 }, (_, n) => `offer-${n}`),
    );
    assert.deepEqual(
      order.slice(100),
      Array.from({ length: 200 }, (_, n) => `ask-${n}`),
    );
  });

  it('carry the spec: the attached one first, the stored one when they are repeated', async () => {
    const b = bench({ askAgainMs: 1000 });
    await b.delivery.start();
    await turns(4);
    b.delivery.attach(SELF, 'e-1', new TextEncoder().encode('attached'));
    b.outbox.write(ask('e-1'));
    await turns(4);
    b.clock.advance(1000);
    await turns(4);
    const specs = b.got.map(
      (message) => message.type === 'AskForBid' && new TextDecoder().decode(message.spec),
    );
    assert.deepEqual(specs, ['attached', 'spec of j-1']);
  });

  it('are removed by their answer, not by their arrival', async () => {
    const b = bench();
    await b.delivery.start();
    await turns(4);
    b.outbox.write(ask('e-1'));
    await turns(4);
    assert.equal(b.outbox.rows.length, 1);
    b.delivery.answered(SELF, 'e-1');
    await turns(2);
    assert.equal(b.outbox.rows.length, 0);
    b.clock.advance(10_000_000);
    await turns(2);
    assert.equal(b.got.length, 1);
  });

  it('are not sent when they are withdrawn in the turn in which they were written', async () => {
    const b = bench();
    await b.delivery.start();
    await turns(4);
    b.outbox.write(ask('e-1'));
    b.delivery.answered(SELF, 'e-1');
    await turns(4);
    assert.deepEqual([b.got, b.outbox.rows], [[], []]);
  });

  it('are repeated ever more rarely while nobody answers', async () => {
    const b = bench({ askAgainMs: 1000 });
    await b.delivery.start();
    await turns(4);
    b.outbox.write(ask('e-1'));
    for (let second = 0; second < 1000; second += 1) {
      b.clock.advance(1000);
      await turns(2);
    }
    assert.ok(b.got.length > 5 && b.got.length < 30, `${b.got.length} asks`);
  });

  it('that were answered in an earlier life are removed unsent', async () => {
    const b = bench();
    b.wants = (id) => id === 'e-2';
    b.outbox.write(ask('e-1'));
    b.outbox.write(ask('e-2'));
    await turns(2);
    await b.delivery.start();
    await turns(6);
    assert.deepEqual(idsOf(b.got), ['e-2']);
    assert.equal(b.outbox.rows.length, 1);
  });

  it('of a job that is gone are tried again, and harm no others', async () => {
    const b = bench();
    await b.delivery.start();
    await turns(4);
    b.outbox.write(ask('e-1', 'j-gone'));
    b.outbox.write(ask('e-2'));
    await turns(6);
    assert.deepEqual(idsOf(b.got), ['e-2']);
  });
});

describe('stop', () => {
  it('waits for what was sent, sends nothing more and leaves the rest', async () => {
    const b = bench();
    await b.delivery.start();
    await turns(4);
    let finish: () => void = () => undefined;
    b.handle = () =>
      new Promise((resolve) => {
        finish = resolve;
      });
    b.outbox.write(accepted('a'));
    await turns(4);
    const stopped = b.delivery.stop(b.clock.nowMs() + 1000);
    b.outbox.write(accepted('b'));
    finish();
    await stopped;
    await turns(4);
    assert.deepEqual(idsOf(b.got), ['a']);
    assert.deepEqual(
      b.outbox.rows.map(({ seq }) => seq),
      [2],
    );
  });

  it('ends at its deadline', async () => {
    const b = bench();
    await b.delivery.start();
    await turns(4);
    b.handle = () => new Promise(() => undefined);
    b.outbox.write(accepted('a'));
    await turns(4);
    const stopped = b.delivery.stop(b.clock.nowMs() + 1000);
    b.clock.advance(1000);
    await stopped;
    assert.equal(b.outbox.rows.length, 1);
    assert.equal(b.clock.pendingTimers, 0);
  });
});

describe('passing messages', () => {
  it('reach the other role at once and need no row', async () => {
    const b = bench();
    const seen: RequesterBound[] = [];
    b.delivery.connectRequester({
      store: { outbox: b.outbox, committed: () => b.outbox.committed(), spec: () => undefined },
      handler: {
        handle: (_from, message) => {
          seen.push(message);
          return Promise.reject(new Error('not now'));
        },
      },
      known: () => ({}),
      wantsAnswer: () => true,
    });
    await b.delivery.start();
    const message: RequesterBound = {
      type: 'RoomAnnounced',
      openSlots: 3,
      openCapacity: { cpu: 1, memory: 1, disk: 1, gpu: 0 },
    };
    b.delivery.post(SELF, message);
    await turns(2);
    assert.deepEqual(seen, [message]);
  });
});
