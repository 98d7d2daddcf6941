import { totalmem } from 'node:os';

/** Bounds of the host. Memory it may take at worst: docs/LIMITS.md. */
export interface HostLimits {
  readonly maxConnections: number;
  /** New connections a second that one remote address may open; fleets sit behind one. */
  readonly inboundPerSecond: number;
  /** Inbound connections that are not encrypted yet. */
  readonly pendingInbound: number;
  /** Streams of one connection, each way: the protocols' own bounds add up to fewer. */
  readonly streams: number;
  /** Streams a second that a peer may open over one connection, and how many at once. */
  readonly streamsPerSecond: number;
  readonly streamBurst: number;
  /** Bytes a peer may send on one stream before they are read. */
  readonly streamWindowBytes: number;
  /** Bytes one stream may hold unsent; a protocol that does not wait for its peer loses the stream. */
  readonly streamWriteBytes: number;
}

/** Part of the machine's memory that peers may pin, and its bounds: as Bacalhau's resource manager has it. */
const MEMORY_SHARE = 1 / 8;
const LEAST_MEMORY = 134_217_728;
const MOST_MEMORY = 1_073_741_824;
/** What one connection may hold: a frame that is not complete, a window that is not read, and its own objects. */
const CONNECTION_BYTES = 524_288 + 524_288 + 131_072;
const MOST_CONNECTIONS = 1024;

/** Limits for a machine, or container, with so much memory. */
export function hostLimitsFor(memoryBytes: number): HostLimits {
  const budget = Math.min(MOST_MEMORY, Math.max(LEAST_MEMORY, memoryBytes * MEMORY_SHARE));
  return {
    maxConnections: Math.min(MOST_CONNECTIONS, Math.floor(budget / CONNECTION_BYTES)),
    inboundPerSecond: 64,
    pendingInbound: 128,
    streams: 128,
    streamsPerSecond: 512,
    streamBurst: 1024,
    streamWindowBytes: 524_288,
    streamWriteBytes: 8_388_608,
  };
}

/** Limits for this process. */
export function defaultHostLimits(): HostLimits {
  const constrained = process.constrainedMemory();
  // Without a limit it is 0, or larger than the machine.
  return hostLimitsFor(constrained > 0 ? Math.min(constrained, totalmem()) : totalmem());
}
