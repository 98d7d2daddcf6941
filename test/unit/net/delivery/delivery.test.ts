import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NodeError } from '../../../../src/core/errors.ts';
import type { NodeId } from '../../../../src/core/ids.ts';
import type { ComputeBound, Message, RequesterBound } from '../../../../src/core/messages.ts';
import {
  createDelivery,
  type Delivery,
  deliveryDefaults,
  type PeerTransport,
} from '../../../../src/net/delivery.ts';
import type { Outbox } from '../../../../src/store/compute-store.ts';
import type { OutboxRow } from '../../../../src/store/records.ts';
import { silent } from '../../../support/requester/kit.ts';
import { ManualClock, turns } from '../../../support/requester/manual-clock.ts';

const SELF = 'self';

/** An outbox whose rows become visible one turn after they were written. */
class TestOutbox implements Outbox {
  readonly rows: OutboxRow[] = [];
  #visible = 0;
  #seq = 0;
  #listener: (rows: readonly OutboxRow[]) => void = () => undefined;
  reads = 0;

  write(message: Message, to = SELF): number {
    this.#seq += 1;
    const row = { seq: this.#seq, to, message };
    this.rows.push(row);
    const upTo = this.#seq;
    setImmediate(() => {
      this.#visible = Math.max(this.#visible, upTo);
    });
    this.#listener([row]);
    return this.#seq;
  }

  committed(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  pending(to: NodeId, { after = 0, limit }: { after?: number; limit: number }): OutboxRow[] {
    this.reads += 1;
    return this.rows
      .filter((row) => row.to === to && row.seq > after && row.seq <= this.#visible)
      .slice(0, limit);
  }

  remove(to: NodeId, seqs: readonly number[]): void {
    for (const seq of seqs) {
      const at = this.rows.findIndex((row) => row.seq === seq && row.to === to);
      if (at >= 0) this.rows.splice(at, 1);
    }
  }

  size(): number {
    return this.rows.filter(({ seq }) => seq <= this.#visible).length;
  }
  onAppend(listener: (rows: readonly OutboxRow[]) => void): void {
    this.#listener = listener;
  }
}

interface Bench {
  readonly clock: ManualClock;
  readonly delivery: Delivery;
  readonly outbox: TestOutbox;
  readonly answers: TestOutbox;
  readonly got: ComputeBound[];
  handle: (message: ComputeBound) => Promise<void>;
  wants: (executionId: string) => boolean;
  readonly specs: Map<string, Uint8Array>;
}

function bench(options: Partial<typeof deliveryDefaults> = {}): Bench {
  const clock = new ManualClock();
  const delivery = createDelivery({
    options: { ...deliveryDefaults, ...options, nodeId: SELF },
    modules: { clock, logger: silent, random: () => 1, onRefusal: () => undefined },
  });
  const outbox = new TestOutbox();
  const answers = new TestOutbox();
  const made: Bench = {
    clock,
    delivery,
    outbox,
    answers,
    got: [],
    handle: () => Promise.resolve(),
    wants: () => true,
    specs: new Map(),
  };
  delivery.connectRequester({
    store: {
      outbox,
      committed: () => outbox.committed(),
      spec: (jobId) =>
        jobId === 'j-gone'
          ? undefined
          : (made.specs.get(jobId) ?? new TextEncoder().encode(`spec of ${jobId}`)),
    },
    handler: { handle: () => Promise.resolve() },
    header: () => undefined,
    wantsAnswer: (_jobId, executionId) => made.wants(executionId),
  });
  delivery.connectCompute({
    store: { outbox: answers, committed: () => answers.committed() },
    handler: {
      handle: (_from, message) => {
        made.got.push(message);
        return made.handle(message);
      },
    },
  });
  return made;
}

function accepted(executionId: string): ComputeBound {
  return { type: 'BidAccepted', executionId };
}

function ask(executionId: string, jobId = 'j-1'): ComputeBound {
  return { type: 'AskForBid', executionId, jobId, jobVersion: 1 };
}

const idsOf = (messages: readonly ComputeBound[]): string[] => messages.map(({ executionId }) => executionId);

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
      header: () => undefined,
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
