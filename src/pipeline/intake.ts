import type { DiskView } from '../capacity/disk-view.ts';
import type { Ledger } from '../capacity/ledger.ts';
import type { Ticket } from '../capacity/ledger-view.ts';
import { headerOfRead } from '../core/headers.ts';
import type { NodeId } from '../core/ids.ts';
import type { ExecutionHeader } from '../core/item.ts';
import type { Outcome, Rejection } from '../core/outcome.ts';
import { formatResources } from '../core/resources.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { BidOutput, BidPolicy } from '../workers/bid/protocol.ts';
import type { PendingAsk } from './item.ts';
import type { Stages } from './stages.ts';
import { faultOf, transient } from './verdicts.ts';

export interface IntakeOptions {
  readonly policy: BidPolicy;
  /** Asks decided at once: threads are given all of them, so their queue does not bound them. */
  readonly most: number;
  /** What their specs may add up to. */
  readonly askBytes: number;
}

export interface IntakeModules {
  readonly stages: () => Pick<Stages, 'bid' | 'admit'>;
  readonly ledger: Ledger;
  readonly disk: DiskView;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Every strategy said yes; a place in the admit queue is reserved, and the ticket holds the promise. */
  readonly onBid: (header: ExecutionHeader, spec: Uint8Array, ticket: Ticket) => void;
  /** A probe said wait; nothing is reserved. A rejection when too many wait. */
  readonly onWait: (header: ExecutionHeader, spec: Uint8Array, reason: string) => Rejection | undefined;
  /** An ask was refused: its requester must hear of it. */
  readonly onRefused: (ask: PendingAsk, rejection: Rejection) => void;
  /** Asks can be taken up again. */
  readonly onSpace: () => void;
}

/**
 * The first half of the spine: asks, which have no record yet. They go through bid, which checks a peer's first; nothing here
 * survives a crash, and nothing needs to: an ask is sent again until it is answered.
 */
export class Intake {
  readonly #most: number;
  readonly #askBytes: number;
  readonly #modules: IntakeModules;
  readonly #pending = new Map<string, PendingAsk>();
  /** Of the specs of pending asks. */
  #bytes = 0;
  #closed = false;
  /** Bids that can be decided at once; Infinity where no probe is asked. */
  #probesAtOnce = Number.POSITIVE_INFINITY;

  constructor(options: IntakeOptions, modules: IntakeModules) {
    this.#most = options.most;
    this.#askBytes = options.askBytes;
    this.#modules = modules;
    this.setPolicy(options.policy);
  }

  /** Asks being decided. */
  get size(): number {
    return this.#pending.size;
  }

  setPolicy({ probeExec, probeHttp, probeConcurrency }: BidPolicy): void {
    const hasProbe = probeExec !== '' || probeHttp !== '';
    this.#probesAtOnce = hasProbe ? probeConcurrency : Number.POSITIVE_INFINITY;
  }

