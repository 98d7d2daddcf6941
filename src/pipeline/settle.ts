import type { Clock } from '../core/clock.ts';
import type { ErrorCode, ErrorData } from '../core/errors.ts';
import type { NodeId } from '../core/ids.ts';
import type { SpecConfig } from '../core/job.ts';
import type { RequesterBound } from '../core/messages.ts';
import type { RejectCode } from '../core/outcome.ts';
import type { ComputeStore } from '../store/compute-store.ts';
import type { HistoryInput, LocalExecution } from '../store/records.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Admission } from './admission.ts';
import { executionRow, type Topic } from './history.ts';
import type { Item } from './item.ts';
import { cancelled } from './verdicts.ts';

/** How an execution ended. */
export type Ending =
  | { readonly state: 'Completed'; readonly published: SpecConfig }
  | {
      readonly state: 'Failed' | 'Cancelled';
      readonly error: ErrorData;
      readonly published?: SpecConfig;
    };

export interface SettleModules {
  readonly nodeId: NodeId;
  readonly store: ComputeStore;
  readonly admission: Admission;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The terminal state is durable: the item is gone, its folder may go. */
  readonly onGone: (item: Item) => void;
}

/** The one place where executions end: terminal state and result message in one transaction, exactly once. */
export class Settle {
  readonly #modules: SettleModules;

  constructor(modules: SettleModules) {
    this.#modules = modules;
  }

  /** Never refuses. Capacity is free when it returns; `onGone` follows when the record is on disk. */
  end(item: Item, ending: Ending): void {
    if (item.station === 'settling') return;
    item.station = 'settling';
    for (const timer of item.timers ?? []) timer.cancel();
    item.timers = undefined;
    const { store, admission, clock, nodeId } = this.#modules;
    const time = clock.nowMicros();
    const before = item.record;
    const history: HistoryInput[] = [];
    const unrecordedRun = item.ran && before.state === 'BidAccepted';
    if (unrecordedRun) {
      history.push(
        executionRow(item, {
          time,
          nodeId,
          from: 'BidAccepted',
          to: 'Running',
          topic: 'Execution',
          message: 'Running',
        }),
      );
    }
    history.push(endingRow(item, ending, time, nodeId));
    const record: LocalExecution = {
      ...before,
      state: ending.state,
      wait: null,
      version: before.version + 1,
      updateTime: time,
      attempts: before.attempts + (unrecordedRun ? 1 : 0),
      comment: ending.state === 'Completed' ? '' : ending.error.message,
      result: item.result ?? null,
      published: ending.published ?? null,
      error: ending.state === 'Completed' ? null : ending.error,
    };
    item.record = record;
    store.transition({
      from: before.state,
      record,
      history,
      outbox: [{ to: item.header.requesterId, message: endingMessage(record) }],
    });
    admission.releaseAll(item);
    this.#leave(item, store.flushed());
  }

  /**
   * A bid that its requester wants no more. Nothing of an offer is kept, and nobody is told who does not know; of one
   * that a person was asked about it is kept what became of it. Resolves when that is on disk.
   */
  turnedDown(item: Item, why: string): Promise<void> {
    if (item.station === 'approval' || item.record.version > 1) {
      this.end(item, cancelled(why));
      return this.#modules.store.flushed();
    }
    const { store, admission, clock, nodeId } = this.#modules;
    item.station = 'settling';
    const row = endingRow(item, cancelled(why), clock.nowMicros(), nodeId);
    admission.releaseAll(item);
    const forgotten = store.forget(item.id, row);
    this.#leave(item, forgotten);
    return forgotten;
  }

  #leave(item: Item, stored: Promise<void>): void {
    const { logger } = this.#modules;
    stored.then(
      () => this.#modules.onGone(item),
      (error: unknown) => {
        // The record is what counts after a restart; until then the item stays visible as settling.
        logger.error({ err: error, executionId: item.id }, 'the end of an execution could not be stored');
      },
    );
  }
}

function endingRow(item: Item, ending: Ending, time: number, nodeId: NodeId): HistoryInput {
  const from = item.ran && item.record.state === 'BidAccepted' ? 'Running' : item.record.state;
  if (ending.state === 'Completed') {
    return executionRow(item, {
      time,
      nodeId,
      from,
      to: 'Completed',
      topic: 'Execution',
      message: 'Completed successfully',
    });
  }
  const { error, state } = ending;
  return executionRow(item, {
    time,
    nodeId,
    from,
    to: state,
    topic: topicOf(error.code),
    message: error.message,
    details: { ...error.details, IsError: 'true', ErrorCode: error.code },
  });
}

/** What the requester is told of an ended execution. Also the answer to an ask for one that has ended here. */
export function endingMessage(record: LocalExecution): RequesterBound {
  const { executionId, jobId } = record.header;
  const code = record.error?.details?.['RejectCode'];
  if (code !== undefined) return refusal(record, code as RejectCode);
  if (record.state === 'Completed') {
    return {
      type: 'RunResult',
      executionId,
      jobId,
      result: record.result ?? EMPTY_RESULT,
      published: record.published ?? { Type: '' },
    };
  }
  return {
    type: 'ComputeError',
    executionId,
    jobId,
    error: record.error ?? {
      code: 'ExecutionLost',
      message: `execution ${executionId} ended as ${record.state}`,
    },
    topic: topicOf(record.error?.code),
    ...(record.result === null ? {} : { result: record.result }),
    ...(record.published === null ? {} : { published: record.published }),
  };
}

/** The end of a bid that waited for approval in vain. */
function refusal(record: LocalExecution, code: RejectCode): RequesterBound {
  const { executionId, jobId } = record.header;
  const { message = '', details = {} } = record.error ?? {};
  const { Requested, Available } = details;
  return {
    type: 'BidResult',
    executionId,
    jobId,
    accepted: false,
    reason: message,
    rejection: {
      code,
      final: details['Final'] === 'true',
      ...(Requested === undefined ? {} : { requested: Requested }),
      ...(Available === undefined ? {} : { available: Available }),
    },
  };
}

const EMPTY_RESULT = {
  Stdout: '',
  StdoutTruncated: false,
  stderr: '',
  StderrTruncated: false,
  ExitCode: 0,
  ErrorMsg: '',
} as const;

/** Where in an execution's life an error belongs, in the words of the event catalogue. */
function topicOf(code: ErrorCode | undefined): Topic {
  switch (code) {
    case 'ExecutionTimedOut':
      return 'Exec Timeout';
    case 'ImageNotFound':
    case 'ImagePullFailed':
      return 'Exec Scanning';
    case 'InputInvalid':
    case 'InputUnavailable':
    case 'InputTooLarge':
    case 'InputForbidden':
      return 'Downloading Inputs';
    case 'PublishFailed':
      return 'Publishing Results';
    default:
      return 'Execution';
  }
}
