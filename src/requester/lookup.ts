import { NodeError } from '../core/errors.ts';
import { isCompleteId, type JobId, type NodeId, shortId } from '../core/ids.ts';
import type { SpecConfig } from '../core/job.ts';
import { isComputeTerminal, isJobTerminal } from '../core/states.ts';
import type { HistoryRow, JobRecord, RequesterExecution } from '../store/records.ts';
import type { RequesterStore } from '../store/requester-store.ts';
import { meets, parseSelectors } from './selectors.ts';
import type { HistoryPage, HistoryQuery, JobListQuery, JobView } from './service.ts';
import { parseSpec } from './submissions.ts';

const DEFAULT_NAMESPACE = 'default';
const ALL_NAMESPACES = '*';
const HISTORY_PAGE = 256;
const DEFAULT_HISTORY = 100;
/** Two are enough to know that an id is not the only one. */
const AMBIGUOUS = 2;

const EXECUTION_ORDERS: ReadonlySet<string> = new Set([
  '',
  'created_at',
  'create_time',
  'modified_at',
  'modify_time',
]);

/** Which executions of a job, in which order. */
export interface ExecutionQuery {
  readonly version: number;
  readonly allVersions: boolean;
  readonly orderBy: string;
  readonly reverse: boolean;
  readonly limit: number;
}

export interface LookupOptions {
  readonly nodeId: NodeId;
  /** What the archives of other nodes are reached as by clients of this one; no trailing slash. */
  readonly resultsUrl: string;
}

/** What can be read of jobs. Everything reads its own process's writes. */
export class Lookup {
  readonly #options: LookupOptions;
  readonly #store: RequesterStore;

  constructor(options: LookupOptions, modules: { readonly store: RequesterStore }) {
    this.#options = options;
    this.#store = modules.store;
  }

  /**
   * The job that has this name in the namespace, else this id, else the only one whose id begins so or whose
   * short form it is.
   * @throws NodeError JobNotFound, MultipleJobsFound
   */
  async find(idOrName: string, namespace: string): Promise<JobRecord> {
    const space = namespace === '' || namespace === ALL_NAMESPACES ? DEFAULT_NAMESPACE : namespace;
    const named = this.#store.byName(space, idOrName);
    const ids = named === undefined ? await this.#ids(idOrName) : [named];
    const [id] = ids;
    if (ids.length > 1) {
      throw new NodeError('MultipleJobsFound', `multiple jobs found for id ${idOrName}`, {
        details: { JobID: idOrName },
      });
    }
    const record = id === undefined ? undefined : this.#store.job(id);
    if (record === undefined) throw new NodeError('JobNotFound', `job not found: ${idOrName}`);
    // Nothing is told that a crash could take back.
    await this.#store.committed();
    return record;
  }

  /** @throws NodeError JobNotFound when there is no such version; 0 means the latest */
  view(record: JobRecord, version = 0): JobView {
    const wanted = version === 0 ? record.version : version;
    const spec = this.#store.spec(record.id, wanted);
    if (spec === undefined)
      throw new NodeError('JobNotFound', `job not found: ${record.id} version ${wanted}`);
    return {
      record: wanted === record.version ? record : { ...record, version: wanted },
      spec: parseSpec(spec),
    };
  }

  /** @throws NodeError BadQuery */
  async jobs(query: JobListQuery): Promise<{ items: JobView[]; more: boolean }> {
    const { namespace, labels, offset, limit, reverse } = query;
    const orderBy = query.orderBy === '' ? 'created_at' : query.orderBy;
    if (orderBy !== 'created_at' && orderBy !== 'modified_at') {
      throw new NodeError(
        'BadQuery',
        `cannot order jobs by "${orderBy}" (expected created_at or modified_at)`,
      );
    }
    const requirements = parseSelectors(labels);
    const matches = (job: JobRecord): boolean => requirements.every((one) => meets(job.labels, one));
    await this.#store.committed();
    const found = await this.#store.listJobs({ namespace, offset, limit, orderBy, reverse, matches });
    return { items: found.items.map((record) => this.view(record)), more: found.more };
  }

  versions(record: JobRecord): JobView[] {
    return this.#store.versions(record.id).map((version) => this.view(record, version));
  }

