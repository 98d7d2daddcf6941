import { type ErrorCode, type ErrorData, errorRegistry } from '../../../core/errors.ts';
import { WireFault } from './fault.ts';
import { MsgpackReader, MsgpackWriter, pack } from './msgpack.ts';

/** What a frame is: the first item of its array. Kinds that a reader does not know are passed over. */
export const frameKinds = { hello: 0, batch: 1, ping: 2, pong: 3, goodbye: 4 } as const;

/** Changes that an older reader may ignore raise it; others need a new protocol id. */
export const PROTOCOL_MINOR = 0;

/** Bytes before a frame: its length. */
export const LENGTH_BYTES = 4;

const COMPUTE_ROLE = 1;
const REQUESTER_ROLE = 2;
const NAME_BYTES = 256;
const TEXT_BYTES = 4096;
/** Array, numbers, and the heads of payload and attachment at their longest. */
const ENVELOPE_BYTES = 64;
const NUMBER_BYTES = 9;

/** The first frame of each side. */
export interface Hello {
  /** Node id of the sender. */
  readonly peer: string;
  readonly minor: number;
  /** Version of the node, for people. */
  readonly version: string;
  readonly roles: { readonly compute: boolean; readonly requester: boolean };
  /** What the sender of the hello accepts. */
  readonly limits: HelloLimits;
}

export interface HelloLimits {
  readonly frameBytes: number;
  readonly windowMessages: number;
  readonly windowBytes: number;
  readonly bodyBytes: number;
}

/** A message as the wire has it: its payload is not decoded. */
export interface Envelope {
  readonly type: number;
  /** Request number that the answer repeats; 0 where none is wanted. Grows. */
  readonly id: number;
  /** 1 for the first message of the stream, one more for each that follows. */
  readonly sequence: number;
  /** Bytes, or the number of the body stream that brings them. */
  readonly payload: Uint8Array | number;
  /** Bytes beside the payload that are not encoded again: the spec of a job. */
  readonly attachment: Uint8Array | number | undefined;
  /** Where the sender names itself, it must be the authenticated peer. */
  readonly sender: string | undefined;
}

/** The receiver did not take a message. */
export interface Nack {
  readonly id: number;
  readonly error: ErrorData;
}

/** Messages of one turn of the sender's loop, and its answers to the receiver's. */
export interface Batch {
  readonly envelopes: readonly Envelope[];
  readonly acks: readonly number[];
  readonly nacks: readonly Nack[];
}

export type Frame =
  | { readonly kind: 'hello'; readonly hello: Hello }
  | { readonly kind: 'batch'; readonly batch: Batch }
  | { readonly kind: 'ping' | 'pong'; readonly number: number }
  | { readonly kind: 'goodbye'; readonly reason: string; readonly text: string }
  | { readonly kind: 'unknown'; readonly number: number };

/** How many items a frame may have. */
export interface FrameBounds {
  readonly frameMessages: number;
  readonly frameAnswers: number;
}

/** A frame with its length before it. */
export function encodeFrame(frame: Exclude<Frame, { kind: 'unknown' | 'batch' }>): Uint8Array {
  switch (frame.kind) {
    case 'hello': {
      const { peer, minor, version, roles, limits } = frame.hello;
      const bits = (roles.compute ? COMPUTE_ROLE : 0) | (roles.requester ? REQUESTER_ROLE : 0);
      const { frameBytes, windowMessages, windowBytes, bodyBytes } = limits;
      const accepted = [frameBytes, windowMessages, windowBytes, bodyBytes];
      return withLength(pack([frameKinds.hello, peer, minor, version, bits, accepted]));
    }
    case 'ping':
    case 'pong':
      return withLength(pack([frameKinds[frame.kind], frame.number]));
    case 'goodbye':
      return withLength(pack([frameKinds.goodbye, frame.reason, cutText(frame.text, TEXT_BYTES)]));
  }
}

