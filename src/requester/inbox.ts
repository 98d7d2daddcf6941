import type { Clock } from '../core/clock.ts';
import { errorRegistry, isRetryable, NodeError } from '../core/errors.ts';
import type { NodeId } from '../core/ids.ts';
import type {
  BidOutlook,
  BidResult,
  BidWaiting,
  ComputeBound,
  ComputeError,
  ExecutionStarted,
  MessageHandler,
  RefusalListener,
  RequesterBound,
  RunResult,
} from '../core/messages.ts';
import type { RejectCode } from '../core/outcome.ts';
import { isComputeTerminal, isJobTerminal } from '../core/states.ts';
import type { RequesterExecution } from '../store/records.ts';
import type { RequesterStore } from '../store/requester-store.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Broker } from './broker.ts';
import { type Change, GIVEN_UP_DETAIL, LATE_DETAIL, type LiveJob, WAITING_DETAIL } from './change.ts';
import {
  bidRejected,
  bidWaiting,
  endedLate,
  executionAccepted,
  executionCompleted,
  executionFailed,
  executionRunning,
  offerTurnedDown,
  stateUpdate,
} from './events.ts';
import type { Lives } from './lives.ts';
import type { Nodes } from './nodes.ts';
import type { Planner } from './planner.ts';
import { isOwnReason } from './ranking.ts';
import type { Gate } from './scheduler.ts';

/**
 * A missing image is asked for once more although its error is final: registries fail for moments, and another
 * node may hold it (Bacalhau makes two executions of such a job).
 */
const TRIED_AGAIN: ReadonlySet<string> = new Set(['ImageNotFound', 'ExecutionCancelled']);

/** Refusals for want of what the job asks for: a smaller one may find it there. */
const LACKS: ReadonlySet<RejectCode> = new Set(['no_room', 'disk_low']);

/**
 * What compute nodes say. Every message may come twice, late, or for something long forgotten: it is judged by
 * the state of its execution, changes that once, and is acknowledged.
 */
export class Inbox implements MessageHandler<RequesterBound> {
  readonly #store: RequesterStore;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #lives: Lives;
  readonly #nodes: Nodes;
  readonly #planner: Planner;
  readonly #broker: Broker;
  readonly #onNode: (nodeId: NodeId) => void;
  readonly #post: (to: NodeId, message: ComputeBound) => void;
  readonly #onRefusal: RefusalListener;

  constructor(modules: {
    readonly store: RequesterStore;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly lives: Lives;
    readonly nodes: Nodes;
    readonly planner: Planner;
    readonly broker: Broker;
    /** A node has joined, or offers something new. */
    readonly onNode: (nodeId: NodeId) => void;
    /** Sends without the outbox. */
    readonly post: (to: NodeId, message: ComputeBound) => void;
    readonly onRefusal: RefusalListener;
  }) {
    this.#store = modules.store;
    this.#clock = modules.clock;
    this.#logger = modules.logger;
    this.#lives = modules.lives;
    this.#nodes = modules.nodes;
    this.#planner = modules.planner;
    this.#broker = modules.broker;
    this.#onNode = modules.onNode;
    this.#post = modules.post;
    this.#onRefusal = modules.onRefusal;
  }

  /** Resolves when what the message changed is on disk. @throws NodeError StoreFailed, DiskFull: send it again */
  handle(from: NodeId, message: RequesterBound): Promise<void> {
    try {
      switch (message.type) {
        case 'NodeInfo':
          if (message.info.nodeId !== from) this.#onRefusal(from, message.type, 'spoofed');
          else if (this.#nodes.heard(message.info)) this.#onNode(from);
          this.#broker.wake();
          return Promise.resolve();
        case 'RoomAnnounced':
          this.#nodes.announced(from, message);
          this.#broker.wake();
          return Promise.resolve();
        case 'BidResult':
          this.#bid(from, message);
          break;
        case 'BidWaiting':
          this.#waiting(from, message);
          break;
        case 'ExecutionStarted':
          this.#started(from, message);
          break;
        case 'RunResult':
          this.#finished(from, message);
          break;
        case 'ComputeError':
          this.#failed(from, message);
          break;
      }
    } catch (error) {
      // It would be refused for ever: what cannot be applied is told, and acknowledged.
      if (!(error instanceof NodeError && error.code === 'IllegalTransition')) return Promise.reject(error);
      this.#logger.error(
        { err: error, from, type: message.type },
        'a message does not fit the state of its job',
      );
    }
    return this.#store.flushed();
  }