  /** @throws NodeError BadQuery, JobNotFound */
  history(record: JobRecord, query: HistoryQuery): HistoryPage {
    if (!['all', 'job', 'execution'].includes(query.eventType)) {
      throw new NodeError(
        'BadQuery',
        `unknown event type "${query.eventType}" (expected all, job or execution)`,
      );
    }
    const most = query.limit > 0 ? query.limit : DEFAULT_HISTORY;
    const items: (HistoryRow & { readonly seqNum: number })[] = [];
    let at = query.offset;
    for (;;) {
      const rows = this.#store.history(record.id, { offset: at, limit: HISTORY_PAGE });
      for (const row of rows) {
        if (items.length === most) return { items, nextOffset: at };
        at += 1;
        if (isWanted(row, record, query)) items.push({ ...row, seqNum: at });
      }
      if (rows.length < HISTORY_PAGE) break;
    }
    return { items, nextOffset: this.#mayGrow(record, query.executionId) ? at : undefined };
  }

  /** @throws NodeError BadQuery */
  executions(record: JobRecord, query: ExecutionQuery): RequesterExecution[] {
    if (!EXECUTION_ORDERS.has(query.orderBy)) {
      throw new NodeError(
        'BadQuery',
        `cannot order executions by "${query.orderBy}" (expected created_at or modified_at)`,
      );
    }
    const wanted = query.version === 0 ? record.version : query.version;
    const found = this.#store
      .executions(record.id)
      .filter(({ jobVersion }) => (query.allVersions && query.version === 0) || jobVersion === wanted);
    const key = query.orderBy.startsWith('modif') ? 'modifyTime' : 'createTime';
    found.sort((a, b) => a[key] - b[key] || (a.id < b.id ? -1 : 1));
    if (query.reverse) found.reverse();
    const page = query.limit > 0 ? found.slice(0, query.limit) : found;
    return page.map((execution) => {
      const published = this.#published(execution);
      return published === execution.published ? execution : { ...execution, published };
    });
  }

  /** @throws NodeError BadQuery for jobs that have no end */
  results(record: JobRecord): SpecConfig[] {
    if (record.type !== 'batch' && record.type !== 'ops') {
      throw new NodeError(
        'BadQuery',
        `job type ${record.type} has no results (only batch and ops jobs have)`,
      );
    }
    return this.#store
      .executions(record.id)
      .filter(
        ({ jobVersion, computeState }) => jobVersion === record.version && computeState.type === 'Completed',
      )
      .map((execution) => this.#published(execution))
      .filter(({ Type }) => Type !== '');
  }

  /** Another node's address of an archive may mean nothing here: clients fetch it through this node. */
  #published({ id, jobId, nodeId, published }: RequesterExecution): SpecConfig {
    const url = published.Params?.['URL'];
    if (nodeId === this.#options.nodeId || typeof url !== 'string' || !URL.canParse(url)) return published;
    if (!new URL(url).pathname.endsWith(`/results/${id}.tar.gz`)) return published;
    const own = `${this.#options.resultsUrl}/${id}.tar.gz?job=${jobId}`;
    return { ...published, Params: { ...published.Params, URL: own } };
  }

  async #ids(id: string): Promise<JobId[]> {
    if (id === '') return [];
    if (isCompleteId(id)) return [id];
    await this.#store.committed();
    const prefixed = this.#store.byPrefix(id, AMBIGUOUS);
    return prefixed.length > 0 ? prefixed : this.#store.byShortId(id);
  }

  /** The job was read before its rows: when it had ended then, its last row is among them. */
  #mayGrow(record: JobRecord, executionId: string): boolean {
    if (executionId === '') return !isJobTerminal(record.state.type);
    return this.#store
      .executions(record.id)
      .some(({ id, computeState }) => isExecution(id, executionId) && !isComputeTerminal(computeState.type));
  }
}

/** True when `text` is the execution's id, the beginning of it, or its short form. */
export function isExecution(id: string, text: string): boolean {
  return id.startsWith(text) || shortId(id) === text;
}

const SECOND = 1_000_000;

function isWanted(row: HistoryRow, record: JobRecord, query: HistoryQuery): boolean {
  if (query.eventType !== 'all' && row.level !== query.eventType) return false;
  if (query.executionId !== '' && !isExecution(row.executionId, query.executionId)) return false;
  if (row.time < query.since * SECOND) return false;
  if (query.jobVersion !== 0) return row.jobVersion === query.jobVersion;
  return query.allVersions || row.jobVersion === record.version;
}
