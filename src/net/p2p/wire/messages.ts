import type { ErrorCode, ErrorData } from '../../../core/errors.ts';
import type { Gpu, GpuVendor, Resources, RunCommandResult, SpecConfig } from '../../../core/job.ts';
import type { AskForBid, BidResult, KnownSpec, Message } from '../../../core/messages.ts';
import type { ComputeInfo, NodeInfo } from '../../../core/node-info.ts';
import { rejectCodes } from '../../../core/outcome.ts';
import { WireFault } from './fault.ts';
import { knownCode } from './frames.ts';
import { pack, unpack } from './msgpack.ts';
import {
  amount,
  anyMap,
  count,
  flag,
  integer,
  list,
  map,
  nullable,
  oneOf,
  optional,
  row,
  type Shape,
  text,
  texts,
} from './shapes.ts';

/** Name of a message type. */
export type MessageType = Message['type'];

const id = text(128);
const reason = text(16_384);
const name = text(256);
const output = text(65_536);

/** What a payload has of a message: the envelope has the type's code and the spec; what is known of that stays in its process. */
type Body<T extends MessageType> = Omit<Extract<Message, { type: T }>, 'type' | 'spec' | keyof KnownSpec>;

const resources: Shape<Resources> = row<Resources>({
  cpu: amount,
  memory: amount,
  disk: amount,
  gpu: amount,
});

const specConfig: Shape<SpecConfig> = map<SpecConfig>({ Type: name, Params: optional(anyMap) });

const commandResult: Shape<RunCommandResult> = map<RunCommandResult>({
  Stdout: output,
  StdoutTruncated: flag,
  stderr: output,
  StderrTruncated: flag,
  ExitCode: integer,
  ErrorMsg: output,
});

const errorCode: Shape<ErrorCode> = {
  write: (value) => value,
  read: (raw) => knownCode(name.read(raw)),
};

const error: Shape<ErrorData> = row<ErrorData>({
  code: errorCode,
  message: reason,
  details: optional(texts(64, 4096)),
});

type BidRefusal = NonNullable<BidResult['rejection']>;

const rejection: Shape<BidRefusal> = row<BidRefusal>({
  code: oneOf(rejectCodes, 'invalid'),
  final: flag,
  requested: optional(reason),
  available: optional(reason),
});

const gpu: Shape<Gpu> = map<Gpu>({
  Index: count,
  Name: name,
  Vendor: oneOf<GpuVendor>(['NVIDIA', 'AMD/ATI', 'Intel'], 'NVIDIA'),
  Memory: amount,
  PCIAddress: name,
  UUID: optional(name),
});

const names = list(name, 64);

const computeInfo: Shape<ComputeInfo> = map<ComputeInfo>({
  engines: names,
  publishers: names,
  storages: names,
  maxCapacity: resources,
  queueCapacity: resources,
  promisedCapacity: resources,
  queuedCapacity: resources,
  availableCapacity: resources,
  maxJobRequirements: resources,
  gpus: list(gpu, 256),
  runningExecutions: count,
  enqueuedExecutions: count,
  offeredExecutions: count,
  openSlots: count,
  openCapacity: resources,
});

const nodeInfo: Shape<NodeInfo> = map<NodeInfo>({
  nodeId: id,
  roles: map<NodeInfo['roles']>({ compute: flag, requester: flag }),
  labels: texts(1024, 4096),
  version: name,
  compute: nullable(computeInfo),
});

interface Codec<T extends MessageType> {
  /** Of the envelope. Never used again for something else. */
  readonly code: number;
  readonly shape: Shape<Body<T>>;
}

/**
 * Every message type: its code and the columns of its payload, in their order. New columns come last and are
 * optional; `docs/WIRE.md` says the same for people, and golden frames hold it.
 */
const codecs: { readonly [T in MessageType]: Codec<T> } = {
  AskForBid: {
    code: 1,
    shape: row<Body<'AskForBid'>>({ executionId: id, jobId: id, jobVersion: count }),
  },
  BidAccepted: { code: 2, shape: row<Body<'BidAccepted'>>({ executionId: id }) },
  BidRejected: { code: 3, shape: row<Body<'BidRejected'>>({ executionId: id, reason }) },
  CancelExecution: { code: 4, shape: row<Body<'CancelExecution'>>({ executionId: id, reason }) },
  BidResult: {
    code: 5,
    shape: row<Body<'BidResult'>>({
      executionId: id,
      jobId: id,
      accepted: flag,
      reason,
      rejection: optional(rejection),
      startsNow: optional(flag),
      ahead: optional(count),
    }),
  },
  BidWaiting: {
    code: 6,
    shape: row<Body<'BidWaiting'>>({ executionId: id, jobId: id, reason, untilMs: count }),
  },
  ExecutionStarted: { code: 7, shape: row<Body<'ExecutionStarted'>>({ executionId: id, jobId: id }) },
  RunResult: {
    code: 8,
    shape: row<Body<'RunResult'>>({
      executionId: id,
      jobId: id,
      result: commandResult,
      published: specConfig,
    }),
  },
  ComputeError: {
    code: 9,
    shape: row<Body<'ComputeError'>>({
      executionId: id,
      jobId: id,
      error,
      topic: name,
      result: optional(commandResult),
      published: optional(specConfig),
    }),
  },
  NodeInfo: { code: 10, shape: row<Body<'NodeInfo'>>({ info: nodeInfo }) },
  RoomAnnounced: {
    code: 11,
    shape: row<Body<'RoomAnnounced'>>({ openSlots: count, openCapacity: resources }),
  },
};

/** Names by code; a hole where no type has it. */
const typesByCode: (MessageType | undefined)[] = [];
for (const [type, { code }] of Object.entries(codecs)) typesByCode[code] = type as MessageType;

/** A message as an envelope carries it. */
export interface EncodedMessage {
  readonly code: number;
  readonly payload: Uint8Array;
  /** The spec of an ask: the same bytes, not a copy. */
  readonly attachment: Uint8Array | undefined;
}

export function encodeMessage(message: Message): EncodedMessage {
  const codec = codecs[message.type] as Codec<MessageType>;
  return {
    code: codec.code,
    payload: pack(codec.shape.write(message)),
    attachment: message.type === 'AskForBid' ? message.spec : undefined,
  };
}

/** The type of an envelope, or undefined for one that this node does not know. */
export function typeOfCode(code: number): MessageType | undefined {
  return typesByCode[code];
}

/**
 * The message of an envelope that `from` has sent.
 * @throws WireFault malformed, invalid, forged
 */
export function decodeMessage(
  type: MessageType,
  from: string,
  payload: Uint8Array,
  attachment: Uint8Array | undefined,
): Message {
  const body = readBody(type, payload);
  // The table holds type and shape together; a union of eleven cannot be followed by the compiler.
  const message = Object.assign({ type }, body) as Message;
  if (message.type === 'NodeInfo' && message.info.nodeId !== from) {
    throw new WireFault('forged', `NodeInfo of ${message.info.nodeId}, sent by ${from}`);
  }
  if (message.type !== 'AskForBid' || attachment === undefined) return message;
  const ask: AskForBid = { ...message, spec: attachment };
  return ask;
}

function readBody(type: MessageType, payload: Uint8Array): object {
  try {
    return codecs[type].shape.read(unpack(payload));
  } catch (thrown) {
    if (!(thrown instanceof WireFault)) throw thrown;
    throw new WireFault(thrown.reason, `${type}: ${thrown.message}`);
  }
}
