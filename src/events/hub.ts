import { NodeError } from '../core/errors.ts';
import type { Limits } from '../core/limits.ts';
import type { HistoryRow } from '../store/records.ts';
import type { HistoryReader } from '../store/role-log.ts';
import { type Encoding, Entry, encodeNotice } from './encoding.ts';
import { type EventFilter, FilterIndex, Matcher } from './filter.ts';
import { Group } from './group.ts';
import { Merge } from './merge.ts';
import { readPage, seqAt } from './pages.ts';
import { EventRing } from './ring.ts';
import { type Frame, Subscription, type SubscriptionEnd, type SubscriptionHost } from './subscription.ts';

/** Stored rows read at once, of each role: a millisecond or so. */
const PAGE_ROWS = 256;
/** How long the logs are read in one turn of the loop. */
const READ_MS = 2;

export interface HubOptions {
  readonly limits: Pick<
    Limits,
    'eventSubscribers' | 'eventRingItems' | 'eventRingBytes' | 'eventStallMs' | 'eventBeatMs'
  >;
}

export interface HubModules {
  /** One a role that this node has. */
  readonly logs: readonly HistoryReader[];
  /** The seq given out last. */
  readonly lastSeq: () => number;
}

/** What a subscriber wants. */
export interface SubscribeOptions {
  readonly filter: EventFilter;
  readonly encoding: Encoding;
  /** Seq of the first event; absent: what happens from now on. */
  readonly from?: number;
  /** The first event is of this time (microseconds since the epoch) or later. Not with `from`. */
  readonly since?: number;
  /** Goes on with what happens; false: ends where the log ends now. */
  readonly follow: boolean;
  /** Told once, when it has ended, whoever ended it. */
  readonly onEnd?: (how: SubscriptionEnd) => void;
}

/** Counted since the node began. */
export interface HubCounts {
  readonly delivered: Record<Encoding, number>;
  gaps: number;
  readonly ends: Record<SubscriptionEnd, number>;
}

/**
 * The node's events: takes what both roles' logs have on disk, in the order of the node's seq, and hands it to
 * subscribers. The newest stand in a ring, all others are read from the logs, so that a subscriber is a cursor
 * and a slow one costs nothing but that. While nobody subscribes, nothing is kept.
 */
export class EventHub implements SubscriptionHost {
  readonly counts: HubCounts = {
    delivered: { json: 0, msgpack: 0, sse: 0 },
    gaps: 0,
    ends: { complete: 0, client: 0, stalled: 0 },
  };
  readonly #limits: HubOptions['limits'];
  readonly #logs: readonly HistoryReader[];
  readonly #lastSeq: () => number;
  readonly #merge = new Merge();
  readonly #ring: EventRing;
  readonly #subscriptions = new Set<Subscription>();
  readonly #groups = new Map<string, Group>();
  readonly #index = new FilterIndex<Group>();
  readonly #reads: (() => void)[] = [];
  /** All events below it may be delivered. */
  #end: number;
  /** Rows up to this one were told, in the ring or not. */
  #toldSeq = 0;
  #reading = false;
  #sweeper: NodeJS.Timeout | undefined;

