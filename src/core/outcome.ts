import type { ErrorData } from './errors.ts';

/** What a stage says of an item. The spine alone decides where the item goes next. */
export type Outcome<T> =
  | { readonly kind: 'advance'; readonly value: T }
  /** Not decided yet: somebody else's word is awaited. */
  | { readonly kind: 'wait'; readonly reason: string; readonly value: T }
  | Rejection
  | { readonly kind: 'fail'; readonly error: ErrorData }
  | { readonly kind: 'cancelled'; readonly reason: string };

/** Machine-readable reasons to refuse an ask. */
export const rejectCodes = [
  'requester',
  'networking',
  'timeout',
  'stateless',
  'publisher',
  'storage',
  'locality',
  'engine',
  'exec_probe',
  'http_probe',
  'image_platform',
  'max_capacity',
  'no_room',
  'disk_low',
  'busy',
  'probe_failed',
  'probe_slots_full',
  'approval',
  'publisher_full',
  'stopping',
  'invalid',
] as const;

export type RejectCode = (typeof rejectCodes)[number];

export interface Rejection {
  readonly kind: 'reject';
  /** A final rejection is never asked again; a transient one may be when room is announced. */
  readonly final: boolean;
  readonly code: RejectCode;
  /** For people: "this node does not ...". */
  readonly reason: string;
  readonly requested?: string;
  readonly available?: string;
}
