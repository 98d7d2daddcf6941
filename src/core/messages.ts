import type { ErrorData } from './errors.ts';
import type { BidFacts } from './headers.ts';
import type { ExecutionId, JobId, NodeId } from './ids.ts';
import type { ExecutionHeader } from './item.ts';
import type { Resources, RunCommandResult, SpecConfig } from './job.ts';
import type { NodeInfo } from './node-info.ts';
import type { RejectCode } from './outcome.ts';

/**
 * Messages between the two roles. They travel through `net/delivery`, to this process or to a peer; all but
 * the last two are rows of the sender's outbox and are repeated until acknowledged.
 */
export type Message = ComputeBound | RequesterBound;

/** Requester to compute. */
export type ComputeBound = AskForBid | BidAccepted | BidRejected | CancelExecution;

/** Compute to requester. */
export type RequesterBound =
  | BidResult
  | BidWaiting
  | ExecutionStarted
  | RunResult
  | ComputeError
  | NodeInfoChanged
  | RoomAnnounced;

/** What this very node's requester read in a spec, so that it is not read again. */
export interface KnownSpec {
  readonly header?: ExecutionHeader;
  /** Where a bid can be decided on without the spec. */
  readonly facts?: BidFacts;
}

/** Acknowledged by its BidResult, not by receipt: it is sent again until answered. What another node says it knows is ignored. */
export interface AskForBid extends KnownSpec {
  readonly type: 'AskForBid';
  readonly executionId: ExecutionId;
  readonly jobId: JobId;
  readonly jobVersion: number;
  /** The JobSpec as JSON bytes. Not kept in the outbox: attached when it is sent. */
  readonly spec?: Uint8Array;
}

export interface BidAccepted {
  readonly type: 'BidAccepted';
  readonly executionId: ExecutionId;
}

export interface BidRejected {
  readonly type: 'BidRejected';
  readonly executionId: ExecutionId;
  readonly reason: string;
}

export interface CancelExecution {
  readonly type: 'CancelExecution';
  readonly executionId: ExecutionId;
  readonly reason: string;
}

/** What a bid promises beside the capacity: when the job would start. */
export interface BidOutlook {
  /** True when all that the node has promised, this job included, would find room now. */
  readonly startsNow?: boolean;
  /** Executions offered or accepted at the node before this one, and not started. */
  readonly ahead?: number;
}

/** An accepted one says how the job would fare; a node that does not know leaves it out. */
export interface BidResult extends BidOutlook {
  readonly type: 'BidResult';
  readonly executionId: ExecutionId;
  readonly jobId: JobId;
  readonly accepted: boolean;
  readonly reason: string;
  /** Set when refused. */
  readonly rejection?: {
    readonly code: RejectCode;
    readonly final: boolean;
    readonly requested?: string;
    readonly available?: string;
  };
}

/** No answer yet: somebody at the node has to approve the bid. Its BidResult follows. */
export interface BidWaiting {
  readonly type: 'BidWaiting';
  readonly executionId: ExecutionId;
  readonly jobId: JobId;
  readonly reason: string;
  /** Until when, epoch milliseconds. */
  readonly untilMs: number;
}

/** The engine is about to run, or the results are about to be published. */
export interface ExecutionStarted {
  readonly type: 'ExecutionStarted';
  readonly executionId: ExecutionId;
  readonly jobId: JobId;
}

export interface RunResult {
  readonly type: 'RunResult';
  readonly executionId: ExecutionId;
  readonly jobId: JobId;
  readonly result: RunCommandResult;
  /** `{Type: ""}` where nothing was published. */
  readonly published: SpecConfig;
}

/** The execution failed or was cancelled. What was published or printed before that comes along. */
export interface ComputeError {
  readonly type: 'ComputeError';
  readonly executionId: ExecutionId;
  readonly jobId: JobId;
  readonly error: ErrorData;
  /** Where it failed, in the words of the event catalogue: "Exec Scanning", "Downloading Inputs", ... */
  readonly topic: string;
  readonly result?: RunCommandResult;
  readonly published?: SpecConfig;
}

/** Not durable: sent on connect and on change. */
export interface NodeInfoChanged {
  readonly type: 'NodeInfo';
  readonly info: NodeInfo;
}

/** Not durable: how much the node would take up now has changed. */
export interface RoomAnnounced {
  readonly type: 'RoomAnnounced';
  readonly openSlots: number;
  /** What those may add up to. */
  readonly openCapacity: Resources;
}

/** One row of an outbox. */
export interface OutboxMessage {
  readonly to: NodeId;
  readonly message: Message;
}

/** Why a message was none of its sender's business. */
export type Refusal =
  /** About an execution of another requester, or of another node. */
  | 'foreign'
  /** In the name of another node. */
  | 'spoofed'
  /** From a requester whose jobs this node does not take. */
  | 'untrusted'
  /** For a role that this node does not have. */
  | 'no_role';

/** Told of every message that changed nothing because of who sent it. */
export type RefusalListener = (
  from: NodeId,
  type: Message['type'] | 'logs' | 'archive',
  why: Refusal,
) => void;

/** The half of a role that receives. Resolves when what the message changed is durable; the sender then forgets it. */
export interface MessageHandler<M extends Message> {
  handle(from: NodeId, message: M): Promise<void>;
}
