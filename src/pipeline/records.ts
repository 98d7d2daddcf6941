import type { Ticket } from '../capacity/ledger-view.ts';
import type { Clock } from '../core/clock.ts';
import { type NodeId, ownText } from '../core/ids.ts';
import type { ExecutionHeader } from '../core/item.ts';
import type { Limits } from '../core/limits.ts';
import type { BidOutlook, RequesterBound } from '../core/messages.ts';
import type { LocalExecutionState } from '../core/states.ts';
import type { ComputeStore } from '../store/compute-store.ts';
import type { LocalExecution } from '../store/records.ts';
import { executionRow, type Topic } from './history.ts';
import type { Item } from './item.ts';
import { SharedTexts } from './shared-texts.ts';
import { Specs } from './specs.ts';

/** What most items have of what some have many: one for all. */
const NONE: readonly never[] = [];

/** Every change of an execution's record before its end. Each is one transition. */
export class Records {
  readonly #nodeId: NodeId;
  readonly #limits: Limits;
  readonly #store: ComputeStore;
  readonly #clock: Clock;
  readonly specs: Specs;
  readonly #texts = new SharedTexts();

  constructor(
    options: { readonly nodeId: NodeId; readonly limits: Limits },
    modules: { readonly store: ComputeStore; readonly clock: Clock },
  ) {
    this.#nodeId = options.nodeId;
    this.#limits = options.limits;
    this.#store = modules.store;
    this.#clock = modules.clock;
    this.specs = new Specs(options.limits, modules);
  }

