import type { ExecutionId, JobId, NodeId } from '../core/ids.ts';
import type { OutboxMessage } from '../core/messages.ts';
import type { LocalExecutionState } from '../core/states.ts';
import type { HistoryInput, HistoryRow, LocalExecution, OutboxRow } from './records.ts';

/** One atomic change of one execution. */
export interface ExecutionChange {
  /** Null when the execution is new. Checked against core/states.ts. */
  readonly from: LocalExecutionState | null;
  readonly record: LocalExecution;
  /** JobSpec JSON bytes; given when the execution is new. */
  readonly spec?: Uint8Array;
  readonly history: readonly HistoryInput[];
  readonly outbox?: readonly OutboxMessage[];
}

/**
 * Executions of this node. Reads see committed state; the spine keeps live items in memory and does not read.
 * A terminal record's spec stays for `node executions`.
 */
export interface ComputeStore {
  /** Record + history + outbox in one transaction. @throws NodeError IllegalTransition before anything is written */
  transition(change: ExecutionChange): void;
  /**
   * A bid that came to nothing goes, with its history, as if it had never been; listeners are told `last`. Resolves
   * when that is on disk. @throws NodeError IllegalTransition for an execution that was more than a bid
   */
  forget(id: ExecutionId, last: HistoryInput): Promise<void>;
  /** Visible to reads. */
  committed(): Promise<void>;
  /** On disk. */
  flushed(): Promise<void>;
  get(id: ExecutionId): LocalExecution | undefined;
  spec(id: ExecutionId): Uint8Array | undefined;
  /** Newest first. */
  list(options: { states?: readonly LocalExecutionState[]; jobId?: JobId; limit: number }): LocalExecution[];
  /** Every execution that has not ended, oldest first, in pages. For recover. */
  live(options: { after?: ExecutionId; limit: number }): { record: LocalExecution; spec: Uint8Array }[];
  history(id: ExecutionId): HistoryRow[];
  /** Number of executions by state since the store was made. Kept in memory, counted at open from the table of counters. */
  counts(): Readonly<Record<LocalExecutionState, number>>;
  readonly outbox: Outbox;
  close(): Promise<void>;
}

/** Undelivered messages of one role, oldest first for each receiver. */
export interface Outbox {
  /** Rows for one receiver not yet removed, by sequence number; costs what it returns. For start-up and retries. */
  pending(to: NodeId, options: { after?: number; limit: number }): OutboxRow[];
  /** Forgets rows that a receiver has, in one write. */
  remove(to: NodeId, seqs: readonly number[]): void;
  /** Rows not yet removed, O(1). */
  size(): number;
  /** The one listener, told of every new row in the turn it is written (before it is durable). */
  onAppend(listener: (rows: readonly OutboxRow[]) => void): void;
}
