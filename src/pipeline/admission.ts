import type { Ledger } from '../capacity/ledger.ts';
import type { Clock } from '../core/clock.ts';
import type { Gpu } from '../core/job.ts';
import type { Item } from './item.ts';
import type { BoundedQueue } from './queue.ts';

/** How far behind a large item smaller ones are looked for: bounds the work of one look. */
const WINDOW = 64;

/** An item that has waited this long is passed no more: what comes free is kept for it. */
const AGING_MS = 30_000;

export interface AdmissionModules {
  readonly queue: BoundedQueue<Item>;
  readonly ledger: Ledger;
  readonly gpus: readonly Gpu[];
  readonly clock: Clock;
  /** Reserves the places an item needs downstream; false when there is none. */
  readonly reservePlaces: (item: Item) => boolean;
}

/**
 * The order in which accepted executions get capacity: priority, then arrival. Smaller ones may pass one that
 * does not fit, until it has aged.
 */
export class Admission {
  readonly #modules: AdmissionModules;
  readonly #freeGpus: Gpu[];

  constructor(modules: AdmissionModules) {
    this.#modules = modules;
    this.#freeGpus = [...modules.gpus];
  }

  /** Takes at most `max` items that fit now, and moves their reservations from promised to used. */
  take(max: number): Item[] {
    const { queue, clock } = this.#modules;
    const taken: Item[] = [];
    let looked = 0;
    for (const item of queue) {
      if (taken.length >= max || looked >= WINDOW) break;
      const verdict = this.#tryAdmit(item);
      if (verdict === 'admitted') {
        taken.push(item);
        continue;
      }
      looked += 1;
      // Who waits for a place of one engine is not helped by capacity that others leave unused.
      if (verdict === 'no capacity' && clock.nowMs() - item.queuedAtMs > AGING_MS) break;
    }
    return taken;
  }

  /** Returns what a stopped run held, all but its disk. */
  releaseRun(item: Item): void {
    if (item.account !== 'used') return;
    this.#modules.ledger.releaseUsed(item.units - item.diskUnits);
    this.#freeGpus.push(...item.gpus);
    this.#freeGpus.sort((a, b) => a.Index - b.Index);
    item.gpus = [];
    item.account = 'disk';
  }

  /** Returns everything the item still holds. */
  releaseAll(item: Item): void {
    this.releaseRun(item);
    if (item.account === 'disk') this.#modules.ledger.releaseUsed(item.diskUnits);
    if (item.account === 'promised') this.#modules.ledger.releasePromised(item.units);
    item.account = 'none';
  }

  #tryAdmit(item: Item): 'admitted' | 'no capacity' | 'no place' {
    const { ledger, queue, reservePlaces } = this.#modules;
    const { gpu } = item.header.resources;
    if (gpu > this.#freeGpus.length || !ledger.tryUse(item.units)) return 'no capacity';
    if (!reservePlaces(item)) {
      ledger.releaseUsed(item.units);
      return 'no place';
    }
    ledger.releasePromised(item.units);
    item.account = 'used';
    item.gpus = this.#freeGpus.splice(0, gpu);
    queue.remove(item.id);
    return 'admitted';
  }
}
