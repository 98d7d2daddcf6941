import type { ErrorData } from '../core/errors.ts';
import type { BidFacts } from '../core/headers.ts';
import type { ExecutionId, JobId, NodeId } from '../core/ids.ts';
import type { ExecutionHeader } from '../core/item.ts';
import type {
  JobType,
  LabelSelectorRequirement,
  Resources,
  RunCommandResult,
  SpecConfig,
} from '../core/job.ts';
import type { OutboxMessage } from '../core/messages.ts';
import type { NodeInfo } from '../core/node-info.ts';
import type { ComputeState, DesiredState, JobState, LocalExecutionState } from '../core/states.ts';

/** What happened, in the words of Bacalhau's event catalogue. One row of the log; `seq` is the node's. */
export interface HistoryRow {
  readonly seq: number;
  /** Microseconds since the epoch. */
  readonly time: number;
  readonly role: 'requester' | 'compute';
  /** Rows of jobs and executions are in the history of their owner as well; those of evaluations and nodes never are. */
  readonly level: 'job' | 'execution' | 'evaluation' | 'node';
  /** "" on node level. */
  readonly jobId: JobId;
  readonly jobVersion: number;
  /** "" on other levels than that of executions. */
  readonly executionId: ExecutionId;
  readonly nodeId: NodeId;
  /** "" where the row is no state change. */
  readonly from: string;
  readonly to: string;
  readonly topic: string;
  readonly message: string;
  readonly details: Readonly<Record<string, string>>;
}

/** A row before the store numbers it. */
export interface HistoryInput extends Omit<HistoryRow, 'seq' | 'role'> {
  /** Only an event: Bacalhau's history, which clients know, has no such row. */
  readonly unlisted?: true;
}

export interface StateText<S> {
  readonly type: S;
  readonly message: string;
  readonly details?: Readonly<Record<string, string>>;
}

/** The changing part of a job; its spec is stored once per version, apart. Times in microseconds. */
export interface JobRecord {
  readonly id: JobId;
  readonly name: string;
  readonly namespace: string;
  readonly type: JobType;
  readonly priority: number;
  readonly count: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly constraints: readonly LabelSelectorRequirement[];
  readonly state: StateText<JobState>;
  readonly version: number;
  readonly revision: number;
  readonly createTime: number;
  readonly modifyTime: number;
  /** Lower case, for ranking without the spec. */
  readonly engine: string;
  readonly publisher: string;
  readonly storages: readonly string[];
  readonly resources: Resources;
  /** 0 means none. */
  readonly queueTimeoutMs: number;
  readonly totalTimeoutMs: number;
  /** 0 means the compute node's default. */
  readonly executionTimeoutMs: number;
  /** As in ExecutionHeader. */
  readonly fileless: boolean;
  /** As in JobHeader; absent in rows of older versions. */
  readonly inputs?: readonly string[];
  /** As in JobHeader; absent in rows of older versions. */
  readonly facts?: BidFacts | null;
}

/** An execution as the requester knows it. */
export interface RequesterExecution {
  readonly id: ExecutionId;
  readonly jobId: JobId;
  readonly jobVersion: number;
  readonly evaluationId: string;
  readonly namespace: string;
  readonly name: string;
  readonly nodeId: NodeId;
  readonly computeState: StateText<ComputeState>;
  readonly desiredState: StateText<DesiredState>;
  readonly resources: Resources;
  readonly published: SpecConfig;
  readonly runOutput: RunCommandResult | null;
  readonly revision: number;
  readonly createTime: number;
  readonly modifyTime: number;
}

export type EvaluationTrigger =
  | 'job-register'
  | 'job-update'
  | 'job-rerun'
  | 'job-cancel'
  | 'exec-failure'
  | 'exec-update'
  | 'job-queue'
  | 'restart';

/** A wish to look at a job again. Blocked ones wait in the store for room. */
export interface EvaluationRecord {
  readonly id: string;
  readonly jobId: JobId;
  readonly namespace: string;
  readonly type: JobType;
  readonly priority: number;
  readonly trigger: EvaluationTrigger;
  readonly status: 'pending' | 'blocked' | 'complete' | 'cancelled';
  readonly comment: string;
  readonly createTime: number;
}

/** An execution as its compute node knows it. */
export interface LocalExecution {
  readonly header: ExecutionHeader;
  readonly state: LocalExecutionState;
  /** Waiting for somebody's word while Created: which, and until when (epoch ms). */
  readonly wait: {
    readonly kind: 'offered' | 'approval';
    readonly untilMs: number;
    readonly reason: string;
    /** Of an approval: it was given, and there was no room. */
    readonly approved?: true;
  } | null;
  /** +1 a change. */
  readonly version: number;
  readonly createTime: number;
  readonly updateTime: number;
  /** When it was accepted (microseconds), 0 before. Total and queue clocks start here. */
  readonly acceptTime: number;
  /** How often its run was started. */
  readonly attempts: number;
  readonly comment: string;
  readonly result: RunCommandResult | null;
  readonly published: SpecConfig | null;
  readonly error: ErrorData | null;
}

/** A node as the requester remembers it over a restart. */
export interface StoredNode {
  readonly info: NodeInfo;
  readonly membership: 'PENDING' | 'APPROVED' | 'REJECTED';
  /** Microseconds. */
  readonly lastHeartbeat: number;
  /** Microseconds; 0 while it is connected. */
  readonly disconnectedSince: number;
}

/** One undelivered message. */
export interface OutboxRow extends OutboxMessage {
  readonly seq: number;
  /** It is in no table: what a restart, or an ask that is repeated, brings up again is not kept. */
  readonly fleeting?: true;
}
