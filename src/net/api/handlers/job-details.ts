import type { RequesterService } from '../../../requester/service.ts';
import type { HttpReply, HttpRequest, Route } from '../adapter.ts';
import { type ClientNeeds, clientNeeds } from '../client-version.ts';
import { fragment, page } from '../page.ts';
import { choice, encodeToken, flag, pagingToken, text, unsigned } from '../query.ts';
import { jsonText } from '../reply.ts';
import { type ExecutionWire, executionToWire } from '../wire/execution.ts';
import { type HistoryWire, historyToWire } from '../wire/history.ts';
import { jobToWire } from '../wire/job.ts';

const JOB = '/api/v1/orchestrator/jobs/:id';
const DEFAULT_HISTORY = 100;
const MAX_HISTORY = 1000;
/** Asked for without a limit: more executions than any job has on nodes one requester can hold. */
const MAX_EXECUTIONS = 10_000;
/** Every execution repeats its job, which may hold megabytes of inline inputs: beyond this the job is left out. */
const REPEATED_JOBS_BYTES = 16_777_216;

/** A job as a request names it. */
export interface JobLookup {
  /** Name, id, prefix or short form. */
  readonly id: string;
  readonly namespace: string;
  /** 0 means the latest. */
  readonly version: number;
}

/** The job that `:id`, `namespace` and `job_version` name. @throws NodeError BadQuery */
export function jobLookup(request: HttpRequest): JobLookup {
  return {
    id: request.params['id'] ?? '',
    namespace: text(request.query, 'namespace') || 'default',
    version: unsigned(request.query, 'job_version'),
  };
}

/** Which rows of a job's history. */
export interface HistoryFilter {
  readonly limit: number;
  readonly offset?: number;
  readonly since?: number;
  readonly eventType?: 'all' | 'job' | 'execution';
  readonly executionId?: string;
  readonly allVersions?: boolean;
}

/** A page of a job's history; `next` is undefined when nothing will ever come. */
export async function historyOf(
  requester: RequesterService,
  job: JobLookup,
  filter: HistoryFilter,
  needs: ClientNeeds,
): Promise<{ items: HistoryWire[]; next: number | undefined }> {
  const { items, nextOffset } = await requester.history(job.id, job.namespace, {
    since: filter.since ?? 0,
    eventType: filter.eventType ?? 'all',
    executionId: filter.executionId ?? '',
    jobVersion: job.version,
    allVersions: filter.allVersions ?? false,
    limit: filter.limit,
    offset: filter.offset ?? 0,
  });
  return { items: items.map((row) => historyToWire(row, needs.stateChanges)), next: nextOffset };
}

/** Which executions of a job, and in which order. */
export interface ExecutionFilter {
  readonly allVersions?: boolean;
  readonly orderBy?: 'created_at' | 'modified_at' | '';
  readonly reverse?: boolean;
  readonly limit?: number;
}

/** Executions of a job, each with the version of the job that it belongs to. */
export async function executionsOf(
  requester: RequesterService,
  job: JobLookup,
  filter: ExecutionFilter,
): Promise<ExecutionWire[]> {
  const allVersions = filter.allVersions ?? false;
  const executions = await requester.executions(job.id, job.namespace, {
    version: job.version,
    allVersions,
    orderBy: filter.orderBy ?? '',
    reverse: filter.reverse ?? false,
    limit: filter.limit === undefined || filter.limit === 0 ? MAX_EXECUTIONS : filter.limit,
  });
  if (executions.length === 0) {
    // An unknown job is an error, also where there is nothing to show.
    await requester.job(job.id, job.namespace, job.version === 0 ? undefined : job.version);
    return [];
  }
  const versions = allVersions
    ? await requester.versions(job.id, job.namespace)
    : [await requester.job(job.id, job.namespace, executions[0]?.jobVersion)];
  const byVersion = new Map(
    versions.map((view) => [view.record.version, { view, bytes: JSON.stringify(view.spec).length }]),
  );
  let left = REPEATED_JOBS_BYTES;
  return executions.map((execution) => {
    const known = byVersion.get(execution.jobVersion);
    left -= known?.bytes ?? 0;
    return executionToWire(execution, left < 0 ? undefined : known?.view);
  });
}

/** What belongs to one job: history, executions, versions, results. */
export function jobDetailRoutes(requester: RequesterService): Route[] {
  const history = async (request: HttpRequest): Promise<HttpReply> => {
    const { query } = request;
    const token = pagingToken(query);
    const asked = unsigned(query, 'limit') || (token?.limit ?? 0);
    const limit = asked === 0 ? DEFAULT_HISTORY : Math.min(asked, MAX_HISTORY);
    const needs = clientNeeds(request);
    const filter: HistoryFilter = {
      limit,
      offset: token?.offset ?? 0,
      since: unsigned(query, 'since', Number.MAX_SAFE_INTEGER),
      eventType: choice(query, 'event_type', ['all', 'job', 'execution']) || 'all',
      executionId: text(query, 'execution_id'),
      allVersions: flag(query, 'all_job_versions'),
    };
    const { items, next } = await historyOf(requester, jobLookup(request), filter, needs);
    const nextToken =
      next === undefined ? '' : encodeToken({ orderBy: '', reverse: false, limit, offset: next });
    return jsonText(page(JSON.stringify(items), nextToken, 'History', needs));
  };

  const executions = async (request: HttpRequest): Promise<HttpReply> => {
    const { query } = request;
    const order = choice(query, 'order_by', ['created_at', 'create_time', 'modified_at', 'modify_time']);
    const items = await executionsOf(requester, jobLookup(request), {
      allVersions: flag(query, 'all_job_versions'),
      orderBy: order === '' ? '' : order.startsWith('create') ? 'created_at' : 'modified_at',
      reverse: flag(query, 'reverse'),
      limit: unsigned(query, 'limit'),
    });
    return jsonText(page(JSON.stringify(items), '', 'Executions', clientNeeds(request)));
  };

  const versions = async (request: HttpRequest): Promise<HttpReply> => {
    const { id, namespace } = jobLookup(request);
    const views = await requester.versions(id, namespace);
    return jsonText(page(fragment(views, jobToWire).text, '', 'Jobs', clientNeeds(request)));
  };

  const results = async (request: HttpRequest): Promise<HttpReply> => {
    const { id, namespace } = jobLookup(request);
    const published = await requester.results(id, namespace);
    const items = published.filter((result) => result.Type !== '');
    return jsonText(page(JSON.stringify(items), '', 'Results', clientNeeds(request)));
  };

  const role = 'requester';
  return [
    { method: 'GET', path: `${JOB}/history`, role, handle: history },
    { method: 'GET', path: `${JOB}/executions`, role, handle: executions },
    { method: 'GET', path: `${JOB}/versions`, role, handle: versions },
    { method: 'GET', path: `${JOB}/results`, role, handle: results },
  ];
}
