/**
 * The two state tables. A compute node's execution and a requester's execution are different things with
 * different names; a message between the roles connects them.
 */

/** States of an execution at its compute node. */
export type LocalExecutionState =
  | 'Created'
  | 'BidAccepted'
  | 'Running'
  | 'Publishing'
  | 'Completed'
  | 'Failed'
  | 'Cancelled';

/**
 * A change of what a Created one waits for is no step: an approval becomes an offer.
 *
 * Created ──► BidAccepted ──► Running ──► Publishing ──► Completed
 *    │             │             │  └──────────┼────────────▲
 *    └─────────────┴─────────────┴─────────────┴──► Failed, Cancelled
 *
 * Running and Publishing may go back to BidAccepted: a restart runs the execution again.
 */
export const localTransitions: Readonly<Record<LocalExecutionState, readonly LocalExecutionState[]>> = {
  Created: ['BidAccepted', 'Failed', 'Cancelled'],
  // Running is recorded lazily: a short run goes from BidAccepted to what follows it.
  BidAccepted: ['Running', 'Publishing', 'Completed', 'Failed', 'Cancelled'],
  Running: ['Publishing', 'Completed', 'Failed', 'Cancelled', 'BidAccepted'],
  Publishing: ['Completed', 'Failed', 'Cancelled', 'BidAccepted'],
  Completed: [],
  Failed: [],
  Cancelled: [],
};

export function isLocalTerminal(state: LocalExecutionState): boolean {
  return localTransitions[state].length === 0;
}

/** States of an execution as the requester knows it, with v1.9's wire integers. */
export const computeStateCodes = {
  Undefined: 0,
  New: 1,
  AskForBid: 2,
  AskForBidAccepted: 3,
  AskForBidRejected: 4,
  BidAccepted: 5,
  Running: 6,
  Publishing: 7,
  BidRejected: 8,
  Completed: 9,
  Failed: 10,
  Cancelled: 11,
} as const;

export type ComputeState = Exclude<keyof typeof computeStateCodes, 'Undefined'>;

export const computeTransitions: Readonly<Record<ComputeState, readonly ComputeState[]>> = {
  New: ['AskForBid', 'Failed', 'Cancelled'],
  // The last four: the answer and what follows from it are one change.
  AskForBid: [
    'AskForBidAccepted',
    'AskForBidRejected',
    'Failed',
    'Cancelled',
    'BidAccepted',
    'BidRejected',
    'Running',
    'Completed',
  ],
  AskForBidAccepted: ['BidAccepted', 'BidRejected', 'Failed', 'Cancelled'],
  AskForBidRejected: [],
  BidAccepted: ['Running', 'Publishing', 'Completed', 'Failed', 'Cancelled'],
  Running: ['Publishing', 'Completed', 'Failed', 'Cancelled'],
  Publishing: ['Completed', 'Failed', 'Cancelled'],
  BidRejected: [],
  Completed: [],
  Failed: [],
  Cancelled: [],
};

export function isComputeTerminal(state: ComputeState): boolean {
  return computeTransitions[state].length === 0;
}

/** What the requester wants of an execution, with the wire integers. */
export const desiredStateCodes = { Pending: 0, Running: 1, Stopped: 2 } as const;

export type DesiredState = keyof typeof desiredStateCodes;

/** States of a job; text on the wire. */
export type JobState = 'Pending' | 'Queued' | 'Running' | 'Completed' | 'Failed' | 'Stopped';

export const jobTransitions: Readonly<Record<JobState, readonly JobState[]>> = {
  Pending: ['Queued', 'Running', 'Completed', 'Failed', 'Stopped'],
  Queued: ['Pending', 'Running', 'Completed', 'Failed', 'Stopped'],
  Running: ['Pending', 'Queued', 'Completed', 'Failed', 'Stopped'],
  // An ended job starts again only as a new version of itself.
  Completed: ['Pending'],
  Failed: ['Pending', 'Stopped'],
  Stopped: ['Pending'],
};

export function isJobTerminal(state: JobState): boolean {
  return state === 'Completed' || state === 'Failed' || state === 'Stopped';
}