  constructor(options: HubOptions, modules: HubModules) {
    const { eventRingItems, eventRingBytes } = options.limits;
    this.#limits = options.limits;
    this.#logs = modules.logs;
    this.#lastSeq = modules.lastSeq;
    this.#end = this.#frontier();
    this.#ring = new EventRing({ items: eventRingItems, bytes: eventRingBytes, start: this.#end });
    for (const log of modules.logs) log.onHistory((rows) => this.#onRows(log, rows));
  }

  /** All events with a lower seq may be delivered. */
  get end(): number {
    return this.#subscriptions.size === 0 ? this.#frontier() : this.#end;
  }

  get subscribers(): number {
    return this.#subscriptions.size;
  }

  /** Seqs that the subscriber which is farthest behind has not looked at. */
  get lag(): number {
    let lag = 0;
    for (const subscription of this.#subscriptions) {
      const { cursor, group } = subscription;
      // One that waits has everything that passes its filter, wherever its cursor was left.
      if (!group.waiting.has(subscription)) lag = Math.max(lag, this.#end - cursor);
    }
    return lag;
  }

  /** @throws NodeError Busy, BadQuery for a `from` that no event of this node ever had */
  subscribe(options: SubscribeOptions): Subscription {
    const { eventSubscribers } = this.#limits;
    if (this.#subscriptions.size >= eventSubscribers) {
      throw new NodeError('Busy', `the node serves ${eventSubscribers} event subscribers already`);
    }
    const { end } = this;
    const { from, since, follow } = options;
    if (from !== undefined && from > end) {
      throw new NodeError(
        'BadQuery',
        `invalid from: ${from} (the last event of this node is ${end - 1}: another store, or another node, gave the seq you have)`,
        { details: { last: String(end - 1) } },
      );
    }
    if (this.#subscriptions.size === 0) this.#begin(end);
    const cursor = from ?? (since === undefined ? end : seqAt(this.#logs, since, end));
    const group = this.#groupOf(new Matcher(options.filter), options.encoding);
    const until = follow ? Number.POSITIVE_INFINITY : end;
    const { onEnd } = options;
    const subscription = new Subscription(
      { group, cursor, until },
      { host: this, ...(onEnd === undefined ? {} : { onEnd }) },
    );
    group.members.add(subscription);
    this.#subscriptions.add(subscription);
    return subscription;
  }

  step(subscription: Subscription): ReturnType<SubscriptionHost['step']> {
    const { group, cursor } = subscription;
    if (!subscription.greeted) {
      // Whoever is cut off before the first event comes back for all since now.
      subscription.greeted = true;
      return { data: encodeNotice({ at: cursor - 1 }, group.encoding), events: 0 };
    }
    const gap = this.#gap(subscription);
    if (gap !== undefined) return gap;
    if (cursor >= this.#end) return 'wait';
    if (cursor < this.#ring.start) return this.#readStored(subscription);
    const batch = group.batch(cursor, this.#ring.from(cursor), this.#end);
    subscription.cursor = batch.next;
    return this.#frame(group, batch);
  }

  ended(subscription: Subscription, how: SubscriptionEnd): void {
    const { group } = subscription;
    this.counts.ends[how] += 1;
    this.#subscriptions.delete(subscription);
    group.members.delete(subscription);
    if (group.members.size === 0) {
      this.#groups.delete(group.key);
      this.#index.remove(group);
    }
    if (this.#subscriptions.size > 0) return;
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
    this.#merge.clear();
    this.#ring.reset(this.#toldSeq + 1);
  }

  #frontier(): number {
    const unwritten = Math.min(...this.#logs.map((log) => log.firstUnwritten()));
    return unwritten === Number.POSITIVE_INFINITY ? this.#lastSeq() + 1 : unwritten;
  }

  /** The first subscriber: what was told before him stands in the logs only. */
  #begin(end: number): void {
    this.#end = end;
    this.#ring.reset(Math.max(end, this.#toldSeq + 1));
    this.#sweeper = setInterval(() => this.#sweep(), Math.min(1000, this.#limits.eventStallMs)).unref();
  }

  #onRows(log: HistoryReader, rows: readonly HistoryRow[]): void {
    this.#toldSeq = Math.max(this.#toldSeq, rows.at(-1)?.seq ?? 0);
    if (this.#subscriptions.size === 0) return;
    this.#merge.add(log.role, rows);
    if (this.#merge.size > this.#limits.eventRingItems) {
      // The other role's disk is slow: what waits for it is read from the log when it is there.
      this.#merge.clear();
      this.#ring.reset(this.#toldSeq + 1);
    }
    this.#publish();
  }

  #publish(): void {
    const before = this.#end;
    this.#end = this.#frontier();
    if (this.#end === before) return;
    const { start } = this.#ring;
    const touched = new Set<Group>();
    for (const row of this.#merge.take(this.#end)) {
      if (row.seq < start) continue;
      const entry = this.#ring.push(row);
      this.#index.visit(row, (group) => {
        group.fresh.push(entry);
        touched.add(group);
      });
    }
    if (before >= start) for (const group of touched) this.#deliver(group);
    else this.#lookAgain(touched);
  }

  /** Members that wait have everything before this turn, so they all get the same. */
  #deliver(group: Group): void {
    const fresh = group.fresh.splice(0);
    group.forget();
    if (group.waiting.size === 0) return;
    const batch = group.cut(fresh, this.#end);
    for (const subscription of [...group.waiting]) {
      subscription.cursor = batch.next;
      subscription.wake(this.#frame(group, batch));
    }
  }

  /** Some of what has come stands in the logs only: who waits begins there. */
  #lookAgain(touched: Iterable<Group>): void {
    for (const group of touched) {
      group.forget();
      group.fresh.length = 0;
    }
    for (const { waiting } of this.#groups.values()) {
      for (const subscription of [...waiting]) subscription.wake(undefined);
    }
  }

  #frame(
    group: Group,
    { data, events }: { readonly data: Uint8Array | undefined; readonly events: number },
  ): Frame | undefined {
    if (data === undefined) return undefined;
    this.counts.delivered[group.encoding] += events;
    return { data, events };
  }

  #gap(subscription: Subscription): Frame | undefined {
    const { cursor, group, told } = subscription;
    for (const log of this.#logs) {
      const floor = log.floor();
      const from = Math.max(cursor, told[log.role]);
      if (from >= floor || !group.matcher.wants(log.role)) continue;
      told[log.role] = floor;
      this.counts.gaps += 1;
      const notice = { gap: { role: log.role, from, to: floor - 1 } };
      return { data: encodeNotice(notice, group.encoding), events: 0 };
    }
    return undefined;
  }

  /** A little a turn of the loop, whoever asks: old events must not hold up new ones. */
  #readStored(subscription: Subscription): Promise<Frame | undefined> {
    return new Promise((resolve) => {
      this.#reads.push(() => resolve(this.#page(subscription)));
      this.#readNextTurn();
    });
  }

  #readNextTurn(): void {
    if (this.#reading || this.#reads.length === 0) return;
    this.#reading = true;
    setImmediate(() => {
      this.#reading = false;
      const untilMs = performance.now() + READ_MS;
      do this.#reads.shift()?.();
      while (this.#reads.length > 0 && performance.now() < untilMs);
      this.#readNextTurn();
    });
  }

  #page(subscription: Subscription): Frame | undefined {
    if (subscription.end !== undefined) return undefined;
    // Rows may have gone since it asked.
    const gap = this.#gap(subscription);
    if (gap !== undefined) return gap;
    const { group, cursor } = subscription;
    const below = Math.min(this.#end, this.#ring.start);
    if (cursor >= below) return undefined;
    const batch = group.storedBatch(cursor, () => {
      const { rows, next } = readPage(this.#logs, { from: cursor, below, limit: PAGE_ROWS });
      return group.cut(
        rows.map((row) => new Entry(row)),
        next,
      );
    });
    subscription.cursor = batch.next;
    return this.#frame(group, batch);
  }

  #groupOf(matcher: Matcher, encoding: Encoding): Group {
    const key = `${encoding} ${matcher.key}`;
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = new Group(key, matcher, encoding);
      this.#groups.set(key, group);
      this.#index.add(group);
    }
    return group;
  }

  /** Ends who takes nothing, and tells who has heard nothing for a while that he is still served. */
  #sweep(): void {
    const now = performance.now();
    const { eventStallMs, eventBeatMs } = this.#limits;
    const beats = new Map<Encoding, Frame>();
    for (const subscription of this.#subscriptions) {
      const { handedAt, lastAt, group } = subscription;
      if (handedAt > 0 && now - handedAt > eventStallMs) subscription.close('stalled');
      else if (group.waiting.has(subscription) && now - lastAt > eventBeatMs) {
        const known = beats.get(group.encoding);
        const beat = known ?? { data: encodeNotice({ at: this.#end - 1 }, group.encoding), events: 0 };
        beats.set(group.encoding, beat);
        subscription.cursor = this.#end;
        subscription.wake(beat);
      }
    }
  }
}
