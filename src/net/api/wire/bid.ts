import type { Explanation, WaitingBid } from '../../../core/bids.ts';
import { nanoseconds } from '../../../core/clock.ts';
import { jobSpecToWire } from './job.ts';

const NANOS_PER_MS = 1_000_000;

/** A bid that waits for approval. Not part of Bacalhau's API. Times in nanoseconds. */
export interface WaitingBidWire {
  ExecutionID: string;
  JobID: string;
  RequesterID: string;
  Reason: string;
  Approved: boolean;
  CreateTime: number;
  ExpireTime: number;
  Job: ReturnType<typeof jobSpecToWire>;
}

/** A bid as `GET compute/bids` shows it. */
export function waitingBidToWire(bid: WaitingBid): WaitingBidWire {
  return {
    ExecutionID: bid.executionId,
    JobID: bid.jobId,
    RequesterID: bid.requesterId,
    Reason: bid.reason,
    Approved: bid.approved,
    CreateTime: nanoseconds(bid.createTime),
    ExpireTime: bid.untilMs * NANOS_PER_MS,
    Job: jobSpecToWire(bid.job),
  };
}

/** What the policy said of a job. Not part of Bacalhau's API. */
export interface ExplanationWire {
  Decision: string;
  Code: string;
  Final: boolean;
  Reason: string;
  Strategies: { Strategy: string; Verdict: string; Reason: string; Milliseconds: number }[];
}

/** As `POST compute/bid/explain` answers. */
export function explanationToWire(explanation: Explanation): ExplanationWire {
  const { decision, code, final, reason, strategies } = explanation;
  return {
    Decision: decision,
    Code: code,
    Final: final,
    Reason: reason,
    Strategies: strategies.map((report) => ({
      Strategy: report.strategy,
      Verdict: report.verdict,
      Reason: report.reason,
      Milliseconds: Math.round(report.ms * 1000) / 1000,
    })),
  };
}
