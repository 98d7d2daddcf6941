import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { EVENT_ROLES, type Gap, type NodeEvent } from '../../../src/events/event.ts';
import { EVERYTHING, type EventFilter, Matcher } from '../../../src/events/filter.ts';
import type { SubscribeOptions } from '../../../src/events/hub.ts';
import type { Frame, Subscription } from '../../../src/events/subscription.ts';
import { ScriptedEvents, testJobId } from '../../support/events.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const follow: SubscribeOptions = { filter: EVERYTHING, encoding: 'json', follow: true };

type Element = NodeEvent | { readonly gap: Gap } | { readonly at: number };

const elements = (frame: Frame): Element[] => JSON.parse(new TextDecoder().decode(frame.data)) as Element[];

/** Elements of the next frame. */
const firstOf = async (subscription: Subscription): Promise<Element[]> => {
  const frame = await subscription.next();
  return frame === undefined ? [] : elements(frame);
};

/** A subscriber that asks only when it is told to. */
class Reader {
  readonly seqs: number[] = [];
  readonly gaps: Gap[] = [];
  readonly subscription: Subscription;
  #asking: Promise<void> | undefined;

  constructor(subscription: Subscription) {
    this.subscription = subscription;
  }

  /** Asks for a frame, unless the last one has not come yet. */
  ask(): void {
    this.#asking ??= this.subscription.next().then((frame) => {
      this.#asking = undefined;
      if (frame === undefined) return;
      for (const element of elements(frame)) {
        if ('gap' in element) this.gaps.push(element.gap);
        else if ('seq' in element) this.seqs.push(element.seq);
      }
    });
  }

  /** Asks until nothing comes any more. */
  async drain(): Promise<void> {
    for (let idle = 0; idle < 20; idle += 1) {
      const before = this.seqs.length + this.gaps.length;
      this.ask();
      await turn();
      if (this.seqs.length + this.gaps.length > before) idle = 0;
    }
  }
}

const filters: fc.Arbitrary<EventFilter> = fc.record({
  jobs: fc.subarray([0, 1, 2].map(testJobId)),
  executions: fc.constant([]),
  nodes: fc.constant([]),
  types: fc.constant([]),
  roles: fc.subarray([...EVENT_ROLES]),
});

type Step =
  | { readonly do: 'append'; readonly role: 'requester' | 'compute'; readonly n: number }
  | { readonly do: 'burn' }
  | { readonly do: 'flush'; readonly role: 'requester' | 'compute'; readonly count: number }
  | { readonly do: 'subscribe'; readonly filter: EventFilter; readonly back: number | undefined }
  | { readonly do: 'ask'; readonly who: number }
  | { readonly do: 'leave'; readonly who: number }
  | { readonly do: 'trim'; readonly role: 'requester' | 'compute'; readonly share: number }
  | { readonly do: 'turn' };

const role = fc.constantFrom(...EVENT_ROLES);
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.record({ do: fc.constant('append' as const), role, n: fc.nat(5) }) },
    { weight: 1, arbitrary: fc.constant({ do: 'burn' as const }) },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('flush' as const), role, count: fc.nat(6) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('subscribe' as const),
        filter: filters,
        back: fc.option(fc.nat(30), { nil: undefined }),
      }),
    },
    { weight: 6, arbitrary: fc.record({ do: fc.constant('ask' as const), who: fc.nat(5) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), who: fc.nat(5) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('trim' as const),
        role,
        share: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
    },
    { weight: 2, arbitrary: fc.constant({ do: 'turn' as const }) },
  ),
  { minLength: 20, maxLength: 150 },
);

