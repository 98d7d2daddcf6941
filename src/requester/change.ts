import { ById } from '../core/by-id.ts';
import { type ExecutionId, type JobId, type NodeId, newExecutionId } from '../core/ids.ts';
import type { ComputeBound, OutboxMessage } from '../core/messages.ts';
import {
  type ComputeState,
  type DesiredState,
  isComputeTerminal,
  isJobTerminal,
  type JobState,
} from '../core/states.ts';
import type {
  EvaluationRecord,
  HistoryInput,
  JobRecord,
  RequesterExecution,
  StateText,
} from '../store/records.ts';
import type { JobChange } from '../store/requester-store.ts';
import {
  evaluationRow,
  executionRequested,
  executionRow,
  executionStopped,
  type JobEvent,
  jobRow,
} from './events.ts';

/** A job in memory: all that deciding on it takes. Changed by Change.apply only. */
export interface LiveJob {
  readonly id: JobId;
  record: JobRecord;
  /** Those of the present version, and older ones that have not ended. */
  readonly executions: Map<ExecutionId, RequesterExecution>;
  /** The wish this job is being worked on for; the same one as long as the job waits to be started. */
  ticket: EvaluationRecord;
  /** The ticket stands in the store as blocked. */
  blocked: boolean;
  /** The ticket stands in the store as pending. */
  pending: boolean;
  /** When this version was asked for, microseconds. */
  since: number;
}

type Draft = { -readonly [Field in keyof JobRecord]: JobRecord[Field] };

/** A step of one execution; `from` is null when it is new. */
export interface ExecutionStep {
  readonly from: ComputeState | null;
  /** The execution as it was; undefined when it is new. */
  readonly before?: RequesterExecution | undefined;
  /** It was known before that its node waits for an approval. */
  readonly waited?: boolean;
  readonly record: RequesterExecution;
}

/** Detail of an ask that waits for its node's operator: until when. */
export const WAITING_DETAIL = 'WaitingUntil';

/** Detail of a run that was given up because its node was out of reach: it may still end there. */
export const GIVEN_UP_DETAIL = 'GivenUp';
/** Detail of such a run whose end was heard of after all. */
export const LATE_DETAIL = 'EndedLate';

/** True for an ask that its node has put before its operator: it is answered, but not decided. */
export function waitsForApproval({ computeState }: RequesterExecution): boolean {
  return computeState.type === 'AskForBid' && computeState.details?.[WAITING_DETAIL] !== undefined;
}

/** True for a wish that has a row in the store. */
function isKept({ status }: EvaluationRecord): boolean {
  return status === 'blocked' || status === 'pending';
}

function stateText<S>(type: S, message: string, details: StateText<S>['details']): StateText<S> {
  return details === undefined ? { type, message } : { type, message, details };
}

/**
 * One atomic change of one job in the making. What it shows is the job as it will be; nothing outside it
 * changes before it has been written.
 */
export class Change {
  readonly live: LiveJob;
  readonly time: number;
  record: JobRecord;
  ticket: EvaluationRecord;
  blocked: boolean;
  pending: boolean;
  since: number;
  readonly #steps = new ById<ExecutionStep>(({ record }) => record.id);
  readonly #nodeId: NodeId;
  readonly #isNew: boolean;
  readonly #history: HistoryInput[] = [];
  readonly #outbox: OutboxMessage[] = [];
  /** The last word of each. */
  readonly #evaluations: EvaluationRecord[] = [];
  /** The record as it will be, once something in it differs: one copy a change. */
  #draft: Draft | undefined;
  #spec: Uint8Array | undefined;

  /** `isNew`: the job is not in the store yet. */
  constructor(
    live: LiveJob,
    options: { readonly nodeId: NodeId; readonly time: number; readonly isNew?: boolean },
  ) {
    this.live = live;
    this.time = options.time;
    this.record = live.record;
    this.ticket = live.ticket;
    this.blocked = live.blocked;
    this.pending = live.pending;
    this.since = live.since;
    this.#nodeId = options.nodeId;
    this.#isNew = options.isNew === true;
  }

  /** True when there is something to write. */
  get dirty(): boolean {
    return (
      this.#isNew ||
      this.#draft !== undefined ||
      this.#steps.size > 0 ||
      this.#history.length > 0 ||
      this.#outbox.length > 0 ||
      this.#evaluations.length > 0
    );
  }

  /** JobSpec bytes of a version that is new in this change. */
  get spec(): Uint8Array | undefined {
    return this.#spec;
  }

