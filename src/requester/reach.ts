import type { Clock, Timer } from '../core/clock.ts';
import { formatDuration } from '../core/duration.ts';
import { errorRegistry } from '../core/errors.ts';
import { type ExecutionId, type JobId, type NodeId, shortId } from '../core/ids.ts';
import { isComputeTerminal } from '../core/states.ts';
import type { RequesterExecution } from '../store/records.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Broker } from './broker.ts';
import {
  type Change,
  type ExecutionStep,
  GIVEN_UP_DETAIL,
  type LiveJob,
  waitsForApproval,
} from './change.ts';
import { askWithdrawn, executionFailed, stopReasons } from './events.ts';
import type { Lives } from './lives.ts';
import type { Nodes } from './nodes.ts';
import type { ChangeListener, Planner } from './planner.ts';

export interface ReachOptions {
  /** A node that is connected has so long to answer an ask. */
  readonly askTimeoutMs: number;
  /** What a node was given waits so long for the node to come back. */
  readonly nodeLostTimeoutMs: number;
}

/** A link that breaks is often back in a moment; asks are worth that much patience. */
const FLICKER_MS = 2000;
/** Executions ended in one turn of the loop. */
const SLICE = 128;

/** What one node has been given and has not ended. */
interface Work {
  /** Asks without an answer, the oldest first. */
  readonly asks: Map<ExecutionId, { readonly jobId: JobId; readonly sinceMs: number }>;
  /** Everything else: it may run there. */
  readonly held: Map<ExecutionId, JobId>;
}

/**
 * What follows when a node does not answer, or can not be reached. Asks go elsewhere soon: nothing has begun. What
 * a node has accepted stays its own for a long while, since its result arrives when the link is back; after that it
 * is lost, runs elsewhere, and the node is told to cancel it should it ever come back.
 */
export class Reach implements ChangeListener {
  readonly #options: ReachOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #lives: Lives;
  readonly #nodes: Nodes;
  readonly #planner: Planner;
  readonly #broker: Broker;
  readonly #work = new Map<NodeId, Work>();
  readonly #away = new Map<NodeId, Timer[]>();
  #askTimer: Timer | undefined;
  #closed = false;

  constructor(
    options: ReachOptions,
    modules: {
      readonly clock: Clock;
      readonly logger: Logger;
      readonly lives: Lives;
      readonly nodes: Nodes;
      readonly planner: Planner;
      readonly broker: Broker;
    },
  ) {
    this.#options = options;
    this.#clock = modules.clock;
    this.#logger = modules.logger;
    this.#lives = modules.lives;
    this.#nodes = modules.nodes;
    this.#planner = modules.planner;
    this.#broker = modules.broker;
  }

  changed(_live: LiveJob, _was: unknown, steps: readonly ExecutionStep[]): void {
    for (const { record } of steps) this.#note(record);
  }

  /** An execution of an earlier life that has not ended. */
  restored(execution: RequesterExecution): void {
    this.#note(execution);
  }

