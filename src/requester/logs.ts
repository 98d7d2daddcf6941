import { NodeError } from '../core/errors.ts';
import type { ExecutionId, NodeId } from '../core/ids.ts';
import type { LogChunk, LogOptions, LogPort } from '../core/ports.ts';
import { type ComputeState, isComputeTerminal, isJobTerminal } from '../core/states.ts';
import type { JobRecord, RequesterExecution } from '../store/records.ts';
import type { RequesterStore } from '../store/requester-store.ts';
import { isExecution } from './lookup.ts';
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

function failure(jobId: string, why: string): NodeError {
  return new NodeError('ExecutionNotFound', `failed to open log stream for job ${jobId}: ${why}`);
}

/** Finds the execution whose output a reader wants, and reads it where it is. */
export class Logs {
  readonly #store: RequesterStore;
  readonly #watchers: Watchers;
  readonly #port: (nodeId: NodeId) => LogPort | undefined;

  constructor(modules: {
    readonly store: RequesterStore;
    readonly watchers: Watchers;
    /** Where the logs of a node's executions are read; undefined when it is out of reach. */
    readonly logs: (nodeId: NodeId) => LogPort | undefined;
  }) {
    this.#store = modules.store;
    this.#watchers = modules.watchers;
    this.#port = modules.logs;
  }

  /**
   * Output of one execution: the given one, else the most recently changed that was not discarded, else the
   * most recent that ran. A follower may come before there is one: it waits until one runs or the job ends.
   * @throws NodeError ExecutionNotFound
   */
  async *read(
    job: JobRecord,
    executionId: ExecutionId,
    options: LogOptions,
    signal: AbortSignal,
  ): AsyncIterable<LogChunk> {
    for (;;) {
      const execution = this.#choose(job, executionId);
      if (execution !== undefined && STARTED.has(execution.computeState.type)) {
        let seen = false;
        try {
          for await (const chunk of this.#open(execution, options, signal)) {
            seen = true;
            yield chunk;
          }
          return;
        } catch (error) {
          const isMissing = error instanceof NodeError && error.code === 'ExecutionNotFound';
          if (!isMissing || seen || signal.aborted) throw error;
        }
        const now = this.#store.execution(job.id, execution.id) ?? execution;
        if (isComputeTerminal(now.computeState.type)) {
          if (now.runOutput === null) throw this.#missing(job, executionId);
          yield* stored(now, options);
          return;
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

  #choose(job: JobRecord, executionId: ExecutionId): RequesterExecution | undefined {
    const all = this.#store.executions(job.id);
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

  #open(execution: RequesterExecution, options: LogOptions, signal: AbortSignal): AsyncIterable<LogChunk> {
    const port = this.#port(execution.nodeId);
    if (port === undefined) {
      throw new NodeError('ExecutionNotFound', `node ${execution.nodeId} is out of reach`);
    }
    return port.logs(execution.id, options, signal);
  }
}

/** The beginning of the output that came with the result: what is left when the node's own copy is gone. */
function* stored({ runOutput }: RequesterExecution, options: LogOptions): Iterable<LogChunk> {
  if (runOutput === null || options.tail) return;
  const parts: [LogChunk['stream'], string, boolean][] = [
    ['stdout', runOutput.Stdout, runOutput.StdoutTruncated],
    ['stderr', runOutput.stderr, runOutput.StderrTruncated],
  ];
  for (const [stream, text, isCut] of parts) {
    if (text !== '') yield { stream, text };
    if (isCut) {
      yield { stream, text: `\n[${stream} is cut here: only its beginning was kept with the job]\n` };
    }
  }
}
