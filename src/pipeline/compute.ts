import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { NodeError } from '../core/errors.ts';
import type { ExecutionId, NodeId } from '../core/ids.ts';
import { isCompleteId } from '../core/ids.ts';
import type { JobSpec } from '../core/job.ts';
import type {
  AskForBid,
  BidResult,
  ComputeBound,
  MessageHandler,
  RefusalListener,
  RequesterBound,
} from '../core/messages.ts';
import type { Rejection } from '../core/outcome.ts';
import type { ComputePort, LocalExecutionView, LogChunk, LogOptions, OpenedArchive } from '../core/ports.ts';
import { resultLog } from '../core/result-log.ts';
import { isLocalTerminal, type LocalExecutionState } from '../core/states.ts';
import type { ComputeStore } from '../store/compute-store.ts';
import type { LocalExecution } from '../store/records.ts';
import type { BidConfig } from './bid/options.ts';
import type { Item, PendingAsk } from './item.ts';
import { readLiveLog } from './logs.ts';
import { waitingMessage } from './records.ts';
import { endingMessage } from './settle.ts';
import type { Spine } from './spine.ts';

export interface ComputeOptions {
  readonly nodeId: NodeId;
  readonly acceptBidsFrom: BidConfig['acceptBidsFrom'];
  /** Absolute; `<data dir>/executions`. */
  readonly executionsDirectory: string;
  /** Absolute; archives of the `local` publisher. */
  readonly archivesDirectory: string;
}

export interface ComputeModules {
  readonly spine: Spine;
  readonly store: ComputeStore;
  /** Sends without the outbox: answers that are asked for again when they are lost. */
  readonly post: (to: NodeId, message: RequesterBound) => void;
  readonly onRefusal: RefusalListener;
}

const DONE: Promise<void> = Promise.resolve();

/** The compute role as its neighbours see it: messages of requesters in, views and logs out. */
export class Compute implements ComputePort, MessageHandler<ComputeBound> {
  readonly #options: ComputeOptions;
  readonly #modules: ComputeModules;
  /** Who waits for the end of an execution. */
  readonly #ends = new Map<ExecutionId, (() => void)[]>();
  #accepts: BidConfig['acceptBidsFrom'];

  constructor(options: ComputeOptions, modules: ComputeModules) {
    this.#options = options;
    this.#modules = modules;
    this.#accepts = options.acceptBidsFrom;
  }

  /** Whose asks are answered from now on; this node's own always are. */
  setAccepts(acceptBidsFrom: BidConfig['acceptBidsFrom']): void {
    this.#accepts = acceptBidsFrom;
  }

  /** Who asked for an execution that this node knows, or decides on. */
  requesterOf(executionId: ExecutionId): NodeId | undefined {
    const { spine, store } = this.#modules;
    return (
      spine.items.get(executionId)?.header.requesterId ??
      spine.intake.requesterOf(executionId) ??
      store.get(executionId)?.header.requesterId
    );
  }

