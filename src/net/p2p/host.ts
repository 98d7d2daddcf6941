import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Libp2p, PeerId } from '@libp2p/interface';
import { NodeError } from '../../core/errors.ts';
import type { NodeId } from '../../core/ids.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { type Crowd, createCrowd } from './crowd.ts';
import { defaultHostLimits, type HostLimits } from './host-limits.ts';
import { createPeering, type Peering, parsePeers } from './peering.ts';

/** Settings of the host. */
export interface HostOptions {
  /** libp2p's protobuf, from `loadIdentity`. */
  readonly privateKey: Uint8Array;
  /** Address or name to listen on. */
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** Multiaddrs of `--peer`: kept connected for ever. */
  readonly peers: readonly string[];
  readonly limits?: HostLimits;
  /** Shown to peers by identify. */
  readonly userAgent?: string;
}

/** The node's place in the libp2p swarm. */
export interface P2pHost extends Crowd {
  readonly peerId: NodeId;
  /** For protocols: handlers may be registered before and after `start`. */
  readonly libp2p: Libp2p;
  /** Begins to listen and to dial the configured peers. @throws NodeError PortInUse, ConfigInvalid */
  start(): Promise<void>;
  /** Multiaddrs that others can dial, with the peer id. */
  addresses(): string[];
  /** Ids of the peers that are connected now. */
  peers(): NodeId[];
  /** Calls back for every peer that connects from now on. The answer ends it. */
  onPeerConnect(callback: (peer: NodeId) => void): () => void;
  /** Calls back when the last connection to a peer has ended. The answer ends it. */
  onPeerDisconnect(callback: (peer: NodeId) => void): () => void;
  /** Connections closed because streams were opened over them faster than allowed. */
  floods(): number;
  /** Closes all connections of a peer and refuses new ones until then (epoch milliseconds). */
  bar(peer: NodeId, untilMs: number): void;
  /** Closes all connections. Idempotent. */
  stop(): Promise<void>;
}

const FIRST_DELAY_MS = 500;
/** A link that was cut should be back soon after its cause has gone. */
const LONGEST_DELAY_MS = 10_000;
const DIAL_MS = 10_000;
/** Long-lived streams are quiet for long; dead connections are found by yamux's own pings. */
const STREAM_IDLE_MS = 24 * 3_600_000;
/** Every look of libp2p's own monitor opens a stream on every connection. */
const MONITOR_MS = 30_000;
/** A ping of libp2p's own monitor that takes longer ends the connection. */
const MONITOR_TIMEOUT_MS = 15_000;
/** Bars remembered at once; one costs its offender a handshake. */
const MOST_BARRED = 4096;

/**
 * A libp2p host: TCP, noise, yamux, identify. It does not listen yet.
 * @throws NodeError ConfigInvalid for a malformed peer, address or key
 */
export async function createHost(
  options: HostOptions,
  modules: { readonly logger: Logger },
): Promise<P2pHost> {
  const peers = parsePeers(options.peers);
  const limits = options.limits ?? defaultHostLimits();
  const barred = new Map<NodeId, number>();
  let floods = 0;
  const [
    listen,
    { frugalNoise },
    { boundedYamux },
    { privateKeyFromProtobuf },
    { identify, identifyPush },
    { tcp },
    { createLibp2p },
  ] = await Promise.all([
    listenAddress(options.host, options.port),
    import('./encrypter.ts'),
    import('./muxer.ts'),
    import('@libp2p/crypto/keys'),
    import('@libp2p/identify'),
    import('@libp2p/tcp'),
    import('libp2p'),
  ]);
  const libp2p = await createLibp2p({
    privateKey: privateKeyFromProtobuf(options.privateKey),
    start: false,
    nodeInfo: { userAgent: options.userAgent ?? 'bacalhau' },
    addresses: { listen: [listen] },
    transports: [tcp({ maxConnections: limits.maxConnections + limits.pendingInbound })],
    connectionEncrypters: [frugalNoise()],
    streamMuxers: [
      boundedYamux(
        {
          maxInboundStreams: limits.streams,
          maxOutboundStreams: limits.streams,
          maxEarlyStreams: 64,
          streamOptions: {
            inactivityTimeout: STREAM_IDLE_MS,
            maxStreamWindowSize: limits.streamWindowBytes,
            // A paused stream holds one window; one more may come when it was paused while it was read.
            maxReadBufferLength: 2 * limits.streamWindowBytes,
            maxWriteBufferLength: limits.streamWriteBytes,
          },
        },
        {
          streamsPerSecond: limits.streamsPerSecond,
          streamBurst: limits.streamBurst,
          onFlood: () => {
            floods += 1;
          },
        },
      ),
    ],
    connectionManager: {
      maxConnections: limits.maxConnections,
      inboundConnectionThreshold: limits.inboundPerSecond,
      maxIncomingPendingConnections: limits.pendingInbound,
    },
    connectionGater: {
      denyInboundEncryptedConnection: (peer) => isBarred(barred, peer.toString()),
      denyDialPeer: (peer) => isBarred(barred, peer.toString()),
    },
    // Peers that speak our protocol are watched by their link, sooner; a busy one is not slower than this.
    connectionMonitor: { pingInterval: MONITOR_MS, pingTimeout: { minTimeout: MONITOR_TIMEOUT_MS } },
    services: { identify: identify(), identifyPush: identifyPush() },
  });
  const peering = createPeering(
    { peers, firstDelayMs: FIRST_DELAY_MS, longestDelayMs: LONGEST_DELAY_MS, dialMs: DIAL_MS },
    { libp2p, logger: modules.logger },
  );
  const crowd = createCrowd({ most: limits.maxConnections }, libp2p);
  return hostOf(libp2p, { crowd, peering, listen, barred, floods: () => floods });
}

