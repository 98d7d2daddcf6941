import { formatDuration } from '../core/duration.ts';
import type { ErrorData } from '../core/errors.ts';
import { errorRegistry } from '../core/errors.ts';
import { type NodeId, shortId } from '../core/ids.ts';
import type { BidResult } from '../core/messages.ts';
import type { ComputeState, JobState } from '../core/states.ts';
import type { EvaluationRecord, HistoryInput, JobRecord, RequesterExecution } from '../store/records.ts';
import type { NodeChange } from './nodes.ts';

/** Topic, message and details of a history row: Bacalhau v1.9's event catalogue. */
export interface JobEvent {
  readonly topic: string;
  readonly message: string;
  readonly details: Readonly<Record<string, string>>;
}

const NOTHING: Readonly<Record<string, string>> = {};

function event(
  topic: string,
  message: string,
  details: Readonly<Record<string, string>> = NOTHING,
): JobEvent {
  return { topic, message, details };
}

export const jobSubmitted: JobEvent = event('Submission', 'Job submitted');
export const jobUpdated: JobEvent = event('Submission', 'Job updated');
/** Bacalhau's history tells neither of these two: they are events only. */
export const executionAccepted: JobEvent = event('Bidding', 'Bid accepted');
export const offerTurnedDown: JobEvent = event('Bidding', 'the job wants no more executions');
export const executionRunning: JobEvent = event('Execution', 'Running');
export const executionCompleted: JobEvent = event('Execution', 'Completed successfully');

export function jobRerun(reason: string): JobEvent {
  return event('Submission', 'Job rerun requested', { Reason: reason });
}

export function stateUpdate(state: JobState, message = ''): JobEvent {
  return event('State Update', message === '' ? state : `${state}. ${message}`, { NewState: state });
}

export function jobQueued(reason: string): JobEvent {
  return event('Queueing', reason === '' ? 'Job queued' : `Job queued. ${reason}`);
}

export function jobStopRequested(reason: string): JobEvent {
  return event('Scheduling', 'Job requested to stop before completion', { Reason: reason });
}

export function executionRequested(nodeId: NodeId): JobEvent {
  return event('Scheduling', `Requested execution on ${shortId(nodeId)}`, { NodeID: nodeId });
}

/** Why an execution that was wanted is wanted no more. */
export const stopReasons = {
  jobStopped: 'Execution stop requested because job has been stopped',
  nodeRejected: 'Execution stop requested because node has been rejected',
  jobFailed: 'Execution stop requested due to job failure',
  jobUpdated: 'Execution stopped for job update',
  noAnswer: 'Execution stop requested because the ask was not answered in time',
  nodeLost: 'Execution stop requested because node was out of reach for too long',
} as const;

export function executionStopped(reason: string): JobEvent {
  return event('Scheduling', reason);
}

/** A node's refusal of an ask. */
export function bidRejected(reason: string, rejection: BidResult['rejection']): JobEvent {
  const { code = 'invalid', requested, available } = rejection ?? {};
  return event('Exec Scanning', reason, {
    RejectCode: code,
    ...(requested === undefined ? {} : { Requested: requested }),
    ...(available === undefined ? {} : { Available: available }),
  });
}

/** An ask is withdrawn from a node that says nothing. */
export function askWithdrawn(reason: string, code: string): JobEvent {
  return event('Scheduling', `Ask withdrawn: ${reason}`, { RejectCode: code });
}

/** A run that was given up has ended at its node after all. What came of it is not used: the job went on without it. */
export function endedLate(nodeId: NodeId, outcome: string): JobEvent {
  return event(
    'Execution',
    `Node ${shortId(nodeId)} is back and tells of a run that was given up: ${outcome}. It is not used`,
    {
      NodeID: nodeId,
    },
  );
}

/** A node leaves the bid to a person. */
export function bidWaiting(nodeId: NodeId, reason: string, until: string): JobEvent {
  const why = reason === '' ? '' : `: ${reason}`;
  return event('Bidding', `Waiting for approval on ${shortId(nodeId)}${why}`, { Until: until });
}

/** An execution's failure, with the topic its node gave. */
export function executionFailed(topic: string, error: ErrorData): JobEvent {
  const { component, hint } = errorRegistry[error.code];
  return event(topic === '' ? 'Execution' : topic, error.message, {
    ...error.details,
    ErrorCode: `${component}:${error.code}`,
    IsError: 'true',
    ...(hint === undefined || error.details?.['Hint'] !== undefined ? {} : { Hint: hint }),
  });
}

export function retriesExhausted(lastError: string): JobEvent {
  return failing('Job failed because it has been retried too many times', lastError);
}

