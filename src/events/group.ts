import { type Encoding, type Entry, encodeEvents } from './encoding.ts';
import type { Matcher } from './filter.ts';
import type { Subscription } from './subscription.ts';

/** Of one frame: below it a system call costs more than its bytes, above it nobody gains. */
const FRAME_BYTES = 65_536;
const FRAME_EVENTS = 1024;
/** Frames kept for members that come to the same place, of the ring in the same turn, and of the logs soon after. */
const KEPT_FRAMES = 4;

/** A step of a cursor: what to send, and where it stands then. */
export interface Batch {
  /** Undefined where nothing passed the filter. */
  readonly data: Uint8Array | undefined;
  readonly events: number;
  readonly next: number;
}

/** Subscribers with the same filter and encoding: what one gets, the others at the same place get too, as the same bytes. */
export class Group {
  readonly key: string;
  readonly matcher: Matcher;
  readonly encoding: Encoding;
  readonly members: Set<Subscription> = new Set();
  /** Members that have all there is and wait for more. */
  readonly waiting: Set<Subscription> = new Set();
  /** Passed the filter in this turn. */
  readonly fresh: Entry[] = [];
  readonly #frames = new Map<number, Batch>();
  readonly #stored = new Map<number, Batch>();

  constructor(key: string, matcher: Matcher, encoding: Encoding) {
    this.key = key;
    this.matcher = matcher;
    this.encoding = encoding;
  }

  /** What a member at `cursor` gets of `entries`, which reach to `end`. Made once a place and turn. */
  batch(cursor: number, entries: Iterable<Entry>, end: number): Batch {
    const known = this.#frames.get(cursor);
    if (known !== undefined) return known;
    const batch = this.cut(entries, end);
    if (this.members.size > 1 && this.#frames.size < KEPT_FRAMES) this.#frames.set(cursor, batch);
    return batch;
  }

  /** The same of the logs, whose rows never change: those who begin at one place are read for once. */
  storedBatch(cursor: number, make: () => Batch): Batch {
    const known = this.#stored.get(cursor);
    if (known !== undefined) return known;
    const batch = make();
    if (this.members.size === 1) return batch;
    this.#stored.set(cursor, batch);
    const [oldest] = this.#stored.keys();
    if (this.#stored.size > KEPT_FRAMES && oldest !== undefined) this.#stored.delete(oldest);
    return batch;
  }

  /** More events have come: frames made before this may be longer now. */
  forget(): void {
    this.#frames.clear();
  }

  /** A frame of those that pass the filter, as many as it holds. */
  cut(entries: Iterable<Entry>, end: number): Batch {
    const taken: Entry[] = [];
    let bytes = 0;
    for (const entry of entries) {
      if (!this.matcher.matches(entry.row)) continue;
      const size = entry.size(this.encoding);
      if (taken.length > 0 && (bytes + size > FRAME_BYTES || taken.length >= FRAME_EVENTS)) {
        return this.#batch(taken, entry.row.seq);
      }
      taken.push(entry);
      bytes += size;
    }
    return this.#batch(taken, end);
  }

  #batch(taken: readonly Entry[], next: number): Batch {
    return {
      data: taken.length === 0 ? undefined : encodeEvents(taken, this.encoding),
      events: taken.length,
      next,
    };
  }
}
