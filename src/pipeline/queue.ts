/** What a queue orders and finds its entries by. */
export interface Queueable {
  readonly id: string;
  /** Higher first; equal ones in order of arrival. */
  readonly priority: number;
}

interface Entry<T> {
  readonly item: T;
  /** Place in the order of arrival. */
  readonly arrival: number;
  readonly lane: Lane<T>;
  previous: Entry<T> | undefined;
  next: Entry<T> | undefined;
}

/** Entries of one priority and one shape, oldest first. Never empty. */
class Lane<T> {
  readonly group: Group<T>;
  readonly shape: string;
  head: Entry<T>;
  tail: Entry<T>;

  constructor(group: Group<T>, shape: string, first: T, arrival: number) {
    this.group = group;
    this.shape = shape;
    this.head = { item: first, arrival, lane: this, previous: undefined, next: undefined };
    this.tail = this.head;
  }

  append(item: T, arrival: number): void {
    const entry: Entry<T> = { item, arrival, lane: this, previous: this.tail, next: undefined };
    this.tail.next = entry;
    this.tail = entry;
  }
}

/** Lanes of one priority, by the arrival of their heads. */
interface Group<T> {
  readonly priority: number;
  readonly lanes: Lane<T>[];
  readonly byShape: Map<string, Lane<T>>;
}

/**
 * The node's one queue: bounded, by priority then arrival. Push, shift and remove by id do not depend on how many
 * items wait. Items of one shape are interchangeable to whoever looks for one that fits: `firsts` shows the oldest
 * of each shape only. A slot can be reserved before the item is ready, so that what has been promised a place finds it.
 * An item leaves exactly once: by `shift` or by `remove`.
 */
export class BoundedQueue<T extends Queueable> {
  readonly name: string;
  readonly bound: number;
  readonly #groups: Group<T>[] = [];
  readonly #entries = new Map<string, Entry<T>>();
  readonly #shapeOf: (item: T) => string;
  readonly #onSpace: (() => void) | undefined;
  readonly #onCount: ((item: T, change: 1 | -1) => void) | undefined;
  #reserved = 0;
  #highWater = 0;
  #arrivals = 0;

  /**
   * `onSpace` is called when a slot comes free of a queue that was full, `onCount` with every item that comes or goes, for
   * sums that must not be added up anew. `shapeOf` tells which items need the same; default: all do.
   */
  constructor(options: {
    name: string;
    bound: number;
    onSpace?: () => void;
    onCount?: (item: T, change: 1 | -1) => void;
    shapeOf?: (item: T) => string;
  }) {
    this.name = options.name;
    this.bound = options.bound;
    this.#onSpace = options.onSpace;
    this.#onCount = options.onCount;
    this.#shapeOf = options.shapeOf ?? (() => '');
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
    return this.#groups[0]?.lanes[0]?.head.item;
  }

  /**
   * The oldest item of each shape, by priority, then arrival. The one just yielded may be taken out before the next
   * is asked for; the next of its shape then comes in its turn.
   */
  *firsts(): Generator<T> {
    for (const { lanes } of [...this.#groups]) {
      let passed = 0;
      for (let lane = lanes[0]; lane !== undefined; lane = lanes[passed]) {
        const { head } = lane;
        yield head.item;
        // A lane whose head went has moved behind the ones passed, or away.
        if (lanes[passed] === lane && lane.head === head) passed += 1;
      }
    }
  }

  /** The oldest item of this one's priority and shape. */
  firstLike(item: T): T | undefined {
    const group = this.#groups.find(({ priority }) => priority === item.priority);
    return group?.byShape.get(this.#shapeOf(item))?.head.item;
  }

  /** All items, in the order they came. */
  *[Symbol.iterator](): Generator<T> {
    for (const { item } of this.#entries.values()) yield item;
  }

  shift(): T | undefined {
    const item = this.peek();
    return item === undefined ? undefined : this.remove(item.id);
  }

  /** Takes the item out, wherever it stands. Undefined when it is not here. */
  remove(id: string): T | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined) return undefined;
    const wasFull = this.free <= 0;
    const { lane } = entry;
    this.#entries.delete(id);
    if (entry === lane.head) this.#behead(lane);
    else {
      if (entry.previous !== undefined) entry.previous.next = entry.next;
      if (entry.next === undefined) lane.tail = entry.previous ?? lane.head;
      else entry.next.previous = entry.previous;
    }
    this.#onCount?.(entry.item, -1);
    if (wasFull) this.#onSpace?.();
    return entry.item;
  }

  #insert(item: T): void {
    if (this.#entries.has(item.id)) throw new Error(`queue ${this.name}: ${item.id} is already queued`);
    const group = this.#group(item.priority);
    const shape = this.#shapeOf(item);
    let lane = group.byShape.get(shape);
    if (lane === undefined) {
      lane = new Lane(group, shape, item, this.#arrivals);
      group.lanes.push(lane);
      group.byShape.set(shape, lane);
    } else lane.append(item, this.#arrivals);
    this.#arrivals += 1;
    this.#entries.set(item.id, lane.tail);
    this.#onCount?.(item, 1);
    if (this.#entries.size > this.#highWater) this.#highWater = this.#entries.size;
  }

  /** Takes the lane's head off and puts the lane where its next one belongs. */
  #behead(lane: Lane<T>): void {
    const { group } = lane;
    const { lanes, byShape } = group;
    const { next } = lane.head;
    if (next !== undefined && lanes.length === 1) {
      next.previous = undefined;
      lane.head = next;
      return;
    }
    lanes.splice(placeOf(lanes, lane.head.arrival), 1);
    if (next === undefined) {
      byShape.delete(lane.shape);
      if (lanes.length === 0) this.#groups.splice(this.#groups.indexOf(group), 1);
      return;
    }
    next.previous = undefined;
    lane.head = next;
    lanes.splice(placeOf(lanes, next.arrival), 0, lane);
  }

  /** Groups are few (distinct priorities in use), so a scan finds one soonest. */
  #group(priority: number): Group<T> {
    let index = 0;
    for (; index < this.#groups.length; index += 1) {
      const group = this.#groups[index];
      if (group === undefined || group.priority < priority) break;
      if (group.priority === priority) return group;
    }
    const group: Group<T> = { priority, lanes: [], byShape: new Map() };
    this.#groups.splice(index, 0, group);
    return group;
  }
}

/** Index of the first lane whose head arrived no earlier. */
function placeOf<T>(lanes: readonly Lane<T>[], arrival: number): number {
  let low = 0;
  let high = lanes.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((lanes[middle]?.head.arrival ?? Number.POSITIVE_INFINITY) < arrival) low = middle + 1;
    else high = middle;
  }
  return low;
}
