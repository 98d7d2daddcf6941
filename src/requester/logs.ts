import type { Clock } from '../core/clock.ts';
import { NodeError } from '../core/errors.ts';
import { type ExecutionId, type NodeId, shortId } from '../core/ids.ts';
import type { LogChunk, LogOptions, LogPort } from '../core/ports.ts';
import { resultLog } from '../core/result-log.ts';
import { type ComputeState, isComputeTerminal, isJobTerminal } from '../core/states.ts';
import type { JobRecord, RequesterExecution } from '../store/records.ts';
import type { RequesterStore } from '../store/requester-store.ts';
import { isExecution } from './lookup.ts';
import type { JobLogOptions } from './service.ts';
import type { Watchers } from './watchers.ts';

/** Later ones are better to show: what ran, rather than what was only asked for. */
const STARTED: ReadonlySet<ComputeState> = new Set([
  'BidAccepted',
  'Running',
  'Publishing',
  'Completed',
  'Failed',
  'Cancelled',
]);
const DISCARDED: ReadonlySet<ComputeState> = new Set([
  'AskForBidRejected',
  'BidRejected',
  'Failed',
  'Cancelled',
]);

/** How often a follower looks for a node that is out of reach. */
const LOOK_AGAIN_MS = 1000;

function failure(jobId: string, why: string): NodeError {
  return new NodeError('ExecutionNotFound', `failed to open log stream for job ${jobId}: ${why}`);
}

/** How far a reader has come in the output of one execution: a broken link is taken up there again. */
class Position {
  readonly executionId: ExecutionId;
  readonly #seen = { stdout: 0, stderr: 0 };
  #skip = { stdout: 0, stderr: 0 };

  constructor(executionId: ExecutionId) {
    this.executionId = executionId;
  }

  get isStart(): boolean {
    return this.#seen.stdout + this.#seen.stderr === 0;
  }

  /** The output is read from its beginning once more. */
  rewind(): void {
    this.#skip = { ...this.#seen };
  }

  /** What of a chunk has not been read before. */
  fresh({ stream, text }: LogChunk): LogChunk | undefined {
    const known = Math.min(this.#skip[stream], text.length);
    this.#skip[stream] -= known;
    if (known === text.length) return undefined;
    this.#seen[stream] += text.length - known;
    return known === 0 ? { stream, text } : { stream, text: text.slice(known) };
  }
}

/** Finds the execution whose output a reader wants, and reads it where it is. */
export class Logs {
  readonly #store: RequesterStore;
  readonly #clock: Clock;
  readonly #watchers: Watchers;
  readonly #port: (nodeId: NodeId) => LogPort | undefined;

  constructor(modules: {
    readonly store: RequesterStore;
    readonly clock: Clock;
    readonly watchers: Watchers;
    /** Where the logs of a node's executions are read; undefined when it is out of reach. */
    readonly logs: (nodeId: NodeId) => LogPort | undefined;
  }) {
    this.#store = modules.store;
    this.#clock = modules.clock;
    this.#watchers = modules.watchers;
    this.#port = modules.logs;
  }

  /**
   * Output of one execution: the given one, else the most recently changed that was not discarded, else the
   * most recent that ran; of one version where that is asked. A follower may come before there is one: it waits until one runs or the job ends. It goes
   * on where it was when the node that runs the job comes back after a broken link.
   * @throws NodeError ExecutionNotFound, NodeOutOfReach
   */
  async *read(
    job: JobRecord,
    executionId: ExecutionId,
    options: JobLogOptions,
    signal: AbortSignal,
  ): AsyncIterable<LogChunk> {
    let position = new Position('');
    for (;;) {
      const execution = this.#choose(job, executionId, options.jobVersion ?? 0);
      if (execution !== undefined && STARTED.has(execution.computeState.type)) {
        if (position.executionId !== execution.id) position = new Position(execution.id);
        let broken: Error | undefined;
        try {
          yield* this.#open(execution, options, signal, position);
          return;
        } catch (error) {
          const isMissing = error instanceof NodeError && error.code === 'ExecutionNotFound';
          if (signal.aborted || (isMissing && !position.isStart)) throw error;
          if (!isMissing) broken = error instanceof Error ? error : new Error(String(error));
        }
        const now = this.#store.execution(job.id, execution.id) ?? execution;
        if (isComputeTerminal(now.computeState.type)) {
          if (now.runOutput === null) throw broken ?? this.#missing(job, executionId);
          position.rewind();
          for (const chunk of options.tail ? [] : resultLog(now.runOutput)) {
            const fresh = position.fresh(chunk);
            if (fresh !== undefined) yield fresh;
          }
          return;
        }
        if (broken !== undefined) {
          if (!options.follow) throw broken;
          await this.#pause(job, signal);
          continue;
        }
        // Accepted, but its node has not begun. What happened during the attempt is looked at at once.
        if (now.revision !== execution.revision) continue;
      }
      const isLive = !isJobTerminal((this.#store.job(job.id) ?? job).state.type);
      const isComing = execution === undefined || !isComputeTerminal(execution.computeState.type);
      if (!options.follow || !isLive || !isComing) throw this.#missing(job, executionId);
      await this.#watchers.next(job.id, signal);
    }
  }

  #missing(job: JobRecord, executionId: ExecutionId): NodeError {
    if (executionId !== '')
      return failure(job.id, `unable to find execution ${executionId} in job ${job.id}`);
    return failure(job.id, `no executions found for job ${job.id}`);
  }

  #choose(job: JobRecord, executionId: ExecutionId, version: number): RequesterExecution | undefined {
    const all = this.#store
      .executions(job.id)
      .filter(({ jobVersion }) => version === 0 || jobVersion === version);
    if (executionId !== '') {
      const found =
        all.find(({ id }) => id === executionId) ?? all.find(({ id }) => isExecution(id, executionId));
      if (found === undefined) throw this.#missing(job, executionId);
      return found;
    }
    all.sort((a, b) => b.modifyTime - a.modifyTime);
    return (
      all.find(({ computeState }) => !DISCARDED.has(computeState.type)) ??
      all.find(({ computeState }) => STARTED.has(computeState.type))
    );
  }

  async *#open(
    { id, nodeId }: RequesterExecution,
    options: LogOptions,
    signal: AbortSignal,
    position: Position,
  ): AsyncIterable<LogChunk> {
    const port = this.#port(nodeId);
    if (port === undefined) throw outOfReach(nodeId);
    position.rewind();
    // Who has read some of it reads on from there, whatever was asked for first.
    const tail = options.tail && position.isStart;
    for await (const chunk of port.logs(id, { follow: options.follow, tail }, signal)) {
      const fresh = position.fresh(chunk);
      if (fresh !== undefined) yield fresh;
    }
  }

  /** Until something happens to the job, or its node may be back. */
  async #pause(job: JobRecord, signal: AbortSignal): Promise<void> {
    const waited = new AbortController();
    const timer = this.#clock.at(this.#clock.nowMs() + LOOK_AGAIN_MS, () => waited.abort());
    try {
      await this.#watchers.next(job.id, AbortSignal.any([signal, waited.signal]));
    } catch (error) {
      if (!waited.signal.aborted) throw error;
    } finally {
      timer.cancel();
    }
  }
}

/** The node is not connected. */
export function outOfReach(nodeId: NodeId): NodeError {
  return new NodeError('NodeOutOfReach', `node ${shortId(nodeId)} is not connected to this one`);
}