export function executionsFailed(lastError: string): JobEvent {
  return failing('Job failed because one or more executions failed', lastError);
}

function failing(message: string, lastError: string): JobEvent {
  return event('Scheduling', message, {
    IsError: 'true',
    ...(lastError === '' ? {} : { LastError: lastError }),
  });
}

/** `what`: "Job" for all of its time, "Waiting for room" for the part spent queued. */
export function jobTimedOut(what: string, ms: number): JobEvent {
  return event('Job Timeout', `Job timed out. ${what} took longer than ${formatDuration(ms)}`, {
    IsError: 'true',
    Hint: errorRegistry.ExecutionTimedOut.hint ?? '',
  });
}

/** Lines of node reasons in one message: more would be read by nobody and stored with every job. */
const REASON_LINES = 20;

/** No or too few nodes can take the job. */
export function notEnoughNodes(
  requested: number,
  available: number,
  suitable: number,
  reasons: readonly { readonly nodeId: NodeId; readonly reason: string }[],
): JobEvent {
  const lines = reasons
    .slice(0, REASON_LINES)
    .map(({ nodeId, reason }) => `\n• Node ${shortId(nodeId)}: ${reason}`)
    .join('');
  const more = reasons.length > REASON_LINES ? `\n• and ${reasons.length - REASON_LINES} more` : '';
  return event(
    'Scheduling',
    `not enough nodes to run job. requested: ${requested}, available: ${available}, suitable: ${suitable}.${lines}${more}`,
    {
      IsError: 'true',
      NodesAvailable: String(available),
      NodesRequested: String(requested),
      NodesSuitable: String(suitable),
    },
  );
}

/** A row about a job. `from` and `to` are states, "" where the row changes none. */
export function jobRow(
  record: JobRecord,
  nodeId: NodeId,
  time: number,
  what: JobEvent,
  from: JobState | '' = '',
  to: JobState | '' = '',
): HistoryInput {
  return {
    time,
    level: 'job',
    jobId: record.id,
    jobVersion: record.version,
    executionId: '',
    nodeId,
    from,
    to,
    topic: what.topic,
    message: what.message,
    details: what.details,
  };
}

/** A row about an execution. */
export function executionRow(
  execution: RequesterExecution,
  time: number,
  what: JobEvent,
  from: ComputeState | '' = '',
  to: ComputeState | '' = '',
): HistoryInput {
  return {
    time,
    level: 'execution',
    jobId: execution.jobId,
    jobVersion: execution.jobVersion,
    executionId: execution.id,
    nodeId: execution.nodeId,
    from,
    to,
    topic: what.topic,
    message: what.message,
    details: what.details,
  };
}

const NODE_TEXTS: Readonly<Record<string, string>> = {
  'connection CONNECTED': 'Node joined',
  'connection DISCONNECTED': 'Node lost',
  'membership APPROVED': 'Node approved',
  'membership REJECTED': 'Node rejected',
  'membership ': 'Node deleted',
  'offer CONNECTED': 'What the node offers has changed',
};

const NODE_TOPICS = { connection: 'Connection', membership: 'Membership', offer: 'Offer' } as const;

/** A row about a compute node, as the requester sees it. */
export function nodeRow({ kind, info, from, to }: NodeChange, time: number): HistoryInput {
  const { compute } = info;
  return {
    time,
    level: 'node',
    jobId: '',
    jobVersion: 0,
    executionId: '',
    nodeId: info.nodeId,
    from,
    to,
    topic: NODE_TOPICS[kind],
    message: NODE_TEXTS[`${kind} ${to}`] ?? to,
    details:
      compute === null || kind === 'membership' || to === 'DISCONNECTED'
        ? NOTHING
        : {
            Engines: compute.engines.join(','),
            Publishers: compute.publishers.join(','),
            Storages: compute.storages.join(','),
          },
  };
}

const WISH_TEXTS: Readonly<Record<EvaluationRecord['status'], string>> = {
  pending: 'The job is to be looked at',
  blocked: 'The job waits for room',
  complete: 'The job was looked at',
  cancelled: 'Void: the job has ended or has a new version',
};

/** A row about a wish; `from` is "" where it was not in the store. */
export function evaluationRow(
  evaluation: EvaluationRecord,
  nodeId: NodeId,
  time: number,
  from: EvaluationRecord['status'] | '',
): HistoryInput {
  const { id, jobId, trigger, status, comment } = evaluation;
  return {
    time,
    level: 'evaluation',
    jobId,
    jobVersion: 0,
    executionId: '',
    nodeId,
    from,
    to: status,
    topic: 'Scheduling',
    message: comment === '' ? WISH_TEXTS[status] : comment,
    details: { EvaluationID: id, Trigger: trigger },
  };
}
