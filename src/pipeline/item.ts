import type { Ticket } from '../capacity/ledger-view.ts';
import type { Timer } from '../core/clock.ts';
import type { ErrorData } from '../core/errors.ts';
import type { BidFacts } from '../core/headers.ts';
import type { NodeId } from '../core/ids.ts';
import type { ExecutionHeader, Placement } from '../core/item.ts';
import type { Gpu, RunCommandResult } from '../core/job.ts';
import type { Outcome } from '../core/outcome.ts';
import type { CheckedJob, Submission } from '../core/ports.ts';
import type { RunSlot } from '../core/run-slot.ts';
import type { PreparedInput } from '../engines/engine.ts';
import type { LocalExecution } from '../store/records.ts';
import type { BidOutput } from '../workers/bid/protocol.ts';

/** A REST body on its way through the ingest stage. */
export interface PendingJob {
  readonly id: string;
  readonly priority: number;
  readonly submission: Submission;
  readonly resolve: (job: CheckedJob) => void;
  readonly reject: (error: Error) => void;
}

/** An ask that has no record yet: lost in a crash, sent again by its requester. */
export interface PendingAsk {
  /** The execution id. */
  readonly id: string;
  readonly priority: number;
  readonly jobId: string;
  readonly jobVersion: number;
  readonly requesterId: NodeId;
  readonly spec: Uint8Array;
  /** Known where this very node's requester has read the spec; a bid thread reads those of others. */
  readonly header: ExecutionHeader | undefined;
  /** Likewise, where the bid can be decided on without the spec. */
  readonly facts?: BidFacts | undefined;
  /** The requester has lost interest. */
  dropped: boolean;
  /** Nobody wants to run it: somebody wants to know what the policy says. */
  readonly explain?: (outcome: Outcome<BidOutput>) => void;
}

/** Where an execution with a record stands. */
export type Station = 'approval' | 'offered' | 'admit' | 'execute' | 'publish' | 'retry' | 'settling';

/** Why an execution is being ended early. */
export interface StopCause {
  readonly why: 'cancelled' | 'timeout';
  readonly cause: string;
}

/** An execution with a record, from offer to settle. Owned by the spine; threads get copies of parts of it. */
export interface Item {
  /** The execution id. */
  readonly id: string;
  readonly priority: number;
  readonly header: ExecutionHeader;
  /** JobSpec JSON bytes; undefined where only the store has them (specs.ts). */
  spec: Uint8Array | undefined;
  record: LocalExecution;
  station: Station;
  /** Its reservation in the ledger; 0 for none. */
  ticket: Ticket;
  /** Milliseconds since the epoch, for aging in the admission order. */
  queuedAtMs: number;
  placement: Placement | undefined;
  gpus: readonly Gpu[];
  inputs: readonly PreparedInput[];
  result: RunCommandResult | undefined;
  /** False once it is known that it has no folder. */
  hasFiles: boolean;
  /** What a WASM thread tells of it while its job blocks it. */
  slot: RunSlot | undefined;
  /** The job's own code has started. */
  ran: boolean;
  /** The run failed; what it left is being published first. */
  failure: ErrorData | undefined;
  /** Set once something asked for an early end; the first one counts. */
  stop: StopCause | undefined;
  /** Execution, queue and total clocks. */
  timers: Timer[] | undefined;
  /** Wakes readers of its log, and those who wait for its end. */
  watchers: Set<() => void> | undefined;
}