describe('event hub', () => {
  it('gives every subscriber every event it wants once, in order, but for what a gap names', async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.integer({ min: 2, max: 12 }), async (script, eventRingItems) => {
        const events = new ScriptedEvents({ eventRingItems });
        const readers: { reader: Reader; matcher: Matcher; from: number; gone: boolean }[] = [];
        for (const step of script) {
          switch (step.do) {
            case 'append':
              events.append(step.role, step.n);
              break;
            case 'burn':
              events.burn();
              break;
            case 'flush':
              events[step.role].flush(step.count);
              break;
            case 'subscribe': {
              const { end } = events.hub;
              const from = step.back === undefined ? undefined : Math.max(1, end - step.back);
              const options = { ...follow, filter: step.filter, ...(from === undefined ? {} : { from }) };
              const reader = new Reader(events.hub.subscribe(options));
              readers.push({ reader, matcher: new Matcher(step.filter), from: from ?? end, gone: false });
              break;
            }
            case 'ask':
              readers[step.who]?.reader.ask();
              break;
            case 'leave': {
              const one = readers[step.who];
              one?.reader.subscription.close('client');
              if (one !== undefined) one.gone = true;
              break;
            }
            case 'trim': {
              // Rows are trimmed that were told; those behind are not.
              const log = events[step.role];
              const row = log.written[Math.floor(log.written.length * step.share)];
              if (row !== undefined && row.seq < events.hub.end) log.lost = Math.max(log.lost, row.seq);
              break;
            }
            case 'turn':
              await turn();
              break;
          }
          for (const { reader } of readers) {
            const last = reader.seqs.at(-1) ?? 0;
            const certain = Math.min(events.requester.firstUnwritten(), events.compute.firstUnwritten());
            assert.ok(last < certain, `event ${last} was delivered before ${certain} was on disk`);
          }
        }
        events.requester.flush();
        events.compute.flush();
        for (const { reader, matcher, from, gone } of readers) {
          if (gone) continue;
          await reader.drain();
          const { seqs, gaps } = reader;
          const wanted = events.all().filter((row) => row.seq >= from && matcher.matches(row));
          const named = (row: { role: string; seq: number }): boolean =>
            gaps.some((gap) => gap.role === row.role && gap.from <= row.seq && row.seq <= gap.to);
          const got = new Set(seqs);
          assert.equal(got.size, seqs.length, `twice: ${seqs.join()}`);
          assert.deepEqual(
            seqs,
            seqs.toSorted((a, b) => a - b),
            'out of order',
          );
          const missing = wanted.filter((row) => !got.has(row.seq) && !named(row));
          assert.deepEqual(missing, [], 'missing without a gap');
          assert.deepEqual(
            seqs.filter((seq) => !wanted.some((row) => row.seq === seq)),
            [],
            'not asked for',
          );
          reader.subscription.close('client');
        }
        assert.equal(events.hub.subscribers, 0);
      }),
      { numRuns: 300 },
    );
  });

  it('subscribers with the same filter and place get the same bytes', async () => {
    const events = new ScriptedEvents();
    const pair = [events.hub.subscribe(follow), events.hub.subscribe(follow)];
    for (const one of pair) assert.equal((await one.next())?.events, 0, 'where it begins');
    const first = Promise.all(pair.map((one) => one.next()));
    for (let n = 0; n < 3; n += 1) events.append('compute');
    events.compute.flush();
    const [a, b] = await first;
    assert.equal(a?.events, 3);
    assert.equal(a?.data, b?.data);
    events.append('compute');
    events.compute.flush();
    const [c, d] = await Promise.all(pair.map((one) => one.next()));
    assert.equal(c?.data, d?.data, 'those that come a little later too');
    for (const one of pair) one.close('client');
  });

  it('reads the log once for those who begin at one place', async () => {
    const events = new ScriptedEvents({ eventRingItems: 2 });
    for (let n = 0; n < 600; n += 1) events.append('compute');
    events.compute.flush();
    let reads = 0;
    const log = events.compute.log.bind(events.compute);
    events.compute.log = (options) => {
      reads += 1;
      return log(options);
    };
    const readers = Array.from(
      { length: 10 },
      () => new Reader(events.hub.subscribe({ ...follow, from: 1 })),
    );
    await Promise.all(readers.map((reader) => reader.drain()));
    for (const { seqs } of readers) {
      assert.deepEqual(
        seqs,
        Array.from({ length: 600 }, (_, n) => n + 1),
      );
    }
    assert.ok(reads < 10, `${reads} reads`);
    for (const { subscription } of readers) subscription.close('client');
  });

  it('holds back what a slow disk may still precede, and no longer', async () => {
    const events = new ScriptedEvents({ eventRingItems: 4 });
    const reader = new Reader(events.hub.subscribe(follow));
    events.append('requester');
    for (let n = 0; n < 20; n += 1) events.append('compute');
    events.compute.flush();
    await reader.drain();
    assert.deepEqual(reader.seqs, []);
    events.requester.flush();
    await reader.drain();
    assert.deepEqual(
      reader.seqs,
      Array.from({ length: 21 }, (_, n) => n + 1),
    );
    // A number whose write was taken back holds up nobody.
    events.burn();
    events.append('compute');
    events.compute.flush();
    await reader.drain();
    assert.equal(reader.seqs.at(-1), 23);
    reader.subscription.close('client');
  });

  it('ends where the log ends now, when it is not to follow', async () => {
    const events = new ScriptedEvents();
    for (let n = 0; n < 600; n += 1) events.append(n % 3 === 0 ? 'requester' : 'compute');
    events.requester.flush();
    events.compute.flush();
    const subscription = events.hub.subscribe({ ...follow, from: 1, follow: false });
    const seqs: number[] = [];
    for (let frame = await subscription.next(); frame !== undefined; frame = await subscription.next()) {
      for (const element of elements(frame)) if ('seq' in element) seqs.push(element.seq);
    }
    assert.deepEqual(
      seqs,
      Array.from({ length: 600 }, (_, n) => n + 1),
    );
    assert.equal(subscription.end, 'complete');
    assert.equal(events.hub.subscribers, 0);
    const none = events.hub.subscribe({ ...follow, follow: false });
    assert.equal(await none.next(), undefined, 'nothing to begin with');
  });

  it('tells who hears nothing how far it is, and ends who takes nothing', async () => {
    const events = new ScriptedEvents({ eventBeatMs: 20, eventStallMs: 60 });
    const ends: string[] = [];
    const filter = { ...EVERYTHING, roles: ['requester'] as const };
    const quiet = events.hub.subscribe({ ...follow, filter });
    const stalled = events.hub.subscribe({ ...follow, onEnd: (how) => ends.push(how) });
    assert.deepEqual(await firstOf(quiet), [{ at: 0 }]);
    assert.deepEqual(await firstOf(stalled), [{ at: 0 }]);
    const taken = stalled.next();
    events.append('compute');
    events.compute.flush();
    await taken;
    assert.deepEqual(await firstOf(quiet), [{ at: 1 }]);
    while (ends.length === 0) await quiet.next();
    assert.deepEqual(ends, ['stalled']);
    assert.equal(await stalled.next(), undefined);
    assert.equal(events.hub.counts.ends.stalled, 1);
    quiet.close('client');
  });

  it('refuses a seq that was never given, and more subscribers than it may have', () => {
    const events = new ScriptedEvents({ eventSubscribers: 1 });
    events.append('compute');
    events.compute.flush();
    assert.throws(() => events.hub.subscribe({ ...follow, from: 3 }), {
      code: 'BadQuery',
      message: /last event of this node is 1/,
    });
    const only = events.hub.subscribe({ ...follow, from: 2 });
    assert.throws(() => events.hub.subscribe(follow), { code: 'Busy' });
    only.close('client');
  });

  it('keeps nothing while nobody subscribes', async () => {
    const events = new ScriptedEvents();
    const reader = new Reader(events.hub.subscribe(follow));
    events.append('compute');
    events.compute.flush();
    await reader.drain();
    reader.subscription.close('client');
    for (let n = 0; n < 5; n += 1) events.append('compute');
    events.compute.flush();
    const again = new Reader(events.hub.subscribe({ ...follow, from: 2 }));
    await again.drain();
    assert.deepEqual(again.seqs, [2, 3, 4, 5, 6]);
    again.subscription.close('client');
  });
});
