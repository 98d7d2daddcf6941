/**
 * Every bound of the node, with its reason. A queue that is full says "busy"; none of them grows.
 * Sizes in items unless the name says otherwise.
 */
export const limits = {
  /** Submissions being checked: two full batches a thread, so that a burst is answered in milliseconds or refused. */
  ingestQueue: 512,
  /**
   * Asks being decided, those whose probes or look-ups last among them: no more can be offered than there are places
   * to wait. A refused ask waits at its requester, which is durable.
   */
  bidQueue: 4096,
  /** Specs of asks being decided: peers send them, and they are kept whole. One always fits. */
  askBytes: 67_108_864,
  /**
   * Specs of executions that have not ended, kept in memory: those of a full queue of small jobs. More are read again from
   * the store when they start.
   */
  itemSpecBytes: 4_194_304,
  /**
   * Executions offered, or accepted and waiting for capacity. Rate <= permits / holding time, so it must exceed
   * the machine.
   */
  admitQueue: 4096,
  /** Bids that wait for an operator, up to a day: they hold memory only, and nobody looks through more. */
  approvals: 1024,
  /** Placed executions waiting for a thread: they hold capacity already, so a few are enough. */
  executeQueue: 512,
  /** The same for WASM threads. */
  wasmQueue: 512,
  /** Finished executions whose results wait for the publisher; they hold disk only. */
  publishQueue: 1024,
  /** An offer not answered in this time is withdrawn and its reservation freed. */
  offeredTimeoutMs: 60_000,
  /** Items in one message to a thread: the gain per item levels off there (docs/ARCHITECTURE.md, Threads). */
  batchItems: 64,
  /** One request body: Bacalhau's own limit. */
  bodyBytes: 10_485_760,
  /** One stream of an execution: Bacalhau's own limit. */
  streamBytes: 1_073_741_824,
  /** Asks a requester has unanswered at one node. */
  asksInFlight: 512,
  /** Nodes a requester remembers: a kilobyte or two each; the one that has been away longest makes room. */
  nodes: 4096,
  /** WebSocket connections of log readers. */
  logReaders: 256,
  /** Bytes a slow log reader may have unsent before it is paused. */
  logBufferBytes: 1_048_576,
  /** Event subscribers, over WebSockets and Server-Sent Events together: each is a cursor and its unsent bytes. */
  eventSubscribers: 1024,
  /** Bytes a slow event subscriber may have unsent before its cursor waits: all of them at once stay within 256 MiB. */
  eventBufferBytes: 262_144,
  /** Newest events kept encoded: a second or so of a busy node; who is farther behind reads the log. */
  eventRingItems: 8192,
  /** The same in bytes: messages and details may be long. */
  eventRingBytes: 16_777_216,
  /** An event subscriber that takes nothing for so long is closed: it has a frame and its buffer full. */
  eventStallMs: 30_000,
  /** Silence after which an event subscriber is told how far it is: within what proxies allow a connection to be silent. */
  eventBeatMs: 15_000,
} as const;

/** The bounds that can be set for a test or a bench; `limits` holds the defaults. */
export type Limits = { readonly [K in keyof typeof limits]: number };
