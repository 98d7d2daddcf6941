import type { ExecutionId, JobId, NodeId } from '../core/ids.ts';
import type { JobSpec, SpecConfig } from '../core/job.ts';
import type { NodeInfo } from '../core/node-info.ts';
import type { CheckedJob, LogChunk, LogOptions, OpenedArchive, SubmitResult } from '../core/ports.ts';
import type { HistoryRow, JobRecord, RequesterExecution } from '../store/records.ts';

/** A job with its spec, as REST shows it. */
export interface JobView {
  readonly record: JobRecord;
  readonly spec: JobSpec;
}

export interface JobListQuery {
  readonly namespace: string;
  /** Kubernetes selector requirements, all of which must hold. */
  readonly labels: readonly string[];
  readonly offset: number;
  readonly limit: number;
  readonly orderBy: string;
  readonly reverse: boolean;
}

export interface HistoryQuery {
  /** Unix seconds. */
  readonly since: number;
  readonly eventType: 'all' | 'job' | 'execution';
  /** Prefix, or "". */
  readonly executionId: string;
  /** 0 means the latest. */
  readonly jobVersion: number;
  readonly allVersions: boolean;
  readonly limit: number;
  /** Index (from 0) of the first per-job row to look at. */
  readonly offset: number;
}

export interface HistoryPage {
  readonly items: readonly (HistoryRow & { readonly seqNum: number })[];
  /** Offset to go on from; undefined when nothing will ever come (rest-api.md 1.6). */
  readonly nextOffset: number | undefined;
}

/** State of a node as the requester sees it. */
export interface NodeView {
  readonly info: NodeInfo;
  readonly membership: 'PENDING' | 'APPROVED' | 'REJECTED';
  readonly connection: 'CONNECTED' | 'DISCONNECTED';
  /** Microseconds; 0 means never. */
  readonly lastHeartbeat: number;
  readonly connectedSince: number;
  /** 0 while it is connected. */
  readonly disconnectedSince: number;
}

/** How the log of a job is read. */
export interface JobLogOptions extends LogOptions {
  /** Executions of other versions are not looked at; 0, or none, means all are. */
  readonly jobVersion?: number;
}

/** The requester role, as the API sees it. All look-ups take a name, a whole id, a prefix or a short form. */
export interface RequesterService {
  /** Stores the job, or the next version of the one that has its name; resolves when durable. */
  submit(job: CheckedJob): Promise<SubmitResult>;
  job(idOrName: string, namespace: string, version?: number): Promise<JobView>;
  jobs(query: JobListQuery): Promise<{ items: JobView[]; more: boolean }>;
  versions(idOrName: string, namespace: string): Promise<JobView[]>;
  history(idOrName: string, namespace: string, query: HistoryQuery): Promise<HistoryPage>;
  executions(
    idOrName: string,
    namespace: string,
    query: { version: number; allVersions: boolean; orderBy: string; reverse: boolean; limit: number },
  ): Promise<RequesterExecution[]>;
  /** Results of Completed executions of the latest version. */
  results(idOrName: string, namespace: string): Promise<SpecConfig[]>;
  /** The archive that the local publisher of an execution's node keeps. @throws NodeError JobNotFound, ExecutionNotFound, NodeOutOfReach */
  openResults(jobId: JobId, executionId: ExecutionId, signal: AbortSignal): Promise<OpenedArchive>;
  stop(idOrName: string, namespace: string, reason: string): Promise<{ evaluationId: string }>;
  rerun(
    idOrName: string,
    namespace: string,
    version: number,
    reason: string,
  ): Promise<SubmitResult & { jobVersion: number }>;
  /** Human diff against the stored job of that name. */
  diff(job: CheckedJob): Promise<{ diff: string; warnings: readonly string[] }>;
  nodes(): NodeView[];
  node(idOrPrefix: string): NodeView;
  setNode(id: NodeId, action: 'approve' | 'reject' | 'delete', message: string): Promise<void>;
  /** The execution whose log a job's reader sees: the given one, else the most recently changed that was not discarded. */
  logs(
    idOrName: string,
    namespace: string,
    executionId: ExecutionId,
    options: JobLogOptions,
    signal: AbortSignal,
  ): AsyncIterable<LogChunk>;
  /** For waiting inside the process (tests, benches): resolves with the job once it has ended. */
  ended(jobId: JobId): Promise<JobRecord>;
}