  /**
   * How many more asks can be decided. What is asked beyond the probes that may run would only be put off, and asked
   * again; asks under way are not taken off those: their requester does, and a probe holds them long.
   * @param places free in the admit queue
   */
  decidable(places: number): number {
    return Math.min(places - this.size, this.#most - this.size, this.#probesAtOnce);
  }

  /** Takes up an ask that has no record. One already on its way is answered when it is decided. */
  ask(ask: PendingAsk): void {
    if (this.#closed) {
      this.#refuse(ask, transient('stopping', 'this node is stopping'));
    } else if (this.#pending.has(ask.id)) {
      return;
    } else if (this.size > 0 && this.#bytes + ask.spec.length > this.#askBytes) {
      this.#refuse(ask, transient('busy', 'this node is deciding on jobs of as many bytes as it can hold'));
    } else if (this.size >= this.#most || !this.#modules.stages().bid.offer(ask)) {
      this.#refuse(ask, transient('busy', 'this node is deciding on as many asks as it can hold'));
    } else {
      this.#pending.set(ask.id, ask);
      this.#bytes += ask.spec.length;
    }
  }

  /** Whose ask is being decided. */
  requesterOf(id: string): NodeId | undefined {
    return this.#pending.get(id)?.requesterId;
  }

  /** Nobody waits for the answer any more. */
  drop(id: string): void {
    const ask = this.#pending.get(id);
    if (ask === undefined || ask.dropped) return;
    ask.dropped = true;
    const { bid } = this.#modules.stages();
    // Its probes end with it.
    if (bid.takeOut(id) !== undefined) this.#leave(ask);
    else bid.kill(id, 'cancelled', 'the requester wants no answer any more');
  }

  /** What the policy says of a job that nobody wants to run. Resolves with a rejection where it cannot be asked. */
  explain(ask: Omit<PendingAsk, 'explain'>): Promise<Outcome<BidOutput>> {
    return new Promise((resolve) => {
      const asked: PendingAsk = { ...ask, explain: resolve };
      if (this.#closed) {
        resolve(transient('stopping', 'this node is stopping'));
      } else if (!this.#modules.stages().bid.offer(asked)) {
        resolve(transient('busy', 'this node is deciding on as many asks as it can hold'));
      }
    });
  }

  close(): void {
    this.#closed = true;
  }

  /** Outcome of the bid stage. */
  decided(ask: PendingAsk, outcome: Outcome<BidOutput>): void {
    const { logger, metrics, onBid, onWait } = this.#modules;
    if (ask.explain !== undefined) {
      ask.explain(outcome);
    } else if (ask.dropped) {
      this.#leave(ask);
    } else if (outcome.kind === 'reject') {
      this.#refuse(ask, outcome);
    } else if (outcome.kind === 'wait') {
      const rejection = onWait(headerOf(ask, outcome.value), ask.spec, outcome.reason);
      if (rejection !== undefined) {
        this.#refuse(ask, rejection);
        return;
      }
      this.#leave(ask);
      metrics.bid('waiting', '');
    } else if (outcome.kind !== 'advance') {
      const { message } = faultOf(outcome);
      logger.error({ executionId: ask.id }, `a bid could not be decided: ${message}`);
      this.#refuse(ask, transient('busy', `this node could not decide on the job: ${message}`));
    } else {
      const header = headerOf(ask, outcome.value);
      const reserved = this.reserve(header);
      if (typeof reserved !== 'number') {
        this.#refuse(ask, reserved);
        return;
      }
      this.#leave(ask);
      metrics.bid('accepted', '');
      onBid(header, ask.spec, reserved);
    }
  }

  /** One step after the last yes: a place to wait and the capacity, or neither. */
  reserve(header: ExecutionHeader): Ticket | Rejection {
    const { disk, ledger, stages } = this.#modules;
    const { queue } = stages().admit;
    if (!queue.tryReserve()) {
      return transient('no_room', 'this node has as many executions waiting as it can hold');
    }
    const lack = disk.lack(header.resources.disk);
    if (lack !== undefined) {
      queue.releaseReserved();
      return { ...transient('disk_low', ''), ...lack, reason: `this node does not ${lack.reason}` };
    }
    const ticket = ledger.reserve(header.resources);
    if (ticket !== undefined) return ticket;
    queue.releaseReserved();
    const requested = formatResources(header.resources);
    const available = formatResources(ledger.free());
    const reason = `this node does not have capacity to run the job (${requested} requested but only ${available} is available)`;
    return { ...transient('no_room', reason), requested, available };
  }

  #refuse(ask: PendingAsk, rejection: Rejection): void {
    if (ask.explain !== undefined) {
      ask.explain(rejection);
      return;
    }
    this.#leave(ask);
    this.#modules.metrics.bid('rejected', rejection.code);
    if (!ask.dropped) this.#modules.onRefused(ask, rejection);
  }

  #leave(ask: PendingAsk): void {
    const wasFull = this.size >= this.#most;
    if (!this.#pending.delete(ask.id)) return;
    this.#bytes -= ask.spec.length;
    if (wasFull) this.#modules.onSpace();
  }
}

/** What is known of the execution: resources as decided, the rest as this node's requester or the bid thread has read it. */
function headerOf(ask: PendingAsk, { read, resources }: BidOutput): ExecutionHeader {
  const { id, jobId, jobVersion, requesterId, header } = ask;
  if (read !== undefined)
    return headerOfRead({ executionId: id, jobId, jobVersion, requesterId }, resources, read);
  if (header === undefined) throw new Error(`ask ${id} was decided on without being read`);
  return resources === header.resources ? header : { ...header, resources };
}
