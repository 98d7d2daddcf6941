import { NodeError } from '../core/errors.ts';
import { type ExecutionId, type JobId, type NodeId, shortId } from '../core/ids.ts';
import { computeTransitions, isJobTerminal, type JobState, jobTransitions } from '../core/states.ts';
import {
  type EvaluationRow,
  evaluationCodec,
  jobCodec,
  type RequesterExecutionRow,
  requesterExecutionCodec,
} from './codecs.ts';
import type { Outbox } from './compute-store.ts';
import type { Environment, Key, Table, WriteBatch } from './environment.ts';
import { idOf, type JobIndexes, JobScan } from './job-scan.ts';
import { LAST_NUMBER, LAST_TEXT, shortText } from './keys.ts';
import { Recent } from './recent.ts';
import { RecentJobs } from './recent-jobs.ts';
import type { EvaluationRecord, HistoryRow, JobRecord, RequesterExecution, StoredNode } from './records.ts';
import type { JobChange, JobQuery, RequesterStore } from './requester-store.ts';
import { type HistoryReader, RoleLog, type RoleStoreModules } from './role-log.ts';
import * as tables from './tables.ts';
import { checkTransition } from './transitions.ts';

const STATES = Object.keys(jobTransitions) as JobState[];
/** Few: what is gone before the collector has looked at it twice costs least. */
const RECENT_CHANGES = 512;
const RECENT_NAMES = 1024;
const SHORT_ID_WINDOW = 100_000;
const SHORT_ID_SLICE = 4096;

type JobPart = NonNullable<JobChange['job']>;
type ExecutionPart = NonNullable<JobChange['executions']>[number];
type EvaluationPart = NonNullable<JobChange['evaluations']>[number];

function nameKey(namespace: string, name: string): [string, string] {
  return [shortText(namespace), shortText(name)];
}