  set spec(bytes: Uint8Array) {
    this.#spec = bytes;
    this.#edit();
  }

  /** One an execution. */
  get steps(): readonly ExecutionStep[] {
    return this.#steps.values;
  }

  /** The executions as they will be. */
  executions(): RequesterExecution[] {
    const all: RequesterExecution[] = [];
    for (const [id, execution] of this.live.executions) all.push(this.#steps.get(id)?.record ?? execution);
    for (const { record } of this.steps) if (!this.live.executions.has(record.id)) all.push(record);
    return all;
  }

  active(): RequesterExecution[] {
    return this.executions().filter(({ computeState }) => !isComputeTerminal(computeState.type));
  }

  /** Replaces the job's record, its state apart. */
  updateJob(fields: Partial<Omit<JobRecord, 'id' | 'state' | 'revision' | 'modifyTime'>>): void {
    Object.assign(this.#edit(), fields);
  }

  setJobState(type: JobState, message = '', details?: StateText<JobState>['details']): void {
    this.#edit().state = stateText(type, message, details);
  }

  /** A row about the job, without a change of state unless `from` and `to` say so. */
  jobEvent(event: JobEvent, from: JobState | '' = '', to: JobState | '' = ''): void {
    this.#history.push(jobRow(this.record, this.#nodeId, this.time, event, from, to));
  }

  executionEvent(
    execution: RequesterExecution,
    event: JobEvent,
    from: ComputeState | '' = '',
    to: ComputeState | '' = '',
  ): void {
    this.#history.push(executionRow(execution, this.time, event, from, to));
  }

  /** A step that is told as an event, and is no row of the job's history. */
  unlistedEvent(execution: RequesterExecution, event: JobEvent, from: ComputeState, to: ComputeState): void {
    this.#history.push({ ...executionRow(execution, this.time, event, from, to), unlisted: true });
  }

  send(to: NodeId, message: ComputeBound): void {
    this.#outbox.push({ to, message });
  }

  /** A new execution on `nodeId`, asked for. */
  ask(nodeId: NodeId): void {
    const { version, namespace, name, resources } = this.record;
    const execution: RequesterExecution = {
      id: newExecutionId(),
      jobId: this.live.id,
      jobVersion: version,
      evaluationId: this.ticket.id,
      namespace,
      name,
      nodeId,
      computeState: { type: 'AskForBid', message: '' },
      desiredState: { type: 'Pending', message: '' },
      resources,
      published: { Type: '' },
      runOutput: null,
      revision: 1,
      createTime: this.time,
      modifyTime: this.time,
    };
    this.#steps.set({ from: null, record: execution });
    this.executionEvent(execution, executionRequested(nodeId), 'New', 'AskForBid');
    this.askAgain(execution);
  }

  /** The message of an ask that is open. */
  askAgain({ id: executionId, jobId, jobVersion, nodeId }: RequesterExecution): void {
    this.send(nodeId, { type: 'AskForBid', executionId, jobId, jobVersion });
  }

  /** Moves an execution on. */
  move(
    execution: RequesterExecution,
    compute: {
      readonly type: ComputeState;
      readonly message: string;
      readonly details?: Readonly<Record<string, string>>;
    },
    desired: { readonly type: DesiredState; readonly message: string },
    results: Partial<Pick<RequesterExecution, 'published' | 'runOutput'>> = {},
  ): RequesterExecution {
    const before = this.#steps.get(execution.id);
    const record: RequesterExecution = {
      ...execution,
      ...results,
      computeState: compute,
      desiredState: desired,
      revision: execution.revision + 1,
      modifyTime: this.time,
    };
    this.#steps.set({
      from: before === undefined ? execution.computeState.type : before.from,
      before: before === undefined ? execution : before.before,
      waited: before?.waited ?? waitsForApproval(execution),
      record,
    });
    return record;
  }

  /** Ends an execution that is wanted no more; its node is told. */
  cancel(execution: RequesterExecution, reason: string): void {
    this.executionEvent(execution, executionStopped(reason), execution.computeState.type, 'Cancelled');
    this.move(execution, { type: 'Cancelled', message: reason }, { type: 'Stopped', message: reason });
    this.send(execution.nodeId, { type: 'CancelExecution', executionId: execution.id, reason });
  }

  /** The job waits in the store until it is looked at again. */
  block(): void {
    if (this.blocked) return;
    this.ticket = { ...this.ticket, status: 'blocked' };
    this.blocked = true;
    this.pending = false;
    this.#put(this.ticket);
  }

