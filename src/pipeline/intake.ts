import type { Ledger } from '../capacity/ledger.ts';
import { NodeError } from '../core/errors.ts';
import { uuidv7 } from '../core/ids.ts';
import type { ExecutionHeader } from '../core/item.ts';
import type { Outcome, Rejection } from '../core/outcome.ts';
import type { CheckedJob, Submission } from '../core/ports.ts';
import { formatResources } from '../core/resources.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { BidOutput } from '../workers/bid/protocol.ts';
import type { IngestOutput } from '../workers/ingest/protocol.ts';
import type { PendingAsk, PendingJob } from './item.ts';
import type { Stages } from './stages.ts';
import { faultOf, transient } from './verdicts.ts';

export interface IntakeModules {
  readonly stages: () => Pick<Stages, 'ingest' | 'bid' | 'admit'>;
  readonly ledger: Ledger;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Every strategy said yes; a place in the admit queue and the promise are reserved. */
  readonly onBid: (header: ExecutionHeader, spec: Uint8Array) => void;
  /** An ask was refused: its requester must hear of it. */
  readonly onRefused: (ask: PendingAsk, rejection: Rejection) => void;
}

/**
 * The first half of the spine: what has no record yet. Bodies and asks go through ingest, asks on through bid;
 * nothing here survives a crash, and nothing needs to: a body was not acknowledged, an ask is sent again.
 */
export class Intake {
  readonly #modules: IntakeModules;
  readonly #pending = new Map<string, PendingAsk>();
  #closed = false;

  constructor(modules: IntakeModules) {
    this.#modules = modules;
  }

  /** Asks being decided. */
  get size(): number {
    return this.#pending.size;
  }

  /** @throws NodeError ValidationFailed, MalformedBody, Busy, Stopping */
  check(submission: Submission): Promise<CheckedJob> {
    if (this.#closed) {
      return Promise.reject(new NodeError('Stopping', 'the node is stopping and takes no more jobs'));
    }
    return new Promise((resolve, reject) => {
      const { ingest } = this.#modules.stages();
      if (ingest.offer({ kind: 'job', id: uuidv7(), priority: 0, submission, resolve, reject })) return;
      const { bound } = ingest.queue;
      reject(
        new NodeError(
          'Busy',
          `the node is checking as many jobs as it can hold (${bound}); nothing was stored`,
        ),
      );
    });
  }

  /** Takes up an ask that has no record. One already on its way is answered when it is decided. */
  ask(ask: PendingAsk): void {
    if (this.#closed) {
      this.#refuse(ask, transient('stopping', 'this node is stopping'));
    } else if (!this.#pending.has(ask.id)) {
      this.#pending.set(ask.id, ask);
      if (!this.#modules.stages().ingest.offer(ask)) {
        this.#refuse(ask, transient('busy', 'this node is checking as many asks as it can hold'));
      }
    }
  }

  /** Nobody waits for the answer any more. */
  drop(id: string): void {
    const ask = this.#pending.get(id);
    if (ask !== undefined) ask.dropped = true;
  }

  close(): void {
    this.#closed = true;
  }

  /** Outcome of the ingest stage. */
  ingested(entry: PendingJob | PendingAsk, outcome: Outcome<IngestOutput>): void {
    if (entry.kind === 'job') {
      if (outcome.kind === 'advance' && outcome.value.kind === 'job') entry.resolve(outcome.value.job);
      else entry.reject(faultOf(outcome));
      return;
    }
    if (outcome.kind === 'advance' && outcome.value.kind === 'ask') {
      entry.header = outcome.value.header;
      if (this.#modules.stages().bid.offer(entry)) return;
      this.#refuse(entry, transient('busy', 'this node is deciding on as many asks as it can hold'));
      return;
    }
    const reason = `this node can not read the job: ${faultOf(outcome).message}`;
    this.#refuse(entry, { kind: 'reject', final: true, code: 'invalid', reason });
  }

  /** Outcome of the bid stage. */
  decided(ask: PendingAsk, outcome: Outcome<BidOutput>): void {
    const { logger, metrics, onBid } = this.#modules;
    if (outcome.kind === 'reject') {
      this.#refuse(ask, outcome);
    } else if (outcome.kind !== 'advance' || ask.header === undefined) {
      const { message } = faultOf(outcome);
      logger.error({ executionId: ask.id }, `a bid could not be decided: ${message}`);
      this.#refuse(ask, transient('busy', `this node could not decide on the job: ${message}`));
    } else if (ask.dropped) {
      this.#pending.delete(ask.id);
    } else {
      const header = { ...ask.header, resources: outcome.value.resources };
      const rejection = this.#reserve(header);
      if (rejection !== undefined) {
        this.#refuse(ask, rejection);
        return;
      }
      this.#pending.delete(ask.id);
      metrics.bid('accepted', '');
      onBid(header, ask.spec);
    }
  }

  /** One step after the last yes: a place to wait and the capacity, or neither. */
  #reserve(header: ExecutionHeader): Rejection | undefined {
    const { ledger, stages } = this.#modules;
    const { queue } = stages().admit;
    if (!queue.tryReserve()) {
      return transient('no_room', 'this node has as many executions waiting as it can hold');
    }
    if (ledger.tryPromise(ledger.units(header.resources))) return undefined;
    queue.releaseReserved();
    const requested = formatResources(header.resources);
    const available = formatResources(ledger.free());
    const reason = `this node does not have capacity to run the job (${requested} requested but only ${available} is available)`;
    return { ...transient('no_room', reason), requested, available };
  }

  #refuse(ask: PendingAsk, rejection: Rejection): void {
    this.#pending.delete(ask.id);
    this.#modules.metrics.bid('rejected', rejection.code);
    if (!ask.dropped) this.#modules.onRefused(ask, rejection);
  }
}
