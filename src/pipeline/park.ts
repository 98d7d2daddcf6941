import type { Clock, Timer } from '../core/clock.ts';
import type { Item } from './item.ts';

/** How often overdue waits are looked for. Only the oldest are touched. */
const SWEEP_MS = 1000;

export interface ParkModules {
  readonly clock: Clock;
  /** An offer ran out. The item is no longer parked. */
  readonly onExpired: (item: Item) => void;
}

/**
 * Where items wait for somebody's word. *Offered*: a bid was made and holds a reservation; ends by the requester's
 * word or after a fixed time. *Retry*: results are on disk and the publisher's queue was full; ends with room.
 * Both are bounded by what admission lets in.
 */
export class Park {
  readonly #modules: ParkModules;
  /** All offers last equally long, so the order of arrival is the order of their ends. */
  readonly #offered = new Map<string, Item>();
  readonly #retry = new Map<string, Item>();
  #sweep: Timer | undefined;
  #stopped = false;

  constructor(modules: ParkModules) {
    this.#modules = modules;
  }

  get offered(): number {
    return this.#offered.size;
  }

  /** Offered items, in the order of their ends. */
  [Symbol.iterator](): Iterator<Item> {
    return this.#offered.values();
  }

  get waitingForPublisher(): number {
    return this.#retry.size;
  }

  offer(item: Item): void {
    item.station = 'offered';
    this.#offered.set(item.id, item);
    this.#arm();
  }

  /** Takes an offered item out; undefined when it is not (or no longer) offered. */
  takeOffered(id: string): Item | undefined {
    const item = this.#offered.get(id);
    this.#offered.delete(id);
    return item;
  }

  retry(item: Item): void {
    item.station = 'retry';
    this.#retry.set(item.id, item);
  }

  /** The item that has waited longest for the publisher. */
  takeRetry(): Item | undefined {
    for (const item of this.#retry.values()) {
      this.#retry.delete(item.id);
      return item;
    }
    return undefined;
  }

  /** Takes a given item out of retry. */
  removeRetry(id: string): boolean {
    return this.#retry.delete(id);
  }

  stop(): void {
    this.#stopped = true;
    this.#sweep?.cancel();
  }

  #arm(): void {
    if (this.#sweep !== undefined || this.#stopped) return;
    const { clock } = this.#modules;
    this.#sweep = clock.at(clock.nowMs() + SWEEP_MS, () => {
      this.#sweep = undefined;
      this.#expire();
      if (this.#offered.size > 0) this.#arm();
    });
  }

  #expire(): void {
    const now = this.#modules.clock.nowMs();
    for (const item of this.#offered.values()) {
      if ((item.record.wait?.untilMs ?? 0) > now) return;
      this.#offered.delete(item.id);
      this.#modules.onExpired(item);
    }
  }
}
