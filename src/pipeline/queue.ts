/** What a queue orders and finds its entries by. */
export interface Queueable {
  readonly id: string;
  /** Higher first; equal ones in order of arrival. */
  readonly priority: number;
}

interface Entry<T> {
  readonly item: T;
  previous: Entry<T> | undefined;
  next: Entry<T> | undefined;
}

/** Entries of one priority, oldest first. */
interface Lane<T> {
  readonly priority: number;
  head: Entry<T> | undefined;
  tail: Entry<T> | undefined;
}

/**
 * The node's one queue: bounded, by priority then arrival. Push, shift and remove by id are O(1) within a
 * priority. A slot can be reserved before the item is ready, so that what has been promised a place finds it.
 * An item leaves exactly once: by `shift` or by `remove`.
 */
export class BoundedQueue<T extends Queueable> {
  readonly name: string;
  readonly bound: number;
  readonly #lanes: Lane<T>[] = [];
  readonly #entries = new Map<string, { lane: Lane<T>; entry: Entry<T> }>();
  readonly #onSpace: (() => void) | undefined;
  #reserved = 0;
  #highWater = 0;

  /** `onSpace` is called when a slot comes free of a queue that was full. */
  constructor(options: { name: string; bound: number; onSpace?: () => void }) {
    this.name = options.name;
    this.bound = options.bound;
    this.#onSpace = options.onSpace;
  }

  /** Items waiting. */
  get depth(): number {
    return this.#entries.size;
  }

  /** Most items that ever waited at once. */
  get highWater(): number {
    return this.#highWater;
  }

  /** Slots neither taken nor reserved. */
  get free(): number {
    return this.bound - this.#entries.size - this.#reserved;
  }

  has(id: string): boolean {
    return this.#entries.has(id);
  }

  /** False, and nothing happens, when the queue is full. */
  tryPush(item: T): boolean {
    if (this.free <= 0) return false;
    this.#insert(item);
    return true;
  }

  /** Keeps a slot for an item that comes later by `pushReserved`. False when full. */
  tryReserve(): boolean {
    if (this.free <= 0) return false;
    this.#reserved += 1;
    return true;
  }

  /** Fills a slot kept by `tryReserve`. */
  pushReserved(item: T): void {
    this.#reserved -= 1;
    this.#insert(item);
  }

  /** Gives back a slot kept by `tryReserve`. */
  releaseReserved(): void {
    const wasFull = this.free <= 0;
    this.#reserved -= 1;
    if (wasFull) this.#onSpace?.();
  }

  /** The next item, without taking it. */
  peek(): T | undefined {
    return this.#lanes[0]?.head?.item;
  }

  /** Items in order. The one just yielded may be taken out before the next is asked for. */
  *[Symbol.iterator](): Generator<T> {
    for (const lane of [...this.#lanes]) {
      let entry = lane.head;
      while (entry !== undefined) {
        const { next } = entry;
        yield entry.item;
        entry = next;
      }
    }
  }

  shift(): T | undefined {
    const item = this.peek();
    return item === undefined ? undefined : this.remove(item.id);
  }

  /** Takes the item out, wherever it stands. Undefined when it is not here. */
  remove(id: string): T | undefined {
    const found = this.#entries.get(id);
    if (found === undefined) return undefined;
    const wasFull = this.free <= 0;
    const { lane, entry } = found;
    if (entry.previous === undefined) lane.head = entry.next;
    else entry.previous.next = entry.next;
    if (entry.next === undefined) lane.tail = entry.previous;
    else entry.next.previous = entry.previous;
    this.#entries.delete(id);
    if (lane.head === undefined) this.#lanes.splice(this.#lanes.indexOf(lane), 1);
    if (wasFull) this.#onSpace?.();
    return entry.item;
  }

  #insert(item: T): void {
    if (this.#entries.has(item.id)) throw new Error(`queue ${this.name}: ${item.id} is already queued`);
    const lane = this.#lane(item.priority);
    const entry: Entry<T> = { item, previous: lane.tail, next: undefined };
    if (lane.tail === undefined) lane.head = entry;
    else lane.tail.next = entry;
    lane.tail = entry;
    this.#entries.set(item.id, { lane, entry });
    if (this.#entries.size > this.#highWater) this.#highWater = this.#entries.size;
  }

  /** Lanes are few (distinct priorities in use), so a scan finds one soonest. */
  #lane(priority: number): Lane<T> {
    let index = 0;
    for (; index < this.#lanes.length; index += 1) {
      const lane = this.#lanes[index];
      if (lane === undefined || lane.priority < priority) break;
      if (lane.priority === priority) return lane;
    }
    const lane: Lane<T> = { priority, head: undefined, tail: undefined };
    this.#lanes.splice(index, 0, lane);
    return lane;
  }
}