  /** Nodes with work of an earlier life have as long to show up as nodes that are lost now. */
  begin(): void {
    for (const nodeId of this.#work.keys()) {
      if (!this.#nodes.isConnected(nodeId)) this.#watch(nodeId, this.#options.askTimeoutMs);
    }
  }

  /** The node is heard of again. */
  connected(nodeId: NodeId): void {
    for (const timer of this.#away.get(nodeId) ?? []) timer.cancel();
    this.#away.delete(nodeId);
    // Its asks are sent again: it has as long as for new ones.
    const asks = this.#work.get(nodeId)?.asks ?? new Map();
    const sinceMs = this.#clock.nowMs();
    for (const [id, { jobId }] of asks) asks.set(id, { jobId, sinceMs });
    this.#armAsks();
  }

  /** The last link to the node has ended. */
  disconnected(nodeId: NodeId): void {
    if (this.#work.has(nodeId) && !this.#away.has(nodeId)) this.#watch(nodeId, FLICKER_MS);
  }

  /** Jobs with executions on a node that have not ended. */
  jobsAt(nodeId: NodeId): JobId[] {
    const work = this.#work.get(nodeId);
    if (work === undefined) return [];
    return [...new Set([...work.held.values(), ...[...work.asks.values()].map(({ jobId }) => jobId)])];
  }

  close(): void {
    this.#closed = true;
    this.#askTimer?.cancel();
    for (const timers of this.#away.values()) for (const timer of timers) timer.cancel();
    this.#away.clear();
  }

  #note(execution: RequesterExecution): void {
    const { id, jobId, nodeId, computeState } = execution;
    const known = this.#work.get(nodeId);
    if (isComputeTerminal(computeState.type)) {
      known?.asks.delete(id);
      known?.held.delete(id);
      if (known?.asks.size === 0 && known.held.size === 0) this.#work.delete(nodeId);
      return;
    }
    const work = known ?? { asks: new Map(), held: new Map() };
    if (known === undefined) this.#work.set(nodeId, work);
    if (computeState.type === 'AskForBid' && !waitsForApproval(execution)) {
      if (work.asks.has(id)) return;
      work.asks.set(id, { jobId, sinceMs: this.#clock.nowMs() });
      this.#armAsks();
    } else {
      work.asks.delete(id);
      work.held.set(id, jobId);
    }
  }

  #armAsks(): void {
    if (this.#askTimer !== undefined || this.#closed) return;
    let firstMs = Number.POSITIVE_INFINITY;
    for (const [nodeId, { asks }] of this.#work) {
      if (!this.#nodes.isConnected(nodeId)) continue;
      for (const { sinceMs } of asks.values()) {
        firstMs = Math.min(firstMs, sinceMs);
        break;
      }
    }
    if (firstMs === Number.POSITIVE_INFINITY) return;
    this.#askTimer = this.#clock.at(firstMs + this.#options.askTimeoutMs, () => {
      this.#askTimer = undefined;
      this.#passOver();
    });
  }

  /** Nodes that are connected and have said nothing to an ask: others are asked. */
  #passOver(): void {
    const dueMs = this.#clock.nowMs() - this.#options.askTimeoutMs;
    const limit = formatDuration(this.#options.askTimeoutMs);
    for (const [nodeId, { asks }] of [...this.#work]) {
      if (!this.#nodes.isConnected(nodeId)) continue;
      const overdue = [...asks].filter(([, { sinceMs }]) => sinceMs <= dueMs);
      if (overdue.length === 0) continue;
      const reason = `node ${shortId(nodeId)} gave no answer in ${limit}`;
      this.#logger.warn({ nodeId, asks: overdue.length }, `a node did not answer asks in ${limit}`);
      for (const [id, { jobId }] of overdue) this.#withdraw(jobId, id, 'no_answer', reason);
      // Until it says that it has room, or much later, it is asked nothing more.
      this.#nodes.room(nodeId).refused(null, this.#clock.nowMs());
    }
    this.#armAsks();
  }

  #watch(nodeId: NodeId, asksAfterMs: number): void {
    const now = this.#clock.nowMs();
    const run = (what: Promise<void>): void => {
      what.catch((error: unknown) =>
        this.#logger.error({ err: error, nodeId }, 'executions of a lost node could not be ended'),
      );
    };
    this.#away.set(nodeId, [
      this.#clock.at(now + asksAfterMs, () => run(this.#moveAsks(nodeId))),
      this.#clock.at(now + this.#options.nodeLostTimeoutMs, () => run(this.#giveUp(nodeId))),
    ]);
  }

  /** Asks at a node that is away are withdrawn. */
  async #moveAsks(nodeId: NodeId): Promise<void> {
    const asks = [...(this.#work.get(nodeId)?.asks ?? [])];
    const reason = `node ${shortId(nodeId)} is not connected`;
    await this.#inSlices(nodeId, asks, ([id, { jobId }]) => {
      // An ops or daemon job wants this very node: its ask waits for it.
      const type = this.#lives.load(jobId)?.record.type;
      if (type === 'batch' || type === 'service') this.#withdraw(jobId, id, 'unreachable', reason);
    });
  }

  async #giveUp(nodeId: NodeId): Promise<void> {
    const work = this.#work.get(nodeId);
    const given = [...(work?.asks ?? [])].map(([id, { jobId }]) => [id, jobId] as const);
    const all = [...given, ...(work?.held ?? [])];
    if (all.length === 0) return;
    const limit = formatDuration(this.#options.nodeLostTimeoutMs);
    this.#logger.warn({ nodeId, executions: all.length }, `a node is away for ${limit}; its work is lost`);
    const message = `node ${shortId(nodeId)} has been out of reach for ${limit}: what it was given counts as lost`;
    await this.#inSlices(nodeId, all, ([id, jobId]) => this.#lose(jobId, id, message));
  }

  /** Ends early when the node comes back: what is left stays its own. */
  async #inSlices<T>(nodeId: NodeId, all: readonly T[], each: (one: T) => void): Promise<void> {
    for (const [index, one] of all.entries()) {
      if (index > 0 && index % SLICE === 0) await new Promise((resolve) => setImmediate(resolve));
      if (this.#closed || !this.#away.has(nodeId)) return;
      each(one);
    }
  }

  #withdraw(jobId: JobId, id: ExecutionId, code: 'no_answer' | 'unreachable', reason: string): void {
    this.#change(jobId, id, (change, execution) => {
      if (execution.computeState.type !== 'AskForBid') return;
      change.executionEvent(execution, askWithdrawn(reason, code), 'AskForBid', 'AskForBidRejected');
      change.move(
        execution,
        {
          type: 'AskForBidRejected',
          message: `ask withdrawn: ${reason}`,
          details: { RejectCode: code, Final: 'false' },
        },
        { type: 'Stopped', message: 'ask withdrawn' },
      );
      change.send(execution.nodeId, {
        type: 'CancelExecution',
        executionId: id,
        reason: stopReasons.noAnswer,
      });
      change.noteAsked();
      this.#planner.settle(change, this.#broker.passingGate(execution.nodeId));
    });
  }

  #lose(jobId: JobId, id: ExecutionId, message: string): void {
    this.#change(jobId, id, (change, execution) => {
      const { type } = execution.computeState;
      const error = { code: 'ExecutionLost', message } as const;
      change.executionEvent(execution, executionFailed('Execution', error), type, 'Failed');
      change.move(
        execution,
        {
          type: 'Failed',
          message,
          details: {
            ErrorCode: error.code,
            Component: errorRegistry[error.code].component,
            Retryable: 'true',
            [GIVEN_UP_DETAIL]: 'true',
          },
        },
        { type: 'Stopped', message: 'execution lost' },
      );
      change.send(execution.nodeId, {
        type: 'CancelExecution',
        executionId: id,
        reason: stopReasons.nodeLost,
      });
      this.#planner.retry(change, this.#broker.passingGate(execution.nodeId));
      this.#broker.wake();
    });
  }

  #change(
    jobId: JobId,
    id: ExecutionId,
    apply: (change: Change, execution: RequesterExecution) => void,
  ): void {
    const live = this.#lives.load(jobId);
    const execution = live?.executions.get(id);
    if (live === undefined || execution === undefined || isComputeTerminal(execution.computeState.type))
      return;
    apply(this.#planner.begin(live), execution);
  }
}
