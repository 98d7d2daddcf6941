import type { Ledger } from '../capacity/ledger.ts';
import type { Resources } from '../core/job.ts';
import type { BidOutlook } from '../core/messages.ts';
import { fits } from '../core/resources.ts';
import type { Approvals } from './approvals.ts';
import type { Item } from './item.ts';
import type { Park } from './park.ts';
import type { BoundedQueue } from './queue.ts';

export interface OccupancyModules {
  readonly items: ReadonlyMap<string, Item>;
  readonly queue: BoundedQueue<Item>;
  readonly park: Park;
  readonly approvals: Pick<Approvals, 'size'>;
  readonly ledger: Ledger;
}

/** How full the node is, and what that means for the next execution. */
export class Occupancy {
  readonly #modules: OccupancyModules;
  readonly #waiting = { milliCores: 0, memory: 0, disk: 0, gpu: 0 };

  constructor(modules: OccupancyModules) {
    this.#modules = modules;
  }

  /** Bids that were made and not answered. */
  get offered(): number {
    return this.#modules.park.offered;
  }

  /** Accepted executions that wait for capacity. */
  get queued(): number {
    return this.#modules.queue.depth;
  }

  /** Executions that hold capacity. */
  get active(): number {
    const { items, approvals } = this.#modules;
    return items.size - this.queued - this.offered - approvals.size;
  }

  /** An accepted execution has begun or ceased to wait. */
  count({ header: { resources } }: Item, change: 1 | -1): void {
    // Thousandths of a core are whole: sums of fractions end in digits that nobody asked for.
    this.#waiting.milliCores += change * Math.round(resources.cpu * 1000);
    this.#waiting.memory += change * resources.memory;
    this.#waiting.disk += change * resources.disk;
    this.#waiting.gpu += change * resources.gpu;
  }

  /** What the accepted executions that wait ask for, together. */
  queuedCapacity(): Resources {
    const { milliCores, ...rest } = this.#waiting;
    return { cpu: milliCores / 1000, ...rest };
  }

  /** How soon an execution would start whose promise was just made. */
  outlook(): BidOutlook {
    return { startsNow: this.#allFit(), ahead: this.queued + this.offered };
  }

  /** The same for one that is here already. */
  outlookOf(item: Item): BidOutlook {
    if (item.station !== 'offered' && item.station !== 'admit') return { startsNow: true, ahead: 0 };
    return { startsNow: this.#allFit(), ahead: Math.max(0, this.queued + this.offered - 1) };
  }

  /** True when all that is promised would find room now, beside what runs. */
  #allFit(): boolean {
    const { ledger } = this.#modules;
    return fits(ledger.promised(), ledger.free());
  }
}
