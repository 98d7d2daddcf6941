import type { Ledger } from '../capacity/ledger.ts';
import { less } from '../capacity/ledger-layout.ts';
import { Rest } from '../capacity/ledger-steps.ts';
import type { Clock } from '../core/clock.ts';
import type { Gpu, Resources } from '../core/job.ts';
import { fits } from '../core/resources.ts';
import type { Item } from './item.ts';
import type { BoundedQueue } from './queue.ts';

/** How many shapes that do not fit are passed in one look: bounds its work. */
const WINDOW = 64;

/** So many of a shape go one after another once room was made for the first: most of the gain (docs/adr/0007). */
const SERIES = 8;

/** An item that has waited this long is passed only by what takes nothing of what it lacks. */
export const AGING_MS = 30_000;

const NO_GPUS: readonly Gpu[] = [];

export interface AdmissionModules {
  readonly queue: BoundedQueue<Item>;
  readonly ledger: Ledger;
  readonly gpus: readonly Gpu[];
  readonly clock: Clock;
  /** False while the disk has less left than the item may write, whatever the ledger says. */
  readonly hasDisk: (item: Item) => boolean;
  /** Reserves the places an item needs downstream; false when there is none. */
  readonly reservePlaces: (item: Item) => boolean;
  /** Capacity was taken or given back. */
  readonly onChange: () => void;
}

/** Items that need the same wait in one lane: where its oldest does not fit, none does. */
export function shapeOf(item: Item): string {
  const { cpu, memory, disk, gpu } = item.header.resources;
  return `${cpu} ${memory} ${disk} ${gpu} ${item.header.engine === 'wasm' ? 'wasm' : ''}`;
}

/**
 * The order in which accepted executions get capacity: priority, then arrival. Smaller ones may pass one that does
 * not fit. Once that one has aged, what it needs is kept for it: only what is left beside it may be taken, so that
 * it waits no longer than what runs. Capacity is kept for one at a time, the first in order; when it starts, a few
 * more of its shape that have aged as well follow before the room is filled up with others.
 */
export class Admission {
  readonly #modules: AdmissionModules;
  /** The item that capacity is kept for. */
  #waiting: Item | undefined;
  /** What goes first now that room was made for one of them. */
  #series: { readonly like: Item; left: number } | undefined;

  constructor(modules: AdmissionModules) {
    this.#modules = modules;
  }

  /** Takes at most `max` items that fit now, and moves their reservations from promised to used. */
  take(max: number): Item[] {
    const { queue, ledger } = this.#modules;
    const taken: Item[] = [];
    let kept = this.#takeSeries(max, taken);
    let passed = 0;
    for (const item of queue.firsts()) {
      if (taken.length >= max || passed >= WINDOW) break;
      const { resources } = item.header;
      const mayTry = kept === undefined || fits(resources, less(ledger.free(), kept));
      const verdict = mayTry ? this.#tryAdmit(item) : 'no capacity';
      if (verdict === 'admitted') {
        taken.push(item);
        if (item === this.#waiting) this.#series = { like: item, left: SERIES };
        continue;
      }
      passed += 1;
      // Who waits for a place of one engine is not helped by capacity that others leave unused.
      if (kept === undefined && verdict === 'no capacity' && this.#hasAged(item)) {
        kept = resources;
        this.#waiting = item;
      }
    }
    if (taken.length > 0) this.#modules.onChange();
    return taken;
  }

  /** Others that are like the one capacity was kept for: what it cost to make room is paid once for all of them. */
  #takeSeries(max: number, taken: Item[]): Resources | undefined {
    while (this.#series !== undefined && taken.length < max) {
      const next = this.#series.left > 0 ? this.#modules.queue.firstLike(this.#series.like) : undefined;
      if (next === undefined || !this.#hasAged(next)) {
        this.#series = undefined;
        return undefined;
      }
      // A higher priority comes before any series.
      if (this.#modules.queue.peek()?.priority !== next.priority) return undefined;
      const verdict = this.#tryAdmit(next);
      if (verdict === 'no capacity') return next.header.resources;
      if (verdict === 'no place') return undefined;
      this.#series.left -= 1;
      taken.push(next);
    }
    return undefined;
  }

  #hasAged(item: Item): boolean {
    return this.#modules.clock.nowMs() - item.queuedAtMs > AGING_MS;
  }

  /** Returns what a stopped run held, all but its disk. */
  releaseRun(item: Item): void {
    this.#modules.ledger.stop(item.ticket);
    item.gpus = NO_GPUS;
    this.#modules.onChange();
  }

  /** Returns everything the item still holds. */
  releaseAll(item: Item): void {
    const { ledger } = this.#modules;
    // A stale ticket does nothing, so an item gives back once, whatever ends it.
    if (ledger.phase(item.ticket) === Rest.free) return;
    ledger.close(item.ticket);
    item.gpus = NO_GPUS;
    this.#modules.onChange();
  }

  #tryAdmit(item: Item): 'admitted' | 'no capacity' | 'no place' {
    const { ledger, queue, gpus, hasDisk, reservePlaces } = this.#modules;
    if (!ledger.fitsNow(item.ticket)) return 'no capacity';
    if (!hasDisk(item) || !reservePlaces(item)) return 'no place';
    // Nobody else takes from `used`, so what fitted still fits.
    if (!ledger.use(item.ticket)) throw new Error(`execution ${item.id} holds no promise`);
    const devices = ledger.devices(item.ticket);
    item.gpus = devices.length === 0 ? NO_GPUS : devices.flatMap((index) => gpus[index] ?? []);
    queue.remove(item.id);
    return 'admitted';
  }
}