/** Ids are made in order: those of one priority are in the order in which their jobs came. */
function blockedKey(priority: number, id: string): [number, string] {
  return [-priority, id];
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class EnvironmentRequesterStore implements RequesterStore, HistoryReader {
  readonly role = 'requester';
  readonly outbox: Outbox;
  readonly #environment: Environment;
  readonly #log: RoleLog<JobState>;
  readonly #indexes: JobIndexes;
  readonly #specs: Table<Uint8Array>;
  readonly #byName: Table<JobId>;
  readonly #executions: Table<RequesterExecutionRow>;
  readonly #pending: Table<EvaluationRow>;
  readonly #blocked: Table<EvaluationRow>;
  readonly #nodes: Table<StoredNode>;
  readonly #recentJobs = new RecentJobs(RECENT_CHANGES);
  readonly #recentNames = new Recent<JobId>(RECENT_NAMES);
  /** No job has a greater id: ids are made in order, so that a new one is seldom looked for. */
  #newestJob: JobId;

  constructor(modules: RoleStoreModules) {
    const { environment } = modules;
    this.#environment = environment;
    this.#log = new RoleLog({ role: 'requester', states: STATES }, modules);
    this.outbox = this.#log;
    this.#indexes = {
      jobs: environment.table(tables.jobsTable),
      byNamespace: environment.table(tables.jobsByNamespaceTable),
      live: environment.table(tables.jobsLiveTable),
      ended: environment.table(tables.jobsEndedTable),
      job: (id) => this.job(id),
    };
    this.#specs = environment.table(tables.jobSpecsTable);
    this.#byName = environment.table(tables.jobsByNameTable);
    this.#executions = environment.table(tables.jobExecutionsTable);
    this.#pending = environment.table(tables.evaluationsPendingTable);
    this.#blocked = environment.table(tables.evaluationsBlockedTable);
    this.#nodes = environment.table(tables.nodesTable);
    this.#newestJob = this.#indexes.jobs.keys({ reverse: true, limit: 1 }).map(idOf)[0] ?? '';
    this.#log.afterCommit(() => {
      this.#recentJobs.age();
      this.#recentNames.age();
    });
  }

  transition(change: JobChange): void {
    const { job, executions = [], evaluations = [] } = change;
    const before = job === undefined ? undefined : this.#checkJob(job);
    this.#checkExecutions(executions);
    let written: ReturnType<RoleLog<JobState>['append']> = { rows: [], outbox: [] };
    this.#log.write((batch) => {
      if (job !== undefined) this.#writeJob(batch, job, before);
      for (const { record } of executions) {
        batch.put(this.#executions, [record.jobId, record.id], requesterExecutionCodec.encode(record));
      }
      for (const evaluation of evaluations) this.#writeEvaluation(batch, evaluation);
      written = this.#log.append(batch, change.history ?? [], change.outbox ?? []);
    });
    this.#remember(change, before);
    if (job !== undefined) this.#log.count(job.from, job.record.state.type);
    this.#log.announce(written);
  }

  nodes(): StoredNode[] {
    return this.#nodes.range().map(({ value }) => value);
  }

  putNode(node: StoredNode): void {
    this.#log.write((batch) => batch.put(this.#nodes, node.info.nodeId, node));
  }

  removeNode(id: NodeId): void {
    this.#log.write((batch) => batch.remove(this.#nodes, id));
  }

  committed(): Promise<void> {
    return this.#environment.committed();
  }

  flushed(): Promise<void> {
    return this.#environment.flushed();
  }

  job(id: JobId): JobRecord | undefined {
    const recent = this.#recentJobs.job(id);
    if (recent !== undefined) return recent;
    const row = this.#indexes.jobs.get(id);
    return row === undefined ? undefined : jobCodec.decode(row);
  }

  spec(id: JobId, version: number): Uint8Array | undefined {
    return this.#recentJobs.spec(id, version) ?? this.#specs.get([id, version]);
  }

  versions(id: JobId): number[] {
    return this.#specs.keys({ start: [id, 0], end: [id, LAST_NUMBER] }).map((key) => Number(idOf(key)));
  }

  byName(namespace: string, name: string): JobId | undefined {
    const byId = this.job(name);
    if (byId !== undefined && byId.name === name && byId.namespace === namespace) return byId.id;
    const key = nameKey(namespace, name);
    return this.#recentNames.get(JSON.stringify(key)) ?? this.#byName.get(key);
  }

  byPrefix(prefix: string, limit: number): JobId[] {
    return this.#indexes.jobs.keys({ start: prefix, end: `${prefix}${LAST_TEXT}`, limit }).map(idOf);
  }

  async byShortId(short: string): Promise<JobId[]> {
    const found: JobId[] = [];
    let after: Key | undefined;
    for (let seen = 0; seen < SHORT_ID_WINDOW; seen += SHORT_ID_SLICE) {
      const range = after === undefined ? {} : { start: after, offset: 1 };
      const keys = this.#indexes.jobs.keys({ ...range, reverse: true, limit: SHORT_ID_SLICE });
      for (const key of keys) if (shortId(idOf(key)) === short) found.push(idOf(key));
      after = keys.at(-1);
      if (keys.length < SHORT_ID_SLICE) break;
      await nextTurn();
    }
    return found;
  }

  jobs(query: JobQuery): { items: JobRecord[]; more: boolean } {
    const scan = new JobScan(this.#indexes, query);
    while (scan.step());
    return scan.answer();
  }

  async listJobs(query: JobQuery): Promise<{ items: JobRecord[]; more: boolean }> {
    const scan = new JobScan(this.#indexes, query);
    while (scan.step()) await nextTurn();
    return scan.answer();
  }

  inProgress(options: { after?: JobId; limit: number }): JobId[] {
    const range = options.after === undefined ? {} : { start: `${options.after}\u0020` };
    return this.#indexes.live.keys({ ...range, limit: options.limit }).map(idOf);
  }

  execution(jobId: JobId, id: ExecutionId): RequesterExecution | undefined {
    const recent = this.#recentJobs.execution(jobId, id);
    if (recent !== undefined) return recent;
    const row = this.#executions.get([jobId, id]);
    return row === undefined ? undefined : requesterExecutionCodec.decode(row);
  }

  executions(jobId: JobId): RequesterExecution[] {
    const found = new Map<ExecutionId, RequesterExecution>();
    for (const { value } of this.#executions.range({ start: [jobId], end: [jobId, LAST_TEXT] })) {
      const record = requesterExecutionCodec.decode(value);
      found.set(record.id, record);
    }
    for (const record of this.#recentJobs.executions(jobId)) found.set(record.id, record);
    return [...found.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  history(jobId: JobId, options: { offset: number; limit: number }): HistoryRow[] {
    return this.#log.historyOf(jobId, options);
  }

  evaluation(job: Pick<JobRecord, 'id' | 'priority'>, id: string): EvaluationRecord | undefined {
    const recent = this.#recentJobs.evaluation(job.id, id);
    if (recent !== undefined) return this.#rowOf(recent.status, recent) === undefined ? undefined : recent;
    const row = this.#blocked.get(blockedKey(job.priority, id)) ?? this.#pending.get(id);
    return row === undefined ? undefined : evaluationCodec.decode(row);
  }

  pendingEvaluations(options: { after?: string; limit: number }): EvaluationRecord[] {
    const range = options.after === undefined ? {} : { start: `${options.after}\u0020` };
    const rows = this.#pending.range({ ...range, limit: options.limit });
    return rows.map(({ value }) => evaluationCodec.decode(value));
  }

  blocked({ after, limit }: { after?: EvaluationRecord; limit: number }): EvaluationRecord[] {
    const range = after === undefined ? {} : { start: [...blockedKey(after.priority, after.id), 0] };
    return this.#blocked.range({ ...range, limit }).map(({ value }) => evaluationCodec.decode(value));
  }

  blockedCount(): number {
    return this.#blocked.size();
  }

  counts(): Readonly<Record<JobState, number>> {
    return { ...this.#log.counts };
  }

  log(options: { readonly after: number; readonly limit: number }): HistoryRow[] {
    return this.#log.log(options);
  }

  floor(): number {
    return this.#log.floor();
  }

  firstUnwritten(): number {
    return this.#log.firstUnwritten();
  }

  onHistory(listener: (rows: readonly HistoryRow[]) => void): void {
    this.#log.onHistory(listener);
  }

  close(): Promise<void> {
    return this.#environment.close();
  }

  /** The record as it was. @throws NodeError IllegalTransition */
  #checkJob(job: JobPart): JobRecord | undefined {
    const { id, state, version } = job.record;
    const before = this.#before(job);
    const step = { stored: before?.state.type, from: job.from, to: state.type };
    checkTransition('job', id, jobTransitions, 'Pending', step);
    const isNewVersion = before?.version !== version;
    if (isNewVersion !== (job.spec !== undefined)) {
      throw new NodeError(
        'IllegalTransition',
        `job ${id}: a spec is given when the version (${version}; stored ${before?.version ?? 'none'}) is new, and only then`,
      );
    }
    return before;
  }

  #checkExecutions(executions: NonNullable<JobChange['executions']>): void {
    const ids = new Set<ExecutionId>();
    for (const part of executions) {
      const { from, record } = part;
      const stored = this.#executionBefore(part)?.computeState.type;
      const step = { stored, from, to: record.computeState.type };
      checkTransition('execution', record.id, computeTransitions, 'New', step);
      if (ids.has(record.id)) {
        throw new NodeError('IllegalTransition', `execution ${record.id} is twice in one change`);
      }
      ids.add(record.id);
    }
  }

  /** The job as it is in the store: read only where nobody has it at hand. */
  #before({ from, before, record: { id } }: JobPart): JobRecord | undefined {
    if (from === null && id > this.#newestJob) return undefined;
    return before === undefined ? this.job(id) : (this.#recentJobs.job(id) ?? before);
  }

  #executionBefore({ from, before, record: { jobId, id } }: ExecutionPart): RequesterExecution | undefined {
    // The id of a new one was made just now.
    return from === null || before !== undefined
      ? (this.#recentJobs.execution(jobId, id) ?? before)
      : this.execution(jobId, id);
  }

  #writeJob(batch: WriteBatch, job: JobPart, before: JobRecord | undefined): void {
    const { record, spec } = job;
    const { id, namespace, name } = record;
    const { jobs, byNamespace, live, ended } = this.#indexes;
    batch.put(jobs, id, jobCodec.encode(record));
    if (spec !== undefined) batch.put(this.#specs, [id, record.version], spec);
    if (before === undefined) batch.put(byNamespace, [shortText(namespace), id], tables.NOTHING);
    if (name !== id && (before === undefined || before.name !== name))
      batch.put(this.#byName, nameKey(namespace, name), id);
    const endedBefore = before !== undefined && isJobTerminal(before.state.type);
    const endedNow = isJobTerminal(record.state.type);
    if (endedBefore) batch.remove(ended, [before.modifyTime, id]);
    if (endedNow) batch.put(ended, [record.modifyTime, id], tables.NOTHING);
    if (endedNow && before !== undefined && !endedBefore) batch.remove(live, id);
    if (!endedNow && (before === undefined || endedBefore)) batch.put(live, id, tables.NOTHING);
  }

  /** Where an evaluation's row is; undefined where it has none. */
  #rowOf(
    status: EvaluationRecord['status'] | null,
    { id, priority }: EvaluationRecord,
  ): { readonly table: Table<EvaluationRow>; readonly key: Key } | undefined {
    switch (status) {
      case 'blocked':
        return { table: this.#blocked, key: blockedKey(priority, id) };
      case 'pending':
        return { table: this.#pending, key: id };
      case 'complete':
      case 'cancelled':
      case null:
        return undefined;
    }
  }

  #writeEvaluation(batch: WriteBatch, { from, record }: EvaluationPart): void {
    const before = from === record.status ? undefined : this.#rowOf(from, record);
    const now = this.#rowOf(record.status, record);
    if (before !== undefined) batch.remove(before.table, before.key);
    if (now !== undefined) batch.put(now.table, now.key, evaluationCodec.encode(record));
  }

  #remember(change: JobChange, before: JobRecord | undefined): void {
    this.#recentJobs.put(change);
    if (change.job === undefined) return;
    const { id, name, namespace } = change.job.record;
    if (id > this.#newestJob) this.#newestJob = id;
    if (name !== id && name !== before?.name) {
      this.#recentNames.set(JSON.stringify(nameKey(namespace, name)), id);
    }
  }
}

/**
 * The requester role's store over an environment of its own. Point reads (`job`, `spec`, `byName`,
 * `execution`, `executions`, `evaluation`) see a transition at once; lists, indexes and histories see it when
 * it is committed.
 */
export function createRequesterStore(modules: RoleStoreModules): RequesterStore & HistoryReader {
  return new EnvironmentRequesterStore(modules);
}