  /** A bid: the record, its deadline and the answer to the requester. The ticket holds the promise already. */
  offered(asked: ExecutionHeader, spec: Uint8Array, ticket: Ticket, outlook: BidOutlook): Item {
    const header = this.#texts.share(asked);
    const time = this.#clock.nowMicros();
    const untilMs = this.#clock.nowMs() + this.#limits.offeredTimeoutMs;
    const record: LocalExecution = {
      header,
      state: 'Created',
      wait: { kind: 'offered', untilMs, reason: '' },
      version: 1,
      createTime: time,
      updateTime: time,
      acceptTime: 0,
      attempts: 0,
      comment: '',
      result: null,
      published: null,
      error: null,
    };
    const item = this.item(record, spec);
    item.ticket = ticket;
    this.#store.transition({
      from: null,
      record,
      spec,
      history: [this.#row(item, '', 'Created', 'Bidding', 'Bid made', time)],
      outbox: [
        {
          to: header.requesterId,
          message: {
            type: 'BidResult',
            executionId: header.executionId,
            jobId: header.jobId,
            accepted: true,
            reason: '',
            ...outlook,
          },
        },
      ],
    });
    return item;
  }

  /** A bid that somebody has to approve: the record, its deadline and word to the requester. Nothing is reserved. */
  awaiting(asked: ExecutionHeader, spec: Uint8Array, reason: string, untilMs: number): Item {
    const header = this.#texts.share(asked);
    const time = this.#clock.nowMicros();
    const record: LocalExecution = {
      header,
      state: 'Created',
      wait: { kind: 'approval', untilMs, reason },
      version: 1,
      createTime: time,
      updateTime: time,
      acceptTime: 0,
      attempts: 0,
      comment: reason,
      result: null,
      published: null,
      error: null,
    };
    const item = this.item(record, spec);
    this.#store.transition({
      from: null,
      record,
      spec,
      history: [this.#row(item, '', 'Created', 'Bidding', waitingText(reason), time)],
      outbox: [{ to: header.requesterId, message: waitingMessage(record) }],
    });
    return item;
  }

  /** It was approved, and there is no room for it yet. */
  approved(item: Item, reason: string): void {
    const { wait } = item.record;
    if (wait === null) return;
    const text =
      reason === '' ? 'Bid approved; waiting for room' : `Bid approved: ${reason}; waiting for room`;
    this.#change(item, 'Created', 'Bidding', text, { wait: { ...wait, approved: true } });
  }

  /** The bid that was approved is made. The ticket holds the promise already. */
  offeredLate(item: Item, reason: string, ticket: Ticket, outlook: BidOutlook): void {
    item.ticket = ticket;
    const { executionId, jobId, requesterId } = item.header;
    const untilMs = this.#clock.nowMs() + this.#limits.offeredTimeoutMs;
    this.#change(
      item,
      'Created',
      'Bidding',
      reason === '' ? 'Bid approved and made' : `Bid approved and made: ${reason}`,
      { wait: { kind: 'offered', untilMs, reason: '' }, comment: '' },
      [
        {
          to: requesterId,
          message: { type: 'BidResult', executionId, jobId, accepted: true, reason, ...outlook },
        },
      ],
    );
  }

  /** An offer found after a restart: its requester may never have heard of it, or have forgotten that it asked. */
  offeredAgain(item: Item): void {
    const { executionId, jobId, requesterId } = item.header;
    // Another node asks again over its next link (docs/adr/0018-an-open-bid-is-one-row.md).
    if (requesterId !== this.#nodeId) return;
    this.#change(item, 'Created', 'Restart', 'Bid made again after a restart of the node', {}, [
      { to: requesterId, message: { type: 'BidResult', executionId, jobId, accepted: true, reason: '' } },
    ]);
  }

  /** The item of a record found in the store. */
  restored(record: LocalExecution, spec: Uint8Array): Item {
    const { executionId, jobId } = record.header;
    const ids = { executionId: ownText(executionId), jobId: ownText(jobId) };
    return this.item({ ...record, header: this.#texts.share({ ...record.header, ...ids }) }, spec);
  }

  /** The item of a record, holding nothing. */
  item(record: LocalExecution, spec: Uint8Array): Item {
    const { header } = record;
    return {
      id: header.executionId,
      priority: header.priority,
      header,
      spec: this.specs.keep(spec),
      record,
      station: 'offered',
      ticket: 0,
      queuedAtMs: 0,
      placement: undefined,
      gpus: NONE,
      inputs: NONE,
      result: record.result ?? undefined,
      hasFiles: true,
      slot: undefined,
      ran: false,
      failure: record.error ?? undefined,
      stop: undefined,
      timers: undefined,
      watchers: undefined,
    };
  }

  accepted(item: Item): void {
    const acceptTime = this.#clock.nowMicros();
    this.#change(item, 'BidAccepted', 'Bidding', 'Bid accepted', { wait: null, acceptTime });
  }

  /** The run has lasted long enough to be told. */
  running(item: Item): void {
    const { executionId, jobId, requesterId } = item.header;
    this.#change(item, 'Running', 'Execution', 'Running', { attempts: item.record.attempts + 1 }, [
      { to: requesterId, message: { type: 'ExecutionStarted', executionId, jobId } },
    ]);
  }

  publishing(item: Item): void {
    if (item.record.state === 'Publishing') return;
    const unrecordedRun = item.ran && item.record.state === 'BidAccepted';
    this.#change(item, 'Publishing', 'Publishing Results', 'Publishing results', {
      result: item.result ?? null,
      error: item.failure ?? null,
      attempts: item.record.attempts + (unrecordedRun ? 1 : 0),
    });
  }

  /** Found running after a restart: it starts again from the queue. */
  again(item: Item): void {
    this.#change(item, 'BidAccepted', 'Restart', 'Running again after a restart of the node', {
      result: null,
      error: null,
    });
    item.result = undefined;
    item.failure = undefined;
  }

  #change(
    item: Item,
    to: LocalExecutionState,
    topic: Topic,
    message: string,
    fields: Partial<LocalExecution>,
    outbox: Parameters<ComputeStore['transition']>[0]['outbox'] = [],
  ): void {
    const from = item.record.state;
    const time = this.#clock.nowMicros();
    const record: LocalExecution = {
      ...item.record,
      ...fields,
      state: to,
      version: item.record.version + 1,
      updateTime: time,
    };
    this.#store.transition({
      from,
      record,
      history: [this.#row(item, from, to, topic, message, time)],
      outbox,
    });
    item.record = record;
  }

  #row(
    item: Item,
    from: LocalExecutionState | '',
    to: LocalExecutionState,
    topic: Topic,
    message: string,
    time: number,
  ): ReturnType<typeof executionRow> {
    return executionRow(item, { time, nodeId: this.#nodeId, from, to, topic, message });
  }
}

function waitingText(reason: string): string {
  return reason === '' ? 'Bid waits for approval' : `Bid waits for approval: ${reason}`;
}

/** What the requester hears of a bid that waits, as often as it asks. */
export function waitingMessage({ header, wait }: LocalExecution): RequesterBound {
  const { executionId, jobId } = header;
  return { type: 'BidWaiting', executionId, jobId, reason: wait?.reason ?? '', untilMs: wait?.untilMs ?? 0 };
}
