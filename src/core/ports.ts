import type { Readable } from 'node:stream';
import type { BidFacts } from './headers.ts';
import type { ExecutionId, JobId, NodeId } from './ids.ts';
import type { JobSpec, JobType, LabelSelectorRequirement, Resources } from './job.ts';
import type { NodeInfo } from './node-info.ts';
import type { LocalExecutionState } from './states.ts';

/**
 * What the API, the CLI's server half and tests may ask of the roles. Implemented by `requester/`, `pipeline/`
 * and `node.ts`; records come from `store/records.ts` and are named there.
 */

/** What the main thread needs of a checked job without parsing its spec. */
export interface JobHeader {
  /** New for every submission; the requester replaces it when the name belongs to a job already. */
  readonly id: JobId;
  /** Equal to `id` when the submitter gave none. */
  readonly name: string;
  readonly namespace: string;
  readonly type: JobType;
  readonly priority: number;
  readonly count: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly constraints: readonly LabelSelectorRequirement[];
  /** Lower case. */
  readonly engine: string;
  /** Lower case; "" for none. */
  readonly publisher: string;
  /** Lower case, each once. */
  readonly storages: readonly string[];
  /** Data that some node may have already, each by a text of its own. */
  readonly inputs: readonly string[];
  readonly resources: Resources;
  /** 0 means none. */
  readonly queueTimeoutMs: number;
  readonly totalTimeoutMs: number;
  /** 0 means the compute node's default. */
  readonly executionTimeoutMs: number;
  /** As in ExecutionHeader. */
  readonly fileless: boolean;
  /** Where a bid needs to know no more of the spec: all its inputs are in it. Null where it does, or nobody has looked. */
  readonly facts: BidFacts | null;
}

/** A job as the ingest stage leaves it: checked, normalised, translated, default publisher and Meta filled in. */
export interface CheckedJob {
  readonly header: JobHeader;
  /** JobSpec as JSON bytes, `ID` and `Name` as in the header. */
  readonly spec: Uint8Array;
  /** Fields dropped or translated, one sentence each. */
  readonly warnings: readonly string[];
  readonly force: boolean;
}

/** Raw submission: any of the accepted forms, as bytes. */
export interface Submission {
  readonly body: Uint8Array;
  /** "application/json", "application/yaml"; anything else is tried as JSON, then YAML. */
  readonly contentType: string;
  /** For Meta: ids of the client as its headers tell. */
  readonly clientInstanceId: string;
  readonly clientInstallationId: string;
}

export interface SubmitResult {
  readonly jobId: JobId;
  readonly evaluationId: string;
  readonly warnings: readonly string[];
}

/** Submission through the ingest stage. */
export interface IngestPort {
  /** Resolves when the job would survive kill -9. @throws NodeError ValidationFailed, MalformedBody, Busy, JobUnchanged, Stopping */
  submit(submission: Submission): Promise<SubmitResult>;
  /** Checks without storing. */
  check(submission: Submission): Promise<CheckedJob>;
}

/** How a log is read. */
export interface LogOptions {
  /** Go on until the execution ends. */
  readonly follow: boolean;
  /** Only what comes from now on. */
  readonly tail: boolean;
}

/** One piece of an execution's output. */
export interface LogChunk {
  readonly stream: 'stdout' | 'stderr';
  readonly text: string;
}

/** Reads logs of executions that are, or were lately, on this node. */
export interface LogPort {
  /** Ends when all is read (follow: when the execution ends). Pull-based: nothing is buffered for a slow reader. @throws NodeError ExecutionNotFound */
  logs(executionId: ExecutionId, options: LogOptions, signal: AbortSignal): AsyncIterable<LogChunk>;
}

/** Reads what the local publisher keeps of executions. */
export interface ArchivePort {
  /** @throws NodeError ExecutionNotFound */
  openArchive(executionId: ExecutionId, signal: AbortSignal): Promise<OpenedArchive>;
}

export interface OpenedArchive {
  readonly stream: Readable;
  readonly bytes: number;
}

/** Everything that an execution leaves at its node. */
export type OutputPort = LogPort & ArchivePort;

/** A compute node's own view of an execution, for `node executions`. */
export interface LocalExecutionView {
  readonly executionId: ExecutionId;
  readonly jobId: JobId;
  readonly requesterId: NodeId;
  readonly state: LocalExecutionState;
  readonly stage: string;
  readonly attempts: number;
  readonly createTime: number;
  readonly updateTime: number;
  readonly comment: string;
  readonly job: JobSpec;
}

/** The compute role, as the API sees it. */
export interface ComputePort extends OutputPort {
  executions(options: {
    states?: readonly LocalExecutionState[];
    limit: number;
  }): Promise<LocalExecutionView[]>;
}

/** Facts about the node itself. */
export interface NodePort {
  readonly nodeId: NodeId;
  info(): NodeInfo;
  /** Frozen configuration with secrets hidden, v1.9 names. */
  config(): unknown;
  /** Component name to anything printable. */
  debug(): Record<string, unknown>;
  /** Prometheus text. */
  metrics(): Promise<string>;
  /**
   * IPFS content as a tar.gz, for clients without an IPFS node of their own.
   * @throws NodeError Busy, InputInvalid, InputUnavailable, InputTooLarge, DiskFull
   */
  ipfsArchive(cid: string, signal: AbortSignal): Promise<Readable>;
}
