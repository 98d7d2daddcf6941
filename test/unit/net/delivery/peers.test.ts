import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ComputeBound, Message } from '../../../../src/core/messages.ts';
import { type PeerTransport } from '../../../../src/net/delivery.ts';
import { accepted, ask, bench, idsOf } from '../../../support/delivery.ts';
import { turns } from '../../../support/requester/manual-clock.ts';

describe('peers', () => {
  it('get their rows when the way to them opens; until then the rows stay', async () => {
    const b = bench();
    await b.delivery.start();
    await turns(4);
    b.outbox.write(accepted('e-1'), 'peer');
    b.outbox.write(accepted('e-2'));
    await turns(4);
    assert.deepEqual(idsOf(b.got), ['e-2']);
    assert.deepEqual(b.delivery.debug()['unreachable'], { peer: 1 });
    const sent: Message[] = [];
    b.delivery.peerConnected('peer', {
      send: (_to, message) => {
        sent.push(message);
        return Promise.resolve();
      },
      post: () => true,
    });
    await turns(6);
    b.outbox.write(accepted('e-3'), 'peer');
    await turns(6);
    assert.deepEqual(sent, [accepted('e-1'), accepted('e-3')]);
    assert.deepEqual(b.outbox.rows, []);
    b.delivery.peerGone('peer');
    b.outbox.write(accepted('e-4'), 'peer');
    await turns(4);
    assert.equal(b.outbox.rows.length, 1);
  });
});

describe('peers that come and go', () => {
  /** A way to a peer whose answers the test gives. */
  function way(): { sent: Message[]; answers: ((stored: boolean) => void)[]; transport: PeerTransport } {
    const sent: Message[] = [];
    const answers: ((stored: boolean) => void)[] = [];
    return {
      sent,
      answers,
      transport: {
        send: (_to, message) =>
          new Promise((resolve, reject) => {
            sent.push(message);
            answers.push((stored) => (stored ? resolve() : reject(new Error('the link broke'))));
          }),
        post: () => false,
      },
    };
  }

  it('rows for a peer that is away are not read for another', async () => {
    const b = bench();
    await b.delivery.start();
    for (let n = 0; n < 10_000; n += 1) b.outbox.write(accepted(`e-${n}`), 'away');
    const here = way();
    b.delivery.peerConnected('here', here.transport);
    await turns(6);
    const before = b.outbox.reads;
    b.outbox.write(accepted('e-here'), 'here');
    await turns(4);
    assert.deepEqual(here.sent, [accepted('e-here')]);
    assert.ok(b.outbox.reads - before <= 2, `${b.outbox.reads - before} reads`);
  });

  it('what was sent and not answered goes again, in order; what was answered does not', async () => {
    const b = bench();
    await b.delivery.start();
    const first = way();
    b.delivery.peerConnected('peer', first.transport);
    await turns(6);
    for (const id of ['a', 'b', 'c', 'd']) b.outbox.write(accepted(id), 'peer');
    await turns(4);
    first.answers[1]?.(true);
    await turns(1);
    b.delivery.peerGone('peer');
    const second = way();
    b.delivery.peerConnected('peer', second.transport);
    // The old link's word comes late: one way or the other, it changes nothing.
    first.answers[0]?.(true);
    first.answers[2]?.(false);
    await turns(8);
    assert.deepEqual(second.sent, [accepted('a'), accepted('c'), accepted('d')]);
    for (const answer of second.answers) answer(true);
    await turns(4);
    assert.deepEqual(b.outbox.rows, []);
    assert.equal(b.clock.pendingTimers, 0);
  });

  it('a refused one goes again later and lets the next ones pass', async () => {
    const b = bench({ retryMinMs: 100 });
    await b.delivery.start();
    const link = way();
    b.delivery.peerConnected('peer', link.transport);
    await turns(6);
    b.outbox.write(accepted('a'), 'peer');
    b.outbox.write(accepted('b'), 'peer');
    await turns(4);
    link.answers[0]?.(false);
    link.answers[1]?.(true);
    await turns(4);
    b.clock.advance(100);
    await turns(4);
    link.answers[2]?.(true);
    await turns(4);
    assert.deepEqual(link.sent, [accepted('a'), accepted('b'), accepted('a')]);
    assert.deepEqual(b.outbox.rows, []);
  });

  it('an ask goes again over the next link, unless it was answered meanwhile', async () => {
    const b = bench();
    await b.delivery.start();
    const first = way();
    b.delivery.peerConnected('peer', first.transport);
    await turns(6);
    b.outbox.write(ask('e-1'), 'peer');
    b.outbox.write(ask('e-2'), 'peer');
    await turns(4);
    for (const answer of first.answers) answer(true);
    b.delivery.peerGone('peer');
    b.wants = (id) => id === 'e-2';
    b.delivery.answered('peer', 'e-1');
    const second = way();
    b.delivery.peerConnected('peer', second.transport);
    await turns(8);
    assert.deepEqual(idsOf(second.sent as ComputeBound[]), ['e-2']);
  });

  it('the end of an execution is told when it is on disk, and not before', async () => {
    const b = bench();
    const disk = Promise.withResolvers<void>();
    b.flush = () => disk.promise;
    await b.delivery.start();
    const link = way();
    b.delivery.peerConnected('peer', link.transport);
    await turns(6);
    const started = { type: 'ExecutionStarted', executionId: 'e-1', jobId: 'j-1' } as const;
    const error = { code: 'Internal', message: '' } as const;
    const end = { type: 'ComputeError', executionId: 'e-1', jobId: 'j-1', error, topic: '' } as const;
    b.answers.write(started, 'peer');
    b.answers.write(end, 'peer');
    await turns(6);
    assert.deepEqual(link.sent, [started]);
    disk.resolve();
    await turns(2);
    assert.deepEqual(link.sent, [started, end]);
  });

  it('large asks go one at a time; small ones do not wait for them', async () => {
    const b = bench();
    const large = new Uint8Array(300_000);
    b.specs.set('j-large', large);
    await b.delivery.start();
    const link = way();
    b.delivery.peerConnected('peer', link.transport);
    await turns(6);
    for (const id of ['l-1', 'l-2', 'l-3']) {
      b.delivery.attach('peer', id, large);
      b.outbox.write(ask(id, 'j-large'), 'peer');
    }
    b.outbox.write(ask('small'), 'peer');
    await turns(8);
    assert.deepEqual(idsOf(link.sent as ComputeBound[]).toSorted(), ['l-1', 'small']);
    link.answers[0]?.(false);
    link.answers[1]?.(true);
    await turns(8);
    assert.equal(link.sent.length, 3);
  });
});