  #bid(from: NodeId, message: BidResult): void {
    const { executionId, jobId, accepted } = message;
    const live = this.#lives.load(jobId);
    const known = live?.executions.get(executionId) ?? this.#store.execution(jobId, executionId);
    const execution = this.#own(from, message.type, known);
    const state = execution?.computeState.type;
    if (live === undefined || execution === undefined || state !== 'AskForBid') {
      if (!accepted) return;
      // An offer for what is wanted no more holds room at its node until it is turned down.
      if (state !== undefined && isUnwanted(state)) {
        const reason = `execution is ${state}`;
        this.#store.transition({
          outbox: [{ to: from, message: { type: 'BidRejected', executionId, reason } }],
        });
      } else if (known === undefined || state === 'Completed') {
        // Strangers may make up as many as they like: nothing is written for them. Nor for a node that has forgotten,
        // in a crash, how its offer went on.
        const reason = `execution is ${state ?? 'unknown'}`;
        this.#post(from, { type: 'BidRejected', executionId, reason });
      }
      return;
    }
    const change = this.#planner.begin(live);
    if (!accepted) {
      this.#refused(change, execution, message);
      return;
    }
    if (isJobTerminal(live.record.state.type) || execution.jobVersion !== live.record.version) {
      const reason = offerTurnedDown.message;
      change.unlistedEvent(execution, offerTurnedDown, 'AskForBid', 'BidRejected');
      change.move(execution, { type: 'BidRejected', message: reason }, { type: 'Stopped', message: reason });
      change.send(execution.nodeId, { type: 'BidRejected', executionId, reason });
      this.#planner.commit(change);
      return;
    }
    this.#accept(change, execution, message);
    change.send(execution.nodeId, { type: 'BidAccepted', executionId });
    this.#planner.commit(change);
    if (live.blocked) this.#broker.wake();
  }

  #waiting(from: NodeId, { type, jobId, executionId, reason, untilMs }: BidWaiting): void {
    const live = this.#lives.load(jobId);
    const execution = this.#own(from, type, live?.executions.get(executionId));
    if (live === undefined || execution?.computeState.type !== 'AskForBid') return;
    const until = new Date(untilMs).toISOString();
    // It is said again whenever the ask is repeated.
    if (execution.computeState.details?.[WAITING_DETAIL] === until) return;
    const change = this.#planner.begin(live);
    const event = bidWaiting(execution.nodeId, reason, until);
    change.executionEvent(execution, event);
    change.move(
      execution,
      { type: 'AskForBid', message: event.message, details: { [WAITING_DETAIL]: until } },
      execution.desiredState,
    );
    const { state } = live.record;
    if (state.type === 'Pending' || state.type === 'Queued') {
      change.setJobState(state.type, event.message, state.details);
    }
    this.#planner.commit(change);
    this.#broker.wake();
  }

  /** Nobody else may speak for the node that an execution was given to. */
  #own(
    from: NodeId,
    type: RequesterBound['type'],
    execution: RequesterExecution | undefined,
  ): RequesterExecution | undefined {
    if (execution === undefined || execution.nodeId === from) return execution;
    this.#onRefusal(from, type, 'foreign');
    return undefined;
  }

  #accept(change: Change, execution: RequesterExecution, outlook: BidOutlook = {}): RequesterExecution {
    const { state } = change.record;
    if (state.type !== 'Running') {
      change.jobEvent(stateUpdate('Running'), state.type, 'Running');
      change.setJobState('Running');
    }
    change.unlistedEvent(execution, executionAccepted, 'AskForBid', 'BidAccepted');
    return change.move(
      execution,
      {
        type: 'BidAccepted',
        message: 'Accepted',
        // A job that starts at once needs no word about it.
        ...(outlook.startsNow === false && {
          details: { StartsNow: 'false', Ahead: String(outlook.ahead ?? 0) },
        }),
      },
      { type: 'Running', message: 'Running' },
    );
  }

  #refused(change: Change, execution: RequesterExecution, { reason, rejection }: BidResult): void {
    const isFinal = rejection?.final ?? true;
    const code = rejection?.code ?? 'invalid';
    change.executionEvent(execution, bidRejected(reason, rejection), 'AskForBid', 'AskForBidRejected');
    change.move(
      execution,
      {
        type: 'AskForBidRejected',
        message: reason,
        details: { RejectCode: code, Final: String(isFinal) },
      },
      { type: 'Stopped', message: 'bid rejected' },
    );
    const nowMs = this.#clock.nowMs();
    const gate = this.#broker.passingGate(isFinal ? null : execution.nodeId);
    change.noteAsked();
    this.#planner.settle(change, gate);
    if (!isFinal && isOwnReason(code)) {
      // The node has room as before: only this job waits.
      this.#broker.wake();
    } else if (!isFinal) {
      const wants = LACKS.has(code) && rejection?.requested !== undefined;
      this.#nodes.room(execution.nodeId).refused(wants ? execution.resources : null, nowMs);
    } else {
      this.#broker.wake();
    }
  }

  #started(from: NodeId, message: ExecutionStarted): void {
    const { jobId, executionId } = message;
    const live = this.#lives.load(this.#lives.ownerOf(executionId) ?? jobId);
    const execution = this.#own(from, message.type, live?.executions.get(executionId));
    if (live === undefined || execution === undefined) return;
    const { type } = execution.computeState;
    if (type !== 'BidAccepted' && type !== 'AskForBid') return;
    const change = this.#planner.begin(live);
    this.#run(change, type === 'AskForBid' ? this.#accept(change, execution) : execution);
    this.#planner.commit(change);
  }

  #run(change: Change, execution: RequesterExecution): RequesterExecution {
    change.executionEvent(execution, executionRunning, 'BidAccepted', 'Running');
    return change.move(execution, { type: 'Running', message: 'Running' }, execution.desiredState);
  }

  #finished(from: NodeId, message: RunResult): void {
    const { jobId, executionId, result, published } = message;
    const live = this.#lives.load(this.#lives.ownerOf(executionId) ?? jobId);
    const execution = this.#own(from, message.type, live?.executions.get(executionId));
    if (live === undefined || execution === undefined) return;
    if (isComputeTerminal(execution.computeState.type)) {
      this.#endedLate(live, execution, `it ended with exit code ${result.ExitCode}`);
      return;
    }
    const change = this.#planner.begin(live);
    const running = this.#catchUp(change, execution);
    if (live.record.type === 'service' || live.record.type === 'daemon') {
      const message = 'execution completed unexpectedly';
      change.executionEvent(
        running,
        { topic: 'Execution', message, details: { IsError: 'true' } },
        running.computeState.type,
        'Failed',
      );
      change.move(
        running,
        { type: 'Failed', message, details: { Retryable: 'true' } },
        { type: 'Stopped', message: 'execution failed' },
        { runOutput: result, published },
      );
      this.#retry(change);
      return;
    }
    change.executionEvent(running, executionCompleted, running.computeState.type, 'Completed');
    change.move(
      running,
      { type: 'Completed', message: executionCompleted.message },
      { type: 'Stopped', message: 'execution completed' },
      { runOutput: result, published },
    );
    this.#planner.settle(change, this.#openGate());
    this.#broker.wake();
  }

  #failed(from: NodeId, message: ComputeError): void {
    const { jobId, executionId, error, topic, result, published } = message;
    const live = this.#lives.load(this.#lives.ownerOf(executionId) ?? jobId);
    const execution = this.#own(from, message.type, live?.executions.get(executionId));
    if (live === undefined || execution === undefined) return;
    if (isComputeTerminal(execution.computeState.type)) {
      this.#endedLate(live, execution, error.message);
      return;
    }
    const change = this.#planner.begin(live);
    const event = executionFailed(topic, error);
    change.executionEvent(execution, event, execution.computeState.type, 'Failed');
    const retryable = isRetryable(error) || TRIED_AGAIN.has(error.code);
    change.move(
      execution,
      {
        type: 'Failed',
        message: error.message,
        details: {
          ErrorCode: error.code,
          Component: errorRegistry[error.code].component,
          Retryable: String(retryable),
        },
      },
      { type: 'Stopped', message: 'execution failed' },
      {
        ...(result === undefined ? {} : { runOutput: result }),
        ...(published === undefined ? {} : { published }),
      },
    );
    this.#retry(change);
  }

  #retry(change: Change): void {
    this.#planner.retry(change, this.#openGate());
    this.#broker.wake();
  }

  /** A run that was given up has ended at its node: the job's history says so, once. */
  #endedLate(live: LiveJob, execution: RequesterExecution, outcome: string): void {
    const { type, message, details } = execution.computeState;
    if (details?.[GIVEN_UP_DETAIL] === undefined || details[LATE_DETAIL] !== undefined) return;
    const change = this.#planner.begin(live);
    change.executionEvent(execution, endedLate(execution.nodeId, outcome));
    change.move(
      execution,
      { type, message, details: { ...details, [LATE_DETAIL]: 'true' } },
      execution.desiredState,
    );
    this.#planner.commit(change);
  }

  /** States that were passed without a word of their own. */
  #catchUp(change: Change, execution: RequesterExecution): RequesterExecution {
    const accepted =
      execution.computeState.type === 'AskForBid' ? this.#accept(change, execution) : execution;
    return accepted.computeState.type === 'BidAccepted' ? this.#run(change, accepted) : accepted;
  }

  #openGate(): Gate {
    return this.#broker.passingGate(null);
  }
}

/** True when an offer for an execution in this state must be turned down. */
function isUnwanted(state: RequesterExecution['computeState']['type']): boolean {
  return isComputeTerminal(state) && state !== 'Completed';
}
