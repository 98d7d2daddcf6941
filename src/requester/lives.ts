import type { ExecutionId, JobId } from '../core/ids.ts';
import { newEvaluationId, ownText } from '../core/ids.ts';
import { isComputeTerminal } from '../core/states.ts';
import type { EvaluationRecord, EvaluationTrigger, JobRecord, RequesterExecution } from '../store/records.ts';
import type { RequesterStore } from '../store/requester-store.ts';
import type { LiveJob } from './change.ts';
import { dropOld, isIdle, isResting } from './change.ts';

/** Name of the detail of a queued job's state that says which evaluation it waits in. */
export const TICKET_DETAIL = 'EvaluationID';

/** A wish to look at the job, not stored yet. */
export function newTicket(record: JobRecord, trigger: EvaluationTrigger, time: number): EvaluationRecord {
  return {
    id: newEvaluationId(),
    jobId: record.id,
    namespace: record.namespace,
    type: record.type,
    priority: record.priority,
    trigger,
    status: 'pending',
    comment: '',
    createTime: time,
  };
}

/**
 * When the present version of a job was asked for, microseconds. Exact for the first version; for later ones
 * the earliest trace of it that is still there.
 */
export function versionStart(
  record: JobRecord,
  ticket: EvaluationRecord | undefined,
  executions: Iterable<RequesterExecution>,
): number {
  if (record.version === 1) return record.createTime;
  let start = Math.min(ticket?.createTime ?? record.modifyTime, record.modifyTime);
  for (const { jobVersion, createTime } of executions) {
    if (jobVersion === record.version) start = Math.min(start, createTime);
  }
  return start;
}

/**
 * The jobs being worked on. A job that waits for room is not among them: it is in the store, and read again
 * when its turn comes. Nor are all that nodes have taken up, which may be many and long: those that have rested longest
 * are put away. What stays of them are the ids of their executions.
 */
export class Lives {
  readonly #mostResting: number;
  readonly #store: RequesterStore;
  readonly #jobs = new Map<JobId, LiveJob>();
  /** Those of them that rest, in the order in which they came to it. */
  readonly #resting = new Set<JobId>();
  /** Jobs of the executions that have not ended. */
  readonly #owners = new Map<ExecutionId, JobId>();
  #hasTimedAway = false;

  /** `restingJobs`: most that are kept of those whose nodes have the next word. */
  constructor(options: { readonly restingJobs: number }, modules: { readonly store: RequesterStore }) {
    this.#mostResting = options.restingJobs;
    this.#store = modules.store;
  }

  get size(): number {
    return this.#jobs.size;
  }

  /** Executions that have not ended, those of jobs that were put away among them. */
  get executions(): number {
    return this.#owners.size;
  }

  /** True when jobs with a timeout were put away, ever: `values` has not all of them. */
  get hasTimedAway(): boolean {
    return this.#hasTimedAway;
  }

  /** Those in memory. */
  values(): IterableIterator<LiveJob> {
    return this.#jobs.values();
  }

  /** Only if it is in memory. */
  peek(id: JobId): LiveJob | undefined {
    return this.#jobs.get(id);
  }

  /** From memory or the store. What comes from the store is kept only when a change of it is written. */
  load(id: JobId): LiveJob | undefined {
    const known = this.#jobs.get(id);
    if (known !== undefined) return known;
    const record = this.#store.job(id);
    if (record === undefined) return undefined;
    const ticketId = record.state.type === 'Queued' ? record.state.details?.[TICKET_DETAIL] : undefined;
    const ticket = ticketId === undefined ? undefined : this.#store.evaluation(record, ticketId);
    return makeLive(record, ticket, this.#store.executions(id));
  }

  /** The job of an execution that has not ended: a node that has lost its state knows the execution only. */
  ownerOf(executionId: ExecutionId): JobId | undefined {
    return this.#owners.get(executionId);
  }

  /** After a change: keeps the job, or forgets it when nothing more will be done about it for now. */
  keep(live: LiveJob): void {
    for (const { id, computeState } of live.executions.values()) {
      if (isComputeTerminal(computeState.type)) this.#owners.delete(id);
      else this.#owners.set(id, live.id);
    }
    if (live.record.version > 1) dropOld(live);
    if (isIdle(live)) {
      this.#drop(live.id);
      return;
    }
    this.#jobs.set(live.id, live);
    if (!isResting(live)) {
      this.#resting.delete(live.id);
      return;
    }
    this.#resting.add(live.id);
    if (this.#resting.size > this.#mostResting) this.#putOneAway();
  }

  #putOneAway(): void {
    for (const id of this.#resting) {
      if ((this.#jobs.get(id)?.record.totalTimeoutMs ?? 0) > 0) this.#hasTimedAway = true;
      this.#drop(id);
      return;
    }
  }

  #drop(id: JobId): void {
    this.#jobs.delete(id);
    this.#resting.delete(id);
  }
}

/** A job as the store has it. Old executions that have ended are left out. */
export function makeLive(
  record: JobRecord,
  ticket: EvaluationRecord | undefined,
  executions: readonly RequesterExecution[],
): LiveJob {
  const kept = new Map<ExecutionId, RequesterExecution>();
  for (const execution of executions) {
    const isOld = execution.jobVersion !== record.version;
    if (!(isOld && isComputeTerminal(execution.computeState.type))) kept.set(execution.id, execution);
  }
  return {
    id: ownText(record.id),
    record,
    executions: kept,
    ticket: ticket ?? newTicket(record, 'restart', record.modifyTime),
    blocked: ticket?.status === 'blocked',
    pending: ticket?.status === 'pending',
    since: versionStart(record, ticket, executions),
  };
}
