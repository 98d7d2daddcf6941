import { NodeError } from '../../../core/errors.ts';
import type { NodeId } from '../../../core/ids.ts';
import type { Outgoing } from './outbox.ts';

export interface ApartOptions {
  readonly peer: NodeId;
  /** What payload and attachment may have together in an envelope. */
  readonly inlineBytes: number;
  /** The largest body that the peer accepts. */
  readonly bodyBytes: number;
}

/** True when a part of the message must cross on a stream of its own. */
export function isLarge({ payload, attachment }: Outgoing, inlineBytes: number): boolean {
  return bytesOf(payload) + bytesOf(attachment) > inlineBytes;
}

/**
 * Sends the large parts of a message by `send`, one after the other. The message, with their numbers in place.
 * @throws NodeError BodyTooLarge, and what `send` throws
 */
export async function sendApart(
  message: Outgoing,
  options: ApartOptions,
  send: (bytes: Uint8Array) => Promise<number>,
): Promise<Outgoing> {
  const { peer, inlineBytes, bodyBytes } = options;
  const apart = async <T extends Uint8Array | number | undefined>(part: T): Promise<T | number> => {
    // Two parts of at most half the size stay.
    if (typeof part !== 'object' || part.length <= inlineBytes / 2) return part;
    if (part.length <= bodyBytes) return send(part);
    throw new NodeError('BodyTooLarge', `a body of ${part.length} bytes; node ${peer} takes ${bodyBytes}`);
  };
  return { ...message, payload: await apart(message.payload), attachment: await apart(message.attachment) };
}

function bytesOf(part: Uint8Array | number | undefined): number {
  return typeof part === 'object' ? part.length : 0;
}