/** `bytes` with their length before them. */
export function withLength(bytes: Uint8Array): Uint8Array {
  const framed = Buffer.allocUnsafe(LENGTH_BYTES + bytes.length);
  framed.writeUInt32BE(bytes.length);
  framed.set(bytes, LENGTH_BYTES);
  return framed;
}

/** Bytes that an envelope adds to a frame, at most. */
export function envelopeBytes({ payload, attachment }: Envelope): number {
  return ENVELOPE_BYTES + sizeOf(payload) + sizeOf(attachment);
}

function sizeOf(part: Uint8Array | number | undefined): number {
  return typeof part === 'object' ? part.length : 0;
}

/** A batch frame with its length before it. Payloads and attachments are copied here, once. */
export function encodeBatch({ envelopes, acks, nacks }: Batch): Uint8Array {
  const refusals = nacks.map(({ id, error }) => pack([id, ...errorItems(error)]));
  let bytes = LENGTH_BYTES + 2 + 3 * 3 + acks.length * NUMBER_BYTES;
  for (const envelope of envelopes) bytes += envelopeBytes(envelope);
  for (const refusal of refusals) bytes += refusal.length;
  const writer = new MsgpackWriter(bytes);
  writer.at = LENGTH_BYTES;
  writer.shortArray(4);
  writer.uint(frameKinds.batch);
  writer.array(envelopes.length);
  for (const { type, id, sequence, payload, attachment } of envelopes) {
    writer.shortArray(attachment === undefined ? 4 : 5);
    writer.uint(type);
    writer.uint(id);
    writer.uint(sequence);
    writePart(writer, payload);
    if (attachment !== undefined) writePart(writer, attachment);
  }
  writer.array(acks.length);
  for (const id of acks) writer.uint(id);
  writer.array(refusals.length);
  for (const refusal of refusals) writer.raw(refusal);
  writer.length32(writer.at - LENGTH_BYTES, 0);
  return writer.written;
}

function writePart(writer: MsgpackWriter, part: Uint8Array | number): void {
  if (typeof part === 'number') writer.uint(part);
  else writer.bin(part);
}

/**
 * A frame without its length. Payloads are views of `bytes`. Items after those known are passed over.
 * @throws WireFault malformed
 */
export function decodeFrame(bytes: Uint8Array, bounds: FrameBounds): Frame {
  const reader = new MsgpackReader(bytes);
  const items = reader.array('frame');
  if (items === 0) throw new WireFault('malformed', 'frame: an empty array');
  const kind = reader.uint('frame kind');
  switch (kind) {
    case frameKinds.hello:
      return { kind: 'hello', hello: readHello(reader, items) };
    case frameKinds.batch: {
      const batch = readBatch(reader, items, bounds);
      if (reader.left !== 0) throw new WireFault('malformed', `frame: ${reader.left} bytes follow its array`);
      return { kind: 'batch', batch };
    }
    case frameKinds.ping:
    case frameKinds.pong:
      needItems(items, 2, 'ping');
      return { kind: kind === frameKinds.ping ? 'ping' : 'pong', number: reader.uint('ping number') };
    case frameKinds.goodbye:
      needItems(items, 3, 'goodbye');
      return {
        kind: 'goodbye',
        reason: reader.text('goodbye reason', NAME_BYTES),
        text: reader.text('goodbye text', TEXT_BYTES),
      };
    default:
      return { kind: 'unknown', number: kind };
  }
}

function readHello(reader: MsgpackReader, items: number): Hello {
  needItems(items, 6, 'hello');
  const peer = reader.text('hello peer', NAME_BYTES);
  const minor = reader.uint('hello minor');
  const version = reader.text('hello version', NAME_BYTES);
  const bits = reader.uint('hello roles');
  needItems(reader.array('hello limits'), 4, 'hello limits');
  const limits: HelloLimits = {
    frameBytes: reader.uint('hello frame bytes'),
    windowMessages: reader.uint('hello window messages'),
    windowBytes: reader.uint('hello window bytes'),
    bodyBytes: reader.uint('hello body bytes'),
  };
  const roles = { compute: (bits & COMPUTE_ROLE) !== 0, requester: (bits & REQUESTER_ROLE) !== 0 };
  return { peer, minor, version, roles, limits };
}

