import type { DiskView } from '../capacity/disk-view.ts';
import type { Ledger } from '../capacity/ledger.ts';
import type { Clock } from '../core/clock.ts';
import type { BidFacts } from '../core/headers.ts';
import type { NodeId } from '../core/ids.ts';
import type { Gpu } from '../core/job.ts';
import type { Limits } from '../core/limits.ts';
import type { Outcome, Rejection } from '../core/outcome.ts';
import type { ComputeStore } from '../store/compute-store.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { AdmitOptions } from '../workers/admit/protocol.ts';
import type { BidInput, BidOptions, BidOutput } from '../workers/bid/protocol.ts';
import type { ExecuteOptions } from '../workers/execute/protocol.ts';
import type { Question } from '../workers/protocol.ts';
import type { PublishOptions } from '../workers/publish/protocol.ts';
import type { Item, PendingAsk } from './item.ts';

/** Threads of each pool. */
export interface ThreadCounts {
  readonly bid: number;
  readonly admit: number;
  readonly supervise: number;
  /** Most WASM threads: jobs that run at once. */
  readonly wasm: number;
  readonly publish: number;
}

export interface SpineOptions {
  readonly nodeId: NodeId;
  readonly limits: Limits;
  readonly threads: ThreadCounts;
  /** Infinity means none. */
  readonly defaultExecutionTimeoutMs: number;
  /** How long a bid may wait for an operator's approval. */
  readonly approvalTimeoutMs: number;
  readonly gpus: readonly Gpu[];
  readonly bid: BidOptions;
  readonly admit: AdmitOptions;
  readonly execute: ExecuteOptions;
  readonly publish: PublishOptions;
}

export interface SpineModules {
  readonly store: ComputeStore;
  readonly ledger: Ledger;
  readonly disk: DiskView;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** An ask was refused: its requester must hear of it. */
  readonly onRefused: (ask: PendingAsk, rejection: Rejection) => void;
  /** There may be room for more, at most once a turn of the loop. */
  readonly onRoom: (openSlots: number) => void;
  /** Something of what the node holds has changed: capacity, or the length of a queue. */
  readonly onCapacity: () => void;
  /** An execution has ended and its end is on disk. */
  readonly onGone: (item: Item) => void;
  /** A stage's threads can not be started: the node can not go on. */
  readonly onFatal: (error: Error) => void;
  /**
   * The bid on an ask that nothing has to be looked up for, and little to be read; undefined where a thread must. `facts` are
   * those that this node's requester has read.
   */
  readonly bidAtOnce: (input: BidInput, facts: BidFacts | undefined) => Outcome<BidOutput> | undefined;
  /** What threads ask of the main thread. */
  readonly onQuestion: (question: Question) => Promise<unknown>;
}
