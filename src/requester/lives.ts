import type { ExecutionId, JobId } from '../core/ids.ts';
import { newEvaluationId } from '../core/ids.ts';
import { isComputeTerminal } from '../core/states.ts';
import type { EvaluationRecord, EvaluationTrigger, JobRecord, RequesterExecution } from '../store/records.ts';
import type { RequesterStore } from '../store/requester-store.ts';
import type { LiveJob } from './change.ts';
import { dropOld, isIdle } from './change.ts';

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
 * when its turn comes. So this grows with what the nodes run, not with what has been submitted.
 */
export class Lives {
  readonly #store: RequesterStore;
  readonly #jobs = new Map<JobId, LiveJob>();
  /** Jobs of the executions that have not ended. */
  readonly #owners = new Map<ExecutionId, JobId>();

  constructor(modules: { readonly store: RequesterStore }) {
    this.#store = modules.store;
  }

  get size(): number {
    return this.#jobs.size;
  }

  values(): IterableIterator<LiveJob> {
    return this.#jobs.values();
  }

  /** Only if it is being worked on. */
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
    const ticket = ticketId === undefined ? undefined : this.#store.evaluation(id, ticketId);
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
    if (isIdle(live)) this.#jobs.delete(live.id);
    else this.#jobs.set(live.id, live);
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
    id: record.id,
    record,
    executions: kept,
    ticket: ticket ?? newTicket(record, 'restart', record.modifyTime),
    blocked: ticket?.status === 'blocked',
    pending: ticket?.status === 'pending',
    since: versionStart(record, ticket, executions),
  };
}
