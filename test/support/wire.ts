import { Readable } from 'node:stream';
import { generateKeyPair, privateKeyToProtobuf } from '@libp2p/crypto/keys';
import { systemClock } from '../../src/core/clock.ts';
import { NodeError } from '../../src/core/errors.ts';
import type { Message } from '../../src/core/messages.ts';
import { createHost, type P2pHost } from '../../src/net/p2p/host.ts';
import { defaultHostLimits, type HostLimits } from '../../src/net/p2p/host-limits.ts';
import { type WireLimits, wireLimits } from '../../src/net/p2p/wire/limits.ts';
import { createWire, type Wire, type WireHandlers } from '../../src/net/p2p/wire.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { createMetrics, type Metrics } from '../../src/telemetry/metrics.ts';
import type { Scope } from './node.ts';

/** A node's wire on the loopback, with handlers that a test sets. */
export interface WireNode {
  readonly id: string;
  readonly host: P2pHost;
  readonly wire: Wire;
  readonly metrics: Metrics;
  /** What came, with its sender. */
  readonly received: { readonly from: string; readonly message: Message }[];
  /** Reasons of peerDown. */
  readonly downs: string[];
  /** Change these to change what the node does. */
  readonly handlers: { -readonly [K in keyof WireHandlers]: WireHandlers[K] };
  /** Resolves when the node has a link with the peer. */
  linked(peer: string): Promise<void>;
  /** Resolves when it has none. */
  unlinked(peer: string): Promise<void>;
}

const logger = createLogger({ level: 'silent', mode: 'json', colour: false });

/** Two keys, the one whose node id sorts first before the other: that node opens the link. */
export async function keysInOrder(): Promise<[Uint8Array, Uint8Array]> {
  const keys = await Promise.all([generateKeyPair('Ed25519'), generateKeyPair('Ed25519')]);
  const { peerIdFromPrivateKey } = await import('@libp2p/peer-id');
  const sorted = keys.toSorted((a, b) =>
    peerIdFromPrivateKey(a).toString() < peerIdFromPrivateKey(b).toString() ? -1 : 1,
  );
  const [first, second] = sorted.map((key) => privateKeyToProtobuf(key));
  if (first === undefined || second === undefined) throw new Error('two keys were made');
  return [first, second];
}

/** Starts one; it is stopped after the test. */
export async function wireNode(
  t: Scope,
  options: {
    privateKey?: Uint8Array;
    peers?: readonly string[];
    limits?: Partial<WireLimits>;
    hostLimits?: Partial<HostLimits>;
    /** The test starts the wire itself. */
    startsLate?: boolean;
  } = {},
): Promise<WireNode> {
  const privateKey = options.privateKey ?? privateKeyToProtobuf(await generateKeyPair('Ed25519'));
  const host = await createHost(
    {
      privateKey,
      host: '127.0.0.1',
      port: 0,
      peers: options.peers ?? [],
      limits: { ...defaultHostLimits(), ...options.hostLimits },
    },
    { logger },
  );
  const metrics = createMetrics({ version: 'test', processMetrics: false });
  const received: WireNode['received'] = [];
  const downs: string[] = [];
  const links = new Set<string>();
  let waiting: (() => void)[] = [];
  const changed = (): void => {
    const callbacks = waiting;
    waiting = [];
    for (const callback of callbacks) callback();
  };
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds()) await new Promise<void>((resolve) => waiting.push(resolve));
  };
  const handlers: WireNode['handlers'] = {
    peerUp: (peer) => {
      links.add(peer);
      changed();
    },
    peerDown: (peer, reason) => {
      links.delete(peer);
      downs.push(reason);
      changed();
    },
    message: (from, message) => {
      received.push({ from, message });
      return Promise.resolve();
    },
    logs: async function* (_from, executionId) {
      yield* [];
      throw new NodeError('ExecutionNotFound', `execution not found: ${executionId}`);
    },
    archive: (_from, executionId) =>
      Promise.reject(new NodeError('ExecutionNotFound', `no results of ${executionId}`)),
  };
  const wire = createWire(
    {
      hello: { roles: { compute: true, requester: true }, version: 'v-test' },
      limits: { ...wireLimits, ...options.limits },
    },
    {
      host,
      clock: systemClock,
      logger,
      metrics,
      handlers: {
        peerUp: (peer, hello) => handlers.peerUp(peer, hello),
        peerDown: (peer, reason) => handlers.peerDown(peer, reason),
        message: (from, message) => handlers.message(from, message),
        logs: (...args) => handlers.logs(...args),
        archive: (...args) => handlers.archive(...args),
      },
    },
  );
  t.after(async () => {
    await wire.stop(Date.now() + 1000);
    await host.stop();
  });
  if (options.startsLate !== true) await wire.start();
  await host.start();
  return {
    id: host.peerId,
    host,
    wire,
    metrics,
    received,
    downs,
    handlers,
    linked: (peer) => until(() => links.has(peer)),
    unlinked: (peer) => until(() => !links.has(peer)),
  };
}

/** Two linked nodes; the first opens the link. */
export async function wirePair(
  t: Scope,
  options: { first?: Partial<WireLimits>; second?: Partial<WireLimits> } = {},
): Promise<[WireNode, WireNode]> {
  const [firstKey, secondKey] = await keysInOrder();
  const first = await wireNode(t, { privateKey: firstKey, limits: options.first ?? {} });
  const second = await wireNode(t, {
    privateKey: secondKey,
    limits: options.second ?? {},
    peers: first.host.addresses(),
  });
  await Promise.all([first.linked(second.id), second.linked(first.id)]);
  return [first, second];
}

/** An archive's stream of `bytes` bytes. */
export function archiveOf(bytes: Uint8Array): { stream: Readable; bytes: number } {
  return { stream: Readable.from([Buffer.from(bytes)]), bytes: bytes.length };
}