function readBatch(reader: MsgpackReader, items: number, bounds: FrameBounds): Batch {
  needItems(items, 4, 'batch');
  const envelopes: Envelope[] = [];
  const count = reader.array('messages');
  needAtMost(count, bounds.frameMessages, 'messages');
  for (let index = 0; index < count; index += 1) envelopes.push(readEnvelope(reader));
  const acks: number[] = [];
  const acked = reader.array('acknowledgements');
  needAtMost(acked, bounds.frameAnswers, 'acknowledgements');
  for (let index = 0; index < acked; index += 1) acks.push(reader.uint('acknowledgement'));
  const nacks: Nack[] = [];
  const refused = reader.array('refusals');
  needAtMost(refused, bounds.frameAnswers, 'refusals');
  for (let index = 0; index < refused; index += 1) {
    const parts = reader.array('refusal');
    needItems(parts, 3, 'refusal');
    const id = reader.uint('refusal id');
    nacks.push({ id, error: readError(reader, parts - 1) });
  }
  for (let index = 4; index < items; index += 1) reader.skip();
  return { envelopes, acks, nacks };
}

function readEnvelope(reader: MsgpackReader): Envelope {
  const items = reader.array('message');
  needItems(items, 4, 'message');
  const type = reader.uint('message type');
  const id = reader.uint('message id');
  const sequence = reader.uint('message sequence');
  const payload = reader.binOrUint('message payload');
  if (payload === undefined) throw new WireFault('malformed', 'message payload: nil');
  const attachment = items > 4 ? reader.binOrUint('message attachment') : undefined;
  const sender = items > 5 ? reader.textOrNil('message sender', NAME_BYTES) : undefined;
  for (let index = 6; index < items; index += 1) reader.skip();
  return { type, id, sequence, payload, attachment, sender };
}

/** An error as array items: code, text, and details where there are any. */
export function errorItems({ code, message, details }: ErrorData): unknown[] {
  const text = cutText(message, TEXT_BYTES);
  return details === undefined ? [code, text] : [code, text, Object.entries(details).flat()];
}

/** Reads `items` items: code, text, details. A code that this node does not know becomes Internal. */
export function readError(reader: MsgpackReader, items: number): ErrorData {
  needItems(items, 2, 'error');
  const code = knownCode(reader.text('error code', NAME_BYTES));
  const message = reader.text('error text', TEXT_BYTES);
  if (items < 3) return { code, message };
  const details: Record<string, string> = {};
  const texts = reader.array('error details');
  for (let index = 0; index + 1 < texts; index += 2) {
    const key = reader.text('error detail', NAME_BYTES);
    details[key] = reader.text('error detail', TEXT_BYTES);
  }
  if (texts % 2 === 1) reader.skip();
  for (let index = 3; index < items; index += 1) reader.skip();
  return { code, message, details };
}

/** What a newer peer calls an error this node may not know. */
export function knownCode(code: string): ErrorCode {
  return Object.hasOwn(errorRegistry, code) ? (code as ErrorCode) : 'Internal';
}

/** Text of at most `bytes` bytes of UTF-8. */
export function cutText(text: string, bytes: number): string {
  if (text.length * 3 <= bytes || Buffer.byteLength(text) <= bytes) return text;
  return `${new TextDecoder().decode(Buffer.from(text).subarray(0, bytes - 8)).replace(/\uFFFD+$/, '')}…`;
}

function needItems(items: number, least: number, what: string): void {
  if (items < least)
    throw new WireFault('malformed', `${what}: ${items} items, at least ${least} were expected`);
}

function needAtMost(items: number, most: number, what: string): void {
  if (items > most) throw new WireFault('malformed', `${what}: ${items} in one frame, ${most} are allowed`);
}
