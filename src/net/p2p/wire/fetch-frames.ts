import type { ErrorData } from '../../../core/errors.ts';
import type { ExecutionId } from '../../../core/ids.ts';
import type { LogChunk, LogOptions } from '../../../core/ports.ts';
import { WireFault } from './fault.ts';
import { errorItems, readError, withLength } from './frames.ts';
import { MsgpackReader, pack } from './msgpack.ts';

/** One request and its streamed answer, one stream. */
export const FETCH_PROTOCOL = '/bacalhau/fetch/1.0.0';

const requestKinds = { logs: 1, archive: 2 } as const;
const answerKinds = { archive: 1, bytes: 2, log: 3, end: 4, error: 5 } as const;
const FOLLOW = 1;
const TAIL = 2;
const STDOUT = 1;
const STDERR = 2;
const ID_BYTES = 256;

/** The first and only frame of the asking side. */
export type FetchRequest =
  | { readonly kind: 'logs'; readonly executionId: ExecutionId; readonly options: LogOptions }
  | { readonly kind: 'archive'; readonly executionId: ExecutionId };

/** Frames of the answering side. `end` or `error` is the last. */
export type FetchAnswer =
  | { readonly kind: 'archive'; readonly bytes: number }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'log'; readonly chunk: LogChunk }
  | { readonly kind: 'end' }
  | { readonly kind: 'error'; readonly error: ErrorData };

export function encodeRequest(request: FetchRequest): Uint8Array {
  const { kind, executionId } = request;
  if (kind === 'archive') return withLength(pack([requestKinds.archive, executionId]));
  const { follow, tail } = request.options;
  return withLength(pack([requestKinds.logs, executionId, (follow ? FOLLOW : 0) | (tail ? TAIL : 0)]));
}

/** @throws WireFault malformed, unknown */
export function decodeRequest(bytes: Uint8Array): FetchRequest {
  const reader = new MsgpackReader(bytes);
  const items = reader.array('fetch');
  if (items < 2) throw new WireFault('malformed', 'fetch: a kind and an execution were expected');
  const kind = reader.uint('fetch kind');
  const executionId = reader.text('fetch execution', ID_BYTES);
  switch (kind) {
    case requestKinds.logs: {
      const bits = items > 2 ? reader.uint('fetch options') : 0;
      const options = { follow: (bits & FOLLOW) !== 0, tail: (bits & TAIL) !== 0 };
      return { kind: 'logs', executionId, options };
    }
    case requestKinds.archive:
      return { kind: 'archive', executionId };
    default:
      throw new WireFault('unknown', `fetch kind ${kind} is not known to this node`);
  }
}

export function encodeAnswer(answer: FetchAnswer): Uint8Array {
  switch (answer.kind) {
    case 'archive':
      return withLength(pack([answerKinds.archive, answer.bytes]));
    case 'bytes':
      return withLength(pack([answerKinds.bytes, answer.bytes]));
    case 'log': {
      const { stream, text } = answer.chunk;
      return withLength(pack([answerKinds.log, stream === 'stdout' ? STDOUT : STDERR, text]));
    }
    case 'end':
      return withLength(pack([answerKinds.end]));
    case 'error':
      return withLength(pack([answerKinds.error, ...errorItems(answer.error)]));
  }
}

/** @throws WireFault malformed, unknown */
export function decodeAnswer(bytes: Uint8Array): FetchAnswer {
  const reader = new MsgpackReader(bytes);
  const items = reader.array('fetch answer');
  if (items < 1) throw new WireFault('malformed', 'fetch answer: an empty array');
  const kind = reader.uint('fetch answer kind');
  switch (kind) {
    case answerKinds.archive:
      return { kind: 'archive', bytes: reader.uint('archive bytes') };
    case answerKinds.bytes:
      return { kind: 'bytes', bytes: reader.bin('archive part') };
    case answerKinds.log: {
      const stream = reader.uint('log stream') === STDERR ? 'stderr' : 'stdout';
      return { kind: 'log', chunk: { stream, text: reader.text('log text', bytes.length) } };
    }
    case answerKinds.end:
      return { kind: 'end' };
    case answerKinds.error:
      return { kind: 'error', error: readError(reader, items - 1) };
    default:
      throw new WireFault('unknown', `fetch answer kind ${kind} is not known to this node`);
  }
}
