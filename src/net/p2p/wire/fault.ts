/** Why something of a peer was refused: a label of `bacalhau_wire_refused_total`, and the code of a goodbye frame. */
export type FaultReason =
  /** The frame is over the limit. */
  | 'oversized'
  /** No msgpack, or not of the form the protocol says. */
  | 'malformed'
  /** The stream ended inside a frame or a body. */
  | 'truncated'
  /** A sender that is not the authenticated peer. */
  | 'forged'
  /** A number out of turn: sequence, request or acknowledgement. */
  | 'sequence'
  /** A message type or frame kind that this node does not know. */
  | 'unknown'
  /** A message that does not say what its type must. */
  | 'invalid'
  /** More streams than allowed. */
  | 'rate'
  /** More messages a second than allowed: they are read more slowly. */
  | 'throttled'
  /** The peer does not read. */
  | 'stalled'
  /** No sign of life. */
  | 'silent'
  /** The other side opens this stream. */
  | 'side'
  /** No hello in time, or one that cannot be agreed with. */
  | 'hello'
  /** The peer is barred for earlier offences. */
  | 'barred'
  /** No room for another body or fetch. */
  | 'full'
  /** No fault of the peer: handling what it sent went wrong here. */
  | 'internal';

/** What a peer sent is not what the protocol says. The only error that decoding throws. */
export class WireFault extends Error {
  readonly reason: FaultReason;

  constructor(reason: FaultReason, message: string) {
    super(message);
    this.name = 'WireFault';
    this.reason = reason;
  }
}

/** Anything thrown while something of a peer was handled. */
export function toFault(thrown: unknown): WireFault {
  if (thrown instanceof WireFault) return thrown;
  return new WireFault('internal', thrown instanceof Error ? thrown.message : String(thrown));
}
