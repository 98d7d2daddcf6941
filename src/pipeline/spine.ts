import type { Healthy } from '../capacity/health.ts';
import type { Ticket } from '../capacity/ledger-view.ts';
import type { ExecutionHeader } from '../core/item.ts';
import type { Outcome } from '../core/outcome.ts';
import type { AdmitOutput } from '../workers/admit/protocol.ts';
import type { BidPolicy } from '../workers/bid/protocol.ts';
import type { ExecuteOutput, ExecuteReport, WasmOutput } from '../workers/execute/protocol.ts';
import type { PublishOutput } from '../workers/publish/protocol.ts';
import { Admission } from './admission.ts';
import { Approvals } from './approvals.ts';
import { Control } from './control.ts';
import { Intake } from './intake.ts';
import type { Item, StopCause } from './item.ts';
import { Occupancy } from './occupancy.ts';
import { Park } from './park.ts';
import { Records } from './records.ts';
import { Settle } from './settle.ts';
import type { SpineModules, SpineOptions } from './spine-options.ts';
import { createStages, type Stages } from './stages.ts';
import { cancelled, endingOf, failureOf, givenUp } from './verdicts.ts';

/**
 * The way of an execution through this node, in the order of the drawing in src/README.md:
 *
 *   bid ► park: offered ► admit ► execute ► publish ► settle
 *    └──► approvals ──►┘
 *
 * A stage says what it thinks of an item; only this file decides where the item goes next.
 */
export class Spine {
  readonly items: Map<string, Item> = new Map();
  readonly #modules: SpineModules;
  /** Asks, which have no record yet: they end as offers, in `approvals` or in `onRefused`. */
  readonly intake: Intake;
  readonly #stages: Stages;
  readonly #admission: Admission;
  readonly #park: Park;
  readonly #control: Control;
  readonly #settle: Settle;
  readonly approvals: Approvals;
  readonly records: Records;
  /** How full the node is. */
  readonly occupancy: Occupancy;
  #stopping = false;
  #roomChanged = false;

