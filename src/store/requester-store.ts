import type { ExecutionId, JobId, NodeId } from '../core/ids.ts';
import type { OutboxMessage } from '../core/messages.ts';
import type { ComputeState, JobState } from '../core/states.ts';
import type { Outbox } from './compute-store.ts';
import type {
  EvaluationRecord,
  HistoryInput,
  HistoryRow,
  JobRecord,
  RequesterExecution,
  StoredNode,
} from './records.ts';

/** One atomic change around one job. Everything in it is optional but something must be there. */
export interface JobChange {
  readonly job?:
    | {
        /** Null when the job is new. Checked against core/states.ts; the same state is a plain update. */
        readonly from: JobState | null;
        /** The record as it was, where its owner has it at hand: then it is not read again. */
        readonly before?: JobRecord | undefined;
        readonly record: JobRecord;
        /** JobSpec JSON bytes of `record.version`; given when the version is new. */
        readonly spec?: Uint8Array | undefined;
      }
    | undefined;
  readonly executions?:
    | readonly {
        /** Null when it is new: then its id is new too. */
        readonly from: ComputeState | null;
        /** As above. */
        readonly before?: RequesterExecution | undefined;
        readonly record: RequesterExecution;
      }[]
    | undefined;
  /** Status complete or cancelled removes it. One entry an evaluation. */
  readonly evaluations?:
    | readonly {
        /** How it stands in the store; null where it does not. Its priority stays the one it began with. */
        readonly from: 'pending' | 'blocked' | null;
        readonly record: EvaluationRecord;
      }[]
    | undefined;
  readonly history?: readonly HistoryInput[];
  readonly outbox?: readonly OutboxMessage[];
}

export interface JobQuery {
  /** "" or "*" means all. */
  readonly namespace: string;
  /** Of all that pass, skip so many. */
  readonly offset: number;
  readonly limit: number;
  readonly orderBy: 'created_at' | 'modified_at';
  readonly reverse: boolean;
  readonly matches: (job: JobRecord) => boolean;
}

/** Jobs of this node. Reads see committed state; call `committed()` first when own writes must show. */
export interface RequesterStore {
  /** @throws NodeError IllegalTransition before anything is written */
  transition(change: JobChange): void;
  committed(): Promise<void>;
  flushed(): Promise<void>;
  job(id: JobId): JobRecord | undefined;
  spec(id: JobId, version: number): Uint8Array | undefined;
  /** Versions that have a spec, ascending. */
  versions(id: JobId): number[];
  /** Id of the job that has this name now. */
  byName(namespace: string, name: string): JobId | undefined;
  /** At most `limit` ids that begin with `prefix`. */
  byPrefix(prefix: string, limit: number): JobId[];
  /** Ids whose short form (core/ids shortId) is `short`, among the newest 100,000 jobs; looked through in slices that yield to the loop. */
  byShortId(short: string): Promise<JobId[]>;
  /** Looks at every job before the page and in it: for small answers. `listJobs` does the same in slices that yield to the loop. */
  jobs(query: JobQuery): { items: JobRecord[]; more: boolean };
  listJobs(query: JobQuery): Promise<{ items: JobRecord[]; more: boolean }>;
  /** Jobs that have not ended, oldest first, in pages. */
  inProgress(options: { after?: JobId; limit: number }): JobId[];
  execution(jobId: JobId, id: ExecutionId): RequesterExecution | undefined;
  /** Of all versions, oldest first. */
  executions(jobId: JobId): RequesterExecution[];
  /** By per-job order. `seq` of the rows is the node's; the API numbers them from 1 a job. `after` skips that many rows. */
  history(jobId: JobId, options: { offset: number; limit: number }): HistoryRow[];
  evaluation(job: Pick<JobRecord, 'id' | 'priority'>, id: string): EvaluationRecord | undefined;
  /** Pending evaluations, oldest first. For start-up. */
  pendingEvaluations(options: { after?: string; limit: number }): EvaluationRecord[];
  /** Blocked evaluations: highest priority first, then oldest by their ids; O(limit). `after` goes on from one returned before. */
  blocked(options: { after?: EvaluationRecord; limit: number }): EvaluationRecord[];
  blockedCount(): number;
  counts(): Readonly<Record<JobState, number>>;
  /** Nodes that are remembered, in no order. */
  nodes(): StoredNode[];
  putNode(node: StoredNode): void;
  removeNode(id: NodeId): void;
  readonly outbox: Outbox;
  close(): Promise<void>;
}
