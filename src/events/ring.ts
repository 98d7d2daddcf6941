import type { HistoryRow } from '../store/records.ts';
import { Entry } from './encoding.ts';

/** What an entry takes beside its texts: the object, and its encoded forms in proportion. */
const ENTRY_BYTES = 512;
/** An event's texts are kept as a row, as JSON and as msgpack. */
const FORMS = 3;
const COMPACT_AT = 1024;

function weigh({ message, details, topic }: HistoryRow): number {
  let length = message.length + topic.length;
  for (const name in details) length += name.length + (details[name]?.length ?? 0);
  return ENTRY_BYTES + FORMS * length;
}

/** The newest events, in order of seq, bounded by count and by bytes: the oldest make room. */
export class EventRing {
  readonly #items: number;
  readonly #bytes: number;
  #entries: (Entry | undefined)[] = [];
  #weights: number[] = [];
  #head = 0;
  #weight = 0;
  #start: number;

  constructor(options: { readonly items: number; readonly bytes: number; readonly start: number }) {
    this.#items = options.items;
    this.#bytes = options.bytes;
    this.#start = options.start;
  }

  /** Every event there is with this seq or a higher one, up to the last that was pushed, is here. */
  get start(): number {
    return this.#start;
  }

  get size(): number {
    return this.#entries.length - this.#head;
  }

  push(row: HistoryRow): Entry {
    const entry = new Entry(row);
    const weight = weigh(row);
    this.#entries.push(entry);
    this.#weights.push(weight);
    this.#weight += weight;
    while (this.size > this.#items || (this.#weight > this.#bytes && this.size > 1)) this.#drop();
    return entry;
  }

  /** Entries from `seq` on, oldest first. */
  *from(seq: number): Generator<Entry> {
    for (let index = this.#indexOf(seq); index < this.#entries.length; index += 1) {
      const entry = this.#entries[index];
      if (entry !== undefined) yield entry;
    }
  }

  /** Forgets everything; what comes begins at `start`. */
  reset(start: number): void {
    this.#entries = [];
    this.#weights = [];
    this.#head = 0;
    this.#weight = 0;
    this.#start = start;
  }

  #drop(): void {
    this.#start = (this.#entries[this.#head]?.row.seq ?? 0) + 1;
    this.#weight -= this.#weights[this.#head] ?? 0;
    this.#entries[this.#head] = undefined;
    this.#head += 1;
    if (this.#head < COMPACT_AT || this.#head < this.#entries.length / 2) return;
    this.#entries = this.#entries.slice(this.#head);
    this.#weights = this.#weights.slice(this.#head);
    this.#head = 0;
  }

  #indexOf(seq: number): number {
    let low = this.#head;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle]?.row.seq ?? 0) < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
