import type { Ledger } from '../capacity/ledger.ts';
import { less } from '../capacity/ledger-layout.ts';
import type { Resources } from '../core/job.ts';
import type { BidOutlook } from '../core/messages.ts';
import { fits } from '../core/resources.ts';
import type { Approvals } from './approvals.ts';
import type { Item } from './item.ts';
import type { Park } from './park.ts';
import type { BoundedQueue } from './queue.ts';

/** Waiting executions that are added up for a bid: with more, none starts now that matters. */
const LOOKED_AT = 256;

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

  /** What the accepted executions that wait ask for, together. */
  queuedCapacity(): Resources {
    const sum = { cpu: 0, memory: 0, disk: 0, gpu: 0 };
    for (const { header } of this.#modules.queue) {
      sum.cpu += header.resources.cpu;
      sum.memory += header.resources.memory;
      sum.disk += header.resources.disk;
      sum.gpu += header.resources.gpu;
    }
    // Sums of fractions of a core end in digits that nobody asked for.
    return { ...sum, cpu: Math.round(sum.cpu * 1000) / 1000 };
  }

  /** How soon an execution would start whose promise was just made. */
  outlook(resources: Resources): BidOutlook {
    const ahead = this.queued + this.offered;
    return { startsNow: this.#allFit([this.#waiting(), [resources]], ahead), ahead };
  }

  /** The same for one that is here already. */
  outlookOf(item: Item): BidOutlook {
    if (item.station !== 'offered' && item.station !== 'admit') return { startsNow: true, ahead: 0 };
    const waiting = this.queued + this.offered;
    return { startsNow: this.#allFit([this.#waiting()], waiting), ahead: Math.max(0, waiting - 1) };
  }

  *#waiting(): Generator<Resources> {
    for (const { header } of this.#modules.queue) yield header.resources;
    for (const { header } of this.#modules.park) yield header.resources;
  }

  /** True when all of them would find room now, beside what runs. More than a look allows count as no. */
  #allFit(groups: readonly Iterable<Resources>[], count: number): boolean {
    if (count > LOOKED_AT) return false;
    let left = this.#modules.ledger.free();
    for (const group of groups) {
      for (const resources of group) {
        if (!fits(resources, left)) return false;
        left = less(left, resources);
      }
    }
    return true;
  }
}
