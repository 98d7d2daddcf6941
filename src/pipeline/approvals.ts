import type { Ticket } from '../capacity/ledger-view.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { formatDuration } from '../core/duration.ts';
import type { ExecutionHeader } from '../core/item.ts';
import type { Resources } from '../core/job.ts';
import type { BidOutlook } from '../core/messages.ts';
import type { Rejection } from '../core/outcome.ts';
import { fits, formatResources } from '../core/resources.ts';
import type { Item } from './item.ts';
import type { Records } from './records.ts';
import type { Settle } from './settle.ts';
import { refused, transient } from './verdicts.ts';

export interface ApprovalsOptions {
  /** Bids that may wait at once. */
  readonly bound: number;
  /** Most that one job may ask for. */
  readonly jobLimit: Resources;
  /** How long an operator has. */
  readonly timeoutMs: number;
}

export interface ApprovalsModules {
  readonly clock: Clock;
  readonly records: Records;
  readonly settle: Settle;
  /** One step: a place to wait and the capacity that the ticket holds, or the reason why not. */
  readonly reserve: (header: ExecutionHeader) => Ticket | Rejection;
  /** How soon one would start whose promise was just made. */
  readonly outlook: () => BidOutlook;
  /** A bid has begun to wait, or goes on after a restart. */
  readonly onWaiting: (item: Item) => void;
  /** The bid is made; what it needs is reserved. */
  readonly onOffered: (item: Item) => void;
}

/** What became of an operator's word. */
export type Approval =
  /** The bid is made. */
  | 'offered'
  /** It is made as soon as there is room. */
  | 'waiting for room'
  | 'refused';

/**
 * Bids that wait for somebody's word (*approval*): they hold nothing, have a record and a time limit of their own,
 * and end as an offer or as a final refusal.
 */
export class Approvals {
  readonly #options: ApprovalsOptions;
  readonly #modules: ApprovalsModules;
  readonly #waiting = new Map<string, Item>();
  #timeoutMs: number;
  #timer: Timer | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #stopped = false;

  constructor(options: ApprovalsOptions, modules: ApprovalsModules) {
    this.#options = options;
    this.#modules = modules;
    this.#timeoutMs = options.timeoutMs;
  }

  /** Those that wait, the longest first. */
  get items(): readonly Item[] {
    return [...this.#waiting.values()];
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Holds for bids that begin to wait from now on. */
  setTimeout(timeoutMs: number): void {
    this.#timeoutMs = timeoutMs;
  }

  /** A probe said wait: the record with its deadline, and word to the requester. A rejection when too many wait. */
  begin(header: ExecutionHeader, spec: Uint8Array, reason: string): Rejection | undefined {
    const { clock, records } = this.#modules;
    if (this.#waiting.size >= this.#options.bound) {
      return transient(
        'busy',
        `this node has as many bids waiting for approval as it may (${this.#options.bound})`,
      );
    }
    const item = records.awaiting(header, spec, reason, clock.nowMs() + this.#timeoutMs);
    this.restore(item);
    return undefined;
  }

  /** One found in the store at a restart. */
  restore(item: Item): void {
    item.station = 'approval';
    this.#waiting.set(item.id, item);
    this.#modules.onWaiting(item);
    this.#arm(item.record.wait?.untilMs ?? 0);
  }

  /** Takes one out, whatever becomes of it. */
  remove(id: string): Item | undefined {
    const item = this.#waiting.get(id);
    this.#waiting.delete(id);
    return item;
  }

  /** The operator's yes. Limits hold as for any bid; it is in the store's next commit. Undefined when it does not wait. */
  approve(id: string, reason: string): Approval | undefined {
    const item = this.#waiting.get(id);
    if (item === undefined) return undefined;
    const requested = formatResources(item.header.resources);
    const available = formatResources(this.#options.jobLimit);
    if (!fits(item.header.resources, this.#options.jobLimit)) {
      this.#end(item, {
        kind: 'reject',
        final: true,
        code: 'max_capacity',
        reason: `this node does not run jobs that require this many resources (${requested} requested but only ${available} is allowed)`,
        requested,
        available,
      });
      return 'refused';
    }
    if (this.#offer(item, reason)) return 'offered';
    if (item.record.wait?.approved !== true) this.#modules.records.approved(item, reason);
    return 'waiting for room';
  }

  /** The operator's no. False when it does not wait. */
  refuse(id: string, reason: string): boolean {
    const item = this.#waiting.get(id);
    if (item === undefined) return false;
    this.#end(
      item,
      final(reason === '' ? 'this node does not accept the job: its operator refused it' : reason),
    );
    return true;
  }

  /** There may be room for those that were approved and found none. */
  retry(): void {
    for (const item of [...this.#waiting.values()]) {
      if (item.record.wait?.approved === true) this.approve(item.id, '');
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #offer(item: Item, reason: string): boolean {
    const { records, reserve, outlook, onOffered } = this.#modules;
    const ticket = reserve(item.header);
    if (typeof ticket !== 'number') return false;
    this.#waiting.delete(item.id);
    records.offeredLate(item, reason, ticket, outlook());
    onOffered(item);
    return true;
  }

  #end(item: Item, rejection: Rejection): void {
    this.#waiting.delete(item.id);
    this.#modules.settle.end(item, refused(rejection));
  }

  #arm(atMs: number): void {
    if (this.#stopped || atMs >= this.#timerAtMs) return;
    this.#timer?.cancel();
    this.#timerAtMs = atMs;
    this.#timer = this.#modules.clock.at(atMs, () => {
      this.#timerAtMs = Number.POSITIVE_INFINITY;
      this.#expire();
    });
  }

  #expire(): void {
    const now = this.#modules.clock.nowMs();
    let next = Number.POSITIVE_INFINITY;
    for (const item of [...this.#waiting.values()]) {
      const { untilMs = 0, approved } = item.record.wait ?? {};
      if (untilMs > now) {
        next = Math.min(next, untilMs);
        continue;
      }
      const waited = formatDuration(Math.round(now - item.record.createTime / 1000));
      const why = approved === true ? 'found no room after it was approved' : 'was not approved';
      this.#end(item, final(`this node does not accept the job: its bid ${why} in ${waited}`));
    }
    if (next !== Number.POSITIVE_INFINITY) this.#arm(next);
  }
}

function final(reason: string): Rejection {
  return { kind: 'reject', final: true, code: 'approval', reason };
}