/** Forgets bars that have ended. */
function isBarred(barred: Map<NodeId, number>, peer: NodeId): boolean {
  const untilMs = barred.get(peer);
  if (untilMs === undefined) return false;
  if (untilMs > Date.now()) return true;
  barred.delete(peer);
  return false;
}

function hostOf(
  libp2p: Libp2p,
  parts: {
    readonly crowd: Crowd;
    readonly peering: Peering;
    readonly listen: string;
    readonly barred: Map<NodeId, number>;
    readonly floods: () => number;
  },
): P2pHost {
  const { crowd, peering, listen, barred, floods } = parts;
  let stopped: Promise<void> | undefined;
  const subscribe = (
    name: 'peer:connect' | 'peer:disconnect',
    callback: (peer: NodeId) => void,
  ): (() => void) => {
    const listener = (event: CustomEvent<PeerId>): void => callback(event.detail.toString());
    libp2p.addEventListener(name, listener);
    return () => libp2p.removeEventListener(name, listener);
  };
  return {
    ...crowd,
    peerId: libp2p.peerId.toString(),
    libp2p,
    async start() {
      try {
        await libp2p.start();
      } catch (thrown) {
        await libp2p.stop();
        throw listenError(listen, thrown);
      }
      peering.start();
    },
    addresses: () => libp2p.getMultiaddrs().map((address) => address.toString()),
    peers: () => libp2p.getPeers().map((peer) => peer.toString()),
    onPeerConnect: (callback) => subscribe('peer:connect', callback),
    onPeerDisconnect: (callback) => subscribe('peer:disconnect', callback),
    floods,
    bar(peer, untilMs) {
      if (barred.size >= MOST_BARRED) for (const known of [...barred.keys()]) isBarred(barred, known);
      if (barred.size < MOST_BARRED) barred.set(peer, untilMs);
      for (const connection of libp2p.getConnections()) {
        if (connection.remotePeer.toString() === peer) connection.abort(new Error('the peer is barred'));
      }
    },
    stop() {
      stopped ??= peering.stop().then(() => libp2p.stop());
      return stopped;
    },
  };
}

async function listenAddress(host: string, port: number): Promise<string> {
  const bare = host.replace(/^\[|\]$/g, '');
  let address = bare;
  if (isIP(bare) === 0) {
    try {
      address = (await lookup(bare)).address;
    } catch (thrown) {
      throw new NodeError('ConfigInvalid', `--swarm-host ${host}: the name does not resolve`, {
        cause: thrown,
      });
    }
  }
  return `/ip${isIP(address) === 6 ? 6 : 4}/${address}/tcp/${port}`;
}

function listenError(listen: string, thrown: unknown): NodeError {
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  const [, family, address, , port] = listen.split('/');
  const shown = family === 'ip6' ? `[${address}]:${port}` : `${address}:${port}`;
  if (text.includes('EADDRINUSE')) {
    return new NodeError(
      'PortInUse',
      `the swarm address ${shown} is in use by another process (choose another with --port or --swarm-host)`,
      { cause: thrown },
    );
  }
  return new NodeError('ConfigInvalid', `cannot listen on the swarm address ${shown}: ${text}`, {
    cause: thrown,
  });
}
