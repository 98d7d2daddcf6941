import { rfc3339 } from '../core/clock.ts';
import type { HistoryRow } from '../store/records.ts';

/** What an event is about. */
export const EVENT_TYPES = ['job', 'execution', 'evaluation', 'node'] as const;

export type EventType = (typeof EVENT_TYPES)[number];

/** Whose state has changed: an execution has one at its requester and one at its compute node. */
export const EVENT_ROLES = ['requester', 'compute'] as const;

export type EventRole = (typeof EVENT_ROLES)[number];

/** One event as subscribers get it, whatever the encoding. docs/EVENTS.md describes every field. */
export interface NodeEvent {
  readonly seq: number;
  /** RFC 3339, microseconds. */
  readonly time: string;
  readonly role: EventRole;
  readonly type: EventType;
  readonly jobID: string;
  readonly executionID: string;
  readonly nodeID: string;
  /** Equal to `to` where no state changed. */
  readonly from: string;
  readonly to: string;
  readonly reason: string;
  readonly details: Readonly<Record<string, string>>;
}

/** Events of one role that can not be delivered any more, both ends included. */
export interface Gap {
  readonly role: EventRole;
  readonly from: number;
  readonly to: number;
}

/** What a frame may hold besides events. */
export type Notice =
  | { readonly gap: Gap }
  /** Everything up to this seq has been looked at for the subscriber, who goes on behind it. The first notice of each. */
  | { readonly at: number }
  /** Why the subscription ends. */
  | { readonly error: { readonly code: string; readonly message: string } };

/** The event of a row of the log. */
export function eventOf(row: HistoryRow): NodeEvent {
  return {
    seq: row.seq,
    time: rfc3339(row.time),
    role: row.role,
    type: row.level,
    jobID: row.jobId,
    executionID: row.executionId,
    nodeID: row.nodeId,
    from: row.from,
    to: row.to,
    reason: row.message,
    details: { Topic: row.topic, ...row.details },
  };
}