  constructor(options: SpineOptions, modules: SpineModules) {
    this.#modules = modules;
    const { clock, ledger, store, logger } = modules;
    this.records = new Records(options, { store, clock });
    this.#park = new Park({ clock, onExpired: (item) => this.#withdraw(item) });
    const { bidQueue, askBytes } = options.limits;
    const asks = { policy: options.bid, most: bidQueue, askBytes };
    this.intake = new Intake(asks, {
      ...modules,
      stages: () => this.#stages,
      onBid: (header, spec, ticket) => this.#offered(header, spec, ticket),
      onWait: (header, spec, reason) => this.approvals.begin(header, spec, reason),
      onRefused: (ask, rejection) => {
        modules.onRefused(ask, rejection);
        if (!rejection.final) this.#noteRoom();
      },
      // Asks were refused while others took all places: nothing else would tell that there is room again.
      onSpace: () => this.#noteRoom(),
    });
    this.#stages = createStages({ ...options, specs: this.records.specs }, modules, {
      bid: (ask, outcome) => this.intake.decided(ask, outcome),
      takeAdmissible: (max) => this.#admission.take(max),
      admitted: (item, outcome) => this.#admitted(item, outcome),
      reported: (item, report, hasEnded) => this.#reported(item, report, hasEnded),
      executed: (item, outcome) => this.#executed(item, outcome),
      ranWasm: (item, outcome) => this.#stopped(item, outcome),
      published: (item, outcome) => this.#published(item, outcome),
      publisherHasRoom: () => this.#publishNext(),
      counted: (item, change) => this.occupancy.count(item, change),
    });
    const { queue } = this.#stages.admit;
    this.#admission = new Admission({
      queue,
      ledger,
      clock,
      gpus: options.gpus,
      hasDisk: (item) => modules.disk.has(item.header.resources.disk),
      reservePlaces: (item) => this.#stages.reservePlaces(item),
      onChange: modules.onCapacity,
    });
    this.#control = new Control(options, {
      clock,
      stop: (item, cause) => this.stop(item, cause),
      onLongRun: (item) => {
        if (item.station === 'execute') this.records.running(item);
      },
    });
    this.#settle = new Settle({
      nodeId: options.nodeId,
      store,
      clock,
      logger,
      admission: this.#admission,
      onGone: (item) => this.#gone(item),
    });
    this.approvals = new Approvals(
      {
        bound: options.limits.approvals,
        jobLimit: options.bid.jobLimit,
        timeoutMs: options.approvalTimeoutMs,
      },
      {
        clock,
        records: this.records,
        settle: this.#settle,
        reserve: (header) => this.intake.reserve(header),
        outlook: () => this.occupancy.outlook(),
        onWaiting: (item) => this.#own(item),
        onOffered: (item) => this.#parkOffer(item),
      },
    );
    const { approvals } = this;
    this.occupancy = new Occupancy({ items: this.items, queue, park: this.#park, approvals, ledger });
  }

  /** Executions the node would take up now. */
  get openSlots(): number {
    if (this.#stopping) return 0;
    return Math.max(0, this.intake.decidable(this.#stages.admit.queue.free));
  }

  /** True when the item's request is within what the node has now. */
  fitsMachine(item: Item): boolean {
    return this.#modules.ledger.fitsMachine(item.header.resources);
  }

  /** Looks again at what waits: there is more disk than before. */
  lookAgain(): void {
    this.#stages.admit.wake();
    this.#noteRoom();
  }

  /** Starts the threads before the first job needs them. */
  warm(): void {
    this.#stages.warm();
  }

  /** Tells the bid threads what the node offers now. */
  setOffer(offer: Healthy): void {
    this.#stages.bid.control({ kind: 'live', name: 'offer', value: offer });
  }

  /** Which jobs are taken from now on. Bids being decided are decided as they began. */
  setPolicy(policy: BidPolicy, approvalTimeoutMs: number): void {
    this.intake.setPolicy(policy);
    this.approvals.setTimeout(approvalTimeoutMs);
    this.#stages.bid.control({ kind: 'live', name: 'policy', value: policy });
    this.#stages.supervise.control({ kind: 'live', name: 'acceptNetworked', value: policy.acceptNetworked });
    this.#noteRoom();
  }

  /** The requester accepts an offer. False when it is not offered here. */
  accept(id: string): boolean {
    const item = this.#park.takeOffered(id);
    if (item === undefined) return false;
    this.records.accepted(item);
    this.#modules.ledger.accept(item.ticket);
    this.#queueForAdmission(item);
    return true;
  }

  /** The requester turns an offer down, or one that waits for approval. Resolves when that is on disk. */
  turnDown(id: string, reason: string): Promise<void> {
    const offered = this.#park.takeOffered(id);
    const item = offered ?? this.approvals.remove(id);
    if (item === undefined) return this.#modules.store.flushed();
    if (offered !== undefined) this.#stages.admit.queue.releaseReserved();
    this.#noteRoom();
    return this.#settle.turnedDown(item, `bid rejected due to: ${reason}`);
  }

  /** Ends an item early, wherever it stands. Capacity comes free only when nothing of it runs any more. */
  stop(item: Item, cause: StopCause): void {
    if (item.station === 'settling') return;
    // The first one counts; but what a timed out run left is published only as long as somebody wants it.
    if (item.stop !== undefined && (item.failure === undefined || cause.why === 'timeout')) return;
    item.stop = cause;
    switch (item.station) {
      case 'approval':
      case 'offered':
        this.turnDown(item.id, cause.cause).catch(() => undefined);
        break;
      case 'admit':
        // In flight to the admit pool when it is not in the queue: its outcome ends it.
        if (this.#stages.admit.takeOut(item.id) !== undefined) this.#endStopped(item, cause);
        break;
      case 'execute':
        if (this.#stages.takeQueued(item)) this.#endStopped(item, cause);
        else this.#stages.kill(item, cause);
        break;
      case 'publish':
        if (this.#stages.publish.takeOut(item.id) !== undefined) this.#endStopped(item, cause);
        else this.#stages.publish.kill(item.id, cause.why, cause.cause);
        break;
      case 'retry':
        if (this.#park.removeRetry(item.id)) this.#endStopped(item, cause);
        break;
    }
  }

  /** Puts an item found in the store where it belongs. For recover, before anything else runs. */
  restoreOffered(item: Item): boolean {
    if (!this.#restorePromise(item)) return false;
    this.#own(item);
    this.#park.offer(item);
    return true;
  }

  /** As above, for an accepted one. False when the queue is full: try again when there is room. */
  restoreAccepted(item: Item): boolean {
    if (!this.#restorePromise(item)) return false;
    this.#own(item);
    this.#modules.ledger.accept(item.ticket);
    this.#queueForAdmission(item);
    return true;
  }

  /** As above, for one whose results are on disk. */
  restoreFinished(item: Item): void {
    item.ticket = this.#modules.ledger.restoreDisk(item.header.resources.disk) ?? 0;
    this.#own(item);
    this.#toPublish(item);
  }

  /** Ends one that can not go on after a restart. */
  giveUp(item: Item, why: string): void {
    this.#own(item);
    this.#settle.end(item, givenUp(why));
  }

  /** Takes nothing more, and lets go of what runs: containers go on, records say where each item stands. */
  async close(): Promise<void> {
    this.#stopping = true;
    this.intake.close();
    this.#park.stop();
    this.approvals.stop();
    this.#control.stop();
    await this.#stages.close();
  }

  /** A place to wait, and the promise that an earlier life had given. */
  #restorePromise(item: Item): boolean {
    const { queue } = this.#stages.admit;
    if (!queue.tryReserve()) return false;
    const ticket = this.#modules.ledger.restore(item.header.resources);
    if (ticket === undefined) queue.releaseReserved();
    else item.ticket = ticket;
    return ticket !== undefined;
  }

  #offered(header: ExecutionHeader, spec: Uint8Array, ticket: Ticket): void {
    const item = this.records.offered(header, spec, ticket, this.occupancy.outlook());
    this.#own(item);
    this.#parkOffer(item);
  }

  #parkOffer(item: Item): void {
    this.#park.offer(item);
    this.#modules.onCapacity();
  }

  #withdraw(item: Item): void {
    this.#stages.admit.queue.releaseReserved();
    this.#settle.end(item, cancelled('the offer was not answered in time'));
    this.#noteRoom();
  }

  /** Fills the slot of the admit queue that the offer has held. */
  #queueForAdmission(item: Item): void {
    item.station = 'admit';
    item.queuedAtMs = this.#modules.clock.nowMs();
    this.#control.accepted(item);
    this.#stages.admit.offerReserved(item);
    this.#modules.onCapacity();
  }

  #admitted(item: Item, outcome: Outcome<AdmitOutput>): void {
    if (outcome.kind === 'advance' && item.stop === undefined) {
      item.placement = outcome.value;
      item.station = 'execute';
      this.#stages.supervise.offerReserved(item);
    } else {
      this.#stages.releasePlaces(item);
      this.#endExecution(item, outcome);
    }
    this.#noteRoom();
  }

  #reported(item: Item, report: ExecuteReport, hasEnded: boolean): void {
    if (report.kind === 'running' && !item.ran) {
      item.ran = true;
      // No clock need be started for a run that is over.
      if (!hasEnded) this.#control.running(item);
    }
    for (const watcher of item.watchers ?? []) watcher();
  }

  #executed(item: Item, outcome: Outcome<ExecuteOutput>): void {
    if (outcome.kind === 'advance' && outcome.value.kind === 'prepared') {
      if (item.stop !== undefined) {
        this.#stages.wasm.queue.releaseReserved();
        return this.#endExecution(item, outcome);
      }
      item.inputs = outcome.value.inputs;
      this.#stages.wasm.offerReserved(item);
      return;
    }
    if (item.header.engine === 'wasm') this.#stages.wasm.queue.releaseReserved();
    this.#stopped(item, outcome);
  }

  /** Nothing of the run is left: what it held is free, what it wrote is published. */
  #stopped(item: Item, outcome: Outcome<ExecuteOutput | WasmOutput>): void {
    if (outcome.kind === 'advance' && outcome.value.kind === 'finished') {
      item.result = outcome.value.result;
      item.hasFiles = outcome.value.hasFiles;
    }
    this.#control.ended(item);
    this.#admission.releaseRun(item);
    this.#stages.admit.wake();
    this.#noteRoom();
    if (outcome.kind === 'advance' && item.stop === undefined) return this.#toPublish(item);
    if (item.ran && item.header.publisher !== '' && item.stop?.why !== 'cancelled') {
      // What a failed run printed and wrote is published too; its failure is what the job ends with.
      item.failure = failureOf(item, outcome);
      return this.#toPublish(item);
    }
    this.#endExecution(item, outcome);
  }

  #toPublish(item: Item): void {
    if (item.header.publisher !== '') this.records.publishing(item);
    item.station = 'publish';
    if (!this.#stages.publish.offer(item)) this.#park.retry(item);
  }

  #publishNext(): void {
    while (this.#stages.publish.queue.free > 0) {
      const item = this.#park.takeRetry();
      if (item === undefined) return;
      item.station = 'publish';
      this.#stages.publish.offer(item);
    }
  }

  #published(item: Item, outcome: Outcome<PublishOutput>): void {
    if (item.stop?.why === 'cancelled') return this.#endStopped(item, item.stop);
    const published = outcome.kind === 'advance' ? outcome.value.published : { Type: '' };
    if (item.failure !== undefined) {
      this.#settle.end(item, { state: 'Failed', error: item.failure, published });
    } else if (outcome.kind === 'advance') {
      this.#settle.end(item, { state: 'Completed', published });
    } else {
      this.#endExecution(item, outcome);
    }
  }

  #endExecution(item: Item, outcome: Outcome<unknown>): void {
    if (item.stop !== undefined) return this.#endStopped(item, item.stop);
    this.#settle.end(item, { state: 'Failed', error: failureOf(item, outcome) });
    this.#noteRoom();
  }

  #endStopped(item: Item, stop: StopCause): void {
    this.#settle.end(item, endingOf(stop));
    this.#stages.admit.wake();
    this.#noteRoom();
  }

  #own(item: Item): void {
    this.items.set(item.id, item);
  }

  #gone(item: Item): void {
    this.items.delete(item.id);
    this.records.specs.letGo(item);
    if (item.placement !== undefined && item.hasFiles) this.#stages.removeDirectory(item.id);
    for (const watcher of item.watchers ?? []) watcher();
    item.watchers = undefined;
    this.#modules.onGone(item);
  }

  /** Tells whoever waits for room, once a turn. */
  #noteRoom(): void {
    if (this.#roomChanged || this.#stopping) return;
    this.#roomChanged = true;
    setImmediate(() => {
      this.#roomChanged = false;
      if (this.#stopping) return;
      this.approvals.retry();
      this.#modules.onRoom(this.openSlots);
    });
  }
}