  /** Resolves when what the message changed is durable. */
  handle(from: NodeId, message: ComputeBound): Promise<void> {
    try {
      return this.#handle(from, message);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #handle(from: NodeId, message: ComputeBound): Promise<void> {
    const { spine, store } = this.#modules;
    const item = spine.items.get(message.executionId);
    const known = item === undefined ? store.get(message.executionId) : undefined;
    // Only the requester that asked may say anything about an execution.
    const owner = (item ?? known)?.header.requesterId ?? spine.intake.requesterOf(message.executionId);
    if (owner !== undefined && owner !== from) {
      this.#foreign(from, message);
      return DONE;
    }
    switch (message.type) {
      case 'AskForBid':
        this.#asked(from, message, item, known);
        return DONE;
      case 'BidAccepted':
        if (item === undefined) return this.#acceptedUnknown(from, message.executionId);
        spine.accept(item.id);
        return store.flushed();
      case 'BidRejected':
        spine.intake.drop(message.executionId);
        return spine.turnDown(message.executionId, message.reason);
      case 'CancelExecution':
        if (item === undefined) {
          spine.intake.drop(message.executionId);
          return DONE;
        }
        spine.stop(item, { why: 'cancelled', cause: `execution canceled due to: ${message.reason}` });
        // Acknowledged when it has ended: until then a restart must hear of it again.
        return this.#end(item);
    }
  }

  /** An ask was refused before it had a record. */
  refused(ask: Pick<PendingAsk, 'id' | 'jobId' | 'requesterId'>, rejection: Rejection): void {
    const { code, final, reason, requested, available } = rejection;
    this.#modules.post(ask.requesterId, {
      type: 'BidResult',
      executionId: ask.id,
      jobId: ask.jobId,
      accepted: false,
      reason,
      rejection: {
        code,
        final,
        ...(requested === undefined ? {} : { requested }),
        ...(available === undefined ? {} : { available }),
      },
    });
  }

  /** The end of an execution is on disk. */
  gone(item: Item): void {
    for (const resolve of this.#ends.get(item.id) ?? []) resolve();
    this.#ends.delete(item.id);
  }

  async executions(options: {
    states?: readonly LocalExecutionState[];
    limit: number;
  }): Promise<LocalExecutionView[]> {
    const { store } = this.#modules;
    await store.committed();
    return store.list(options).map((record) => this.#view(record));
  }

  async *logs(executionId: ExecutionId, options: LogOptions, signal: AbortSignal): AsyncGenerator<LogChunk> {
    const { spine, store } = this.#modules;
    const item = spine.items.get(executionId);
    if (item !== undefined) {
      yield* readLiveLog(
        item,
        join(this.#options.executionsDirectory, executionId, 'results'),
        options,
        signal,
      );
      return;
    }
    await store.committed();
    const record = store.get(executionId);
    if (record === undefined) throw new NodeError('ExecutionNotFound', `execution not found: ${executionId}`);
    if (record.result !== null && !options.tail) yield* resultLog(record.result);
  }

  async openArchive(executionId: ExecutionId): Promise<OpenedArchive> {
    // The id becomes part of a path.
    const path = isCompleteId(executionId)
      ? join(this.#options.archivesDirectory, `${executionId}.tar.gz`)
      : '';
    const facts = path === '' ? undefined : await stat(path).catch(() => undefined);
    if (facts === undefined)
      throw new NodeError('ExecutionNotFound', `no published results of execution: ${executionId}`);
    return { stream: createReadStream(path), bytes: facts.size };
  }

  /** What a record says. Another node hears it when that is on disk: it may have been written just now. */
  #repeat(to: NodeId, message: RequesterBound): void {
    const { store, post } = this.#modules;
    if (to === this.#options.nodeId) post(to, message);
    // Where the disk fails it is asked again.
    else
      store.flushed().then(
        () => post(to, message),
        () => undefined,
      );
  }

  #takesFrom(from: NodeId): boolean {
    return from === this.#options.nodeId || this.#accepts === 'any' || this.#accepts.includes(from);
  }

  #refuse(from: NodeId, ask: AskForBid, code: Rejection['code'], reason: string): void {
    const asked = { id: ask.executionId, jobId: ask.jobId, requesterId: from };
    this.refused(asked, { kind: 'reject', final: true, code, reason });
  }

  /** Who did not ask has no say; who asks for another's execution is told so. */
  #foreign(from: NodeId, message: ComputeBound): void {
    this.#modules.onRefusal(from, message.type, 'foreign');
    if (message.type !== 'AskForBid') return;
    this.#refuse(from, message, 'invalid', `execution ${message.executionId} belongs to another requester`);
  }

  #asked(from: NodeId, ask: AskForBid, item: Item | undefined, known: LocalExecution | undefined): void {
    const { spine } = this.#modules;
    if (item !== undefined) {
      if (item.station === 'approval') this.#repeat(from, waitingMessage(item.record));
      else if (item.station !== 'settling')
        this.#repeat(from, { ...acceptance(item.record), ...spine.occupancy.outlookOf(item) });
      return;
    }
    if (known !== undefined) {
      // One that has not ended waits for its turn after a restart: it was accepted.
      this.#repeat(from, isLocalTerminal(known.state) ? endingMessage(known) : acceptance(known));
      return;
    }
    if (!this.#takesFrom(from)) {
      this.#modules.onRefusal(from, ask.type, 'untrusted');
      this.#refuse(
        from,
        ask,
        'requester',
        `this node takes no jobs of requester ${from} (--accept-bids-from)`,
      );
      return;
    }
    if (ask.spec === undefined)
      throw new NodeError('MalformedBody', `ask ${ask.executionId} came without a job`);
    // Another node's word for what its job asks of this one is not taken.
    const isOwn = from === this.#options.nodeId;
    spine.intake.ask({
      id: ask.executionId,
      priority: 0,
      jobId: ask.jobId,
      jobVersion: ask.jobVersion,
      requesterId: from,
      spec: ownBytes(ask.spec),
      header: isOwn ? ask.header : undefined,
      facts: isOwn ? ask.facts : undefined,
      dropped: false,
    });
  }

  /** The record may have ended, or be lost: a store in memory forgets, an offer runs out. */
  async #acceptedUnknown(from: NodeId, executionId: ExecutionId): Promise<void> {
    const { store, post } = this.#modules;
    await store.flushed();
    const record = store.get(executionId);
    if (record !== undefined) {
      if (isLocalTerminal(record.state)) post(from, endingMessage(record));
      return;
    }
    const message = `this node knows nothing of execution ${executionId}: its state was lost`;
    post(from, {
      type: 'ComputeError',
      executionId,
      jobId: '',
      error: { code: 'ExecutionLost', message },
      topic: 'Execution',
    });
  }

  #end(item: Item): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#ends.get(item.id);
      if (waiting === undefined) this.#ends.set(item.id, [resolve]);
      else waiting.push(resolve);
    });
  }

  #view(record: LocalExecution): LocalExecutionView {
    const { header } = record;
    const spec = this.#modules.store.spec(header.executionId);
    return {
      executionId: header.executionId,
      jobId: header.jobId,
      requesterId: header.requesterId,
      state: record.state,
      stage: this.#modules.spine.items.get(header.executionId)?.station ?? '',
      attempts: record.attempts,
      createTime: record.createTime,
      updateTime: record.updateTime,
      comment: record.comment,
      job: JSON.parse(new TextDecoder().decode(spec)) as JobSpec,
    };
  }
}

/** Bytes in memory of their own: a part of a frame would keep the whole of it as long as the execution lives. */
function ownBytes(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);
}

function acceptance(record: LocalExecution): BidResult {
  const { executionId, jobId } = record.header;
  return { type: 'BidResult', executionId, jobId, accepted: true, reason: '' };
}
