import type { ExecutionId, JobId, NodeId } from './ids.ts';
import type { JobSpec } from './job.ts';
import type { RejectCode } from './outcome.ts';
import type { Submission } from './ports.ts';

/** What one strategy of the job selection policy said of a job, for people. */
export interface StrategyReport {
  readonly strategy: string;
  /** "not now": refused, but a later ask may be answered otherwise. "not asked": it has nothing to look at. */
  readonly verdict: 'yes' | 'no' | 'not now' | 'wait' | 'not asked';
  readonly reason: string;
  readonly ms: number;
}

/** What the whole policy says of a job that nobody wants to run yet. */
export interface Explanation {
  readonly decision: 'bid' | 'wait' | 'reject';
  /** Of a rejection, else "". */
  readonly code: RejectCode | '';
  /** Of a rejection: the same ask would not be answered otherwise later. */
  readonly final: boolean;
  readonly reason: string;
  /** In the order in which they count. */
  readonly strategies: readonly StrategyReport[];
}

/** A bid that waits for somebody's approval. */
export interface WaitingBid {
  readonly executionId: ExecutionId;
  readonly jobId: JobId;
  readonly requesterId: NodeId;
  /** The probe's words. */
  readonly reason: string;
  /** It was approved, and there is no room for it yet. */
  readonly approved: boolean;
  /** Microseconds since the epoch. */
  readonly createTime: number;
  /** When it is refused for want of an answer, epoch milliseconds. */
  readonly untilMs: number;
  readonly job: JobSpec;
}

/** What became of an operator's word on one bid. */
export interface BidDecision {
  readonly executionId: ExecutionId;
  /** "refused" for an approved one too, where it is beyond the limits. */
  readonly outcome: 'offered' | 'waiting for room' | 'refused';
}

/** Bids and the policy that decides on them, as the API sees them. */
export interface BidPort {
  /** Bids that wait for approval, the longest first. */
  waiting(): WaitingBid[];
  /**
   * An operator's word on the waiting bids of an execution or a job, by id. Resolves when it is on disk. Empty when
   * the node knows the job and nothing of it waits.
   * @throws NodeError ExecutionNotFound
   */
  decide(id: string, word: { readonly approve: boolean; readonly reason: string }): Promise<BidDecision[]>;
  /** Id of the client whose signed approvals count; "" for nobody's. */
  approver(): string;
  /** Runs the policy, probes included, without running the job. @throws NodeError ValidationFailed, MalformedBody, Busy, Stopping */
  explain(submission: Submission): Promise<Explanation>;
  /** The policy in force, as a tree of config keys. */
  policy(): Record<string, unknown>;
  /**
   * Changes settings of the policy, by config key, until the next start or reload.
   * @throws NodeError ConfigInvalid: then nothing has changed
   */
  changePolicy(values: Readonly<Record<string, string>>): Record<string, unknown>;
}