  /** The wish has led to an ask: from now on the job's executions count for where it can go. */
  noteAsked(): void {
    if (this.ticket.trigger === 'job-queue') return;
    this.ticket = { ...this.ticket, trigger: 'job-queue' };
    if (this.blocked) this.#put(this.ticket);
  }

  /** The wish is kept until it has been looked at, over a restart too. */
  pend(): void {
    this.ticket = { ...this.ticket, status: 'pending' };
    this.pending = true;
    this.#put(this.ticket);
  }

  /** The wish is fulfilled, or void. */
  unblock(status: 'complete' | 'cancelled' = 'complete'): void {
    if (!this.blocked && !this.pending) return;
    this.ticket = { ...this.ticket, status };
    this.#put(this.ticket);
    this.blocked = false;
    this.pending = false;
  }

  /** A new wish takes the place of the one before. */
  renew(ticket: EvaluationRecord): void {
    this.unblock('cancelled');
    this.ticket = ticket;
  }

  /** What the store writes. */
  toJobChange(): JobChange {
    const { record } = this.live;
    for (const evaluation of this.#evaluations) this.#tellOf(evaluation);
    return {
      job:
        this.#isNew || this.#draft !== undefined
          ? {
              from: this.#isNew ? null : record.state.type,
              before: this.#isNew ? undefined : record,
              record: this.record,
              spec: this.#spec,
            }
          : undefined,
      executions: this.#steps.size === 0 ? undefined : this.steps,
      evaluations:
        this.#evaluations.length === 0
          ? undefined
          : this.#evaluations.map((evaluation) => ({ from: this.#standing(evaluation), record: evaluation })),
      history: this.#history,
      outbox: this.#outbox,
    };
  }

  /** How a wish stands in the store. */
  #standing({ id }: EvaluationRecord): 'blocked' | 'pending' | null {
    const { ticket, blocked, pending } = this.live;
    if (id !== ticket.id) return null;
    return blocked ? 'blocked' : pending ? 'pending' : null;
  }

  /** A row of history for a wish whose status in the store changes. */
  #tellOf(evaluation: EvaluationRecord): void {
    const { ticket } = this.live;
    let from: EvaluationRecord['status'] | '' = this.#standing(evaluation) ?? '';
    // A wish that was fulfilled waits again when the node that was asked had no room after all.
    if (from === '' && evaluation.id === ticket.id && !isKept(ticket)) from = ticket.status;
    if (from === evaluation.status || (from === '' && !isKept(evaluation))) return;
    this.#history.push(evaluationRow(evaluation, this.#nodeId, this.time, from));
  }

  /** To be called once it has been written. */
  apply(): void {
    const { live } = this;
    live.record = this.record;
    live.ticket = this.ticket;
    live.blocked = this.blocked;
    live.pending = this.pending;
    live.since = this.since;
    for (const { record } of this.steps) live.executions.set(record.id, record);
  }

  #put(evaluation: EvaluationRecord): void {
    const at = this.#evaluations.findIndex(({ id }) => id === evaluation.id);
    if (at < 0) this.#evaluations.push(evaluation);
    else this.#evaluations[at] = evaluation;
  }

  #edit(): Draft {
    if (this.#draft === undefined) {
      this.#draft = { ...this.record };
      if (!this.#isNew) {
        this.#draft.revision += 1;
        this.#draft.modifyTime = this.time;
      }
      this.record = this.#draft;
    }
    return this.#draft;
  }
}

/** Forgets executions of older versions that have ended. */
export function dropOld(live: LiveJob): void {
  for (const [id, { jobVersion, computeState }] of live.executions) {
    if (jobVersion !== live.record.version && isComputeTerminal(computeState.type))
      live.executions.delete(id);
  }
}

/** True when nodes have taken up all that is under way: the next word about the job is theirs. */
export function isResting(live: LiveJob): boolean {
  if (live.blocked || live.pending) return false;
  for (const { computeState } of live.executions.values())
    if (computeState.type === 'AskForBid') return false;
  return true;
}

/** True when nothing more will be done about the job unless somebody asks, or room is found. */
export function isIdle(live: LiveJob): boolean {
  for (const { computeState } of live.executions.values()) {
    if (!isComputeTerminal(computeState.type)) return false;
  }
  return isJobTerminal(live.record.state.type) || live.blocked;
}
