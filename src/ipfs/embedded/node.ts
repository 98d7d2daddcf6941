import type { Connection, Libp2p, Stream, StreamHandler } from '@libp2p/interface';
import { CID } from 'multiformats/cid';
import { NodeError } from '../../core/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Bitswap } from './bitswap.ts';
import { BlockFiles } from './blocks.ts';

/** The main-thread half of the embedded IPFS node. */
export interface EmbeddedIpfs {
  /** Begins to answer peers. */
  start(): Promise<void>;
  /**
   * Answers the question `ipfs-want`: the block is in the folder when this resolves.
   * @throws NodeError InputInvalid, InputUnavailable, DiskFull
   */
  want(cid: string): Promise<null>;
  stop(): Promise<void>;
}

/** Settings of the embedded node. */
export interface EmbeddedIpfsOptions {
  readonly blocksDirectory: string;
  /** Longest time one block may take, in milliseconds. */
  readonly wantMs?: number;
  /** How long to wait for a first peer, in milliseconds. */
  readonly peerMs?: number;
}

const PROTOCOL = '/ipfs/bitswap/1.2.0';
const WANT_MS = 60_000;
const PEER_MS = 5_000;
/** Blocks wanted at once by all threads: above it something asks without end. */
const MAX_WANTS = 1024;
const MAX_STREAMS = 1024;

/**
 * An IPFS node on the daemon's own libp2p host. It talks to connected peers only: no DHT, no gateways, no
 * bootstrap. Bitswap is loaded when the first peer or the first want needs it.
 */
export function createEmbeddedIpfs(
  options: EmbeddedIpfsOptions,
  modules: { readonly libp2p: Libp2p; readonly logger: Logger },
): EmbeddedIpfs {
  const { libp2p, logger } = modules;
  const blocks = new BlockFiles(options.blocksDirectory);
  const stopping = new AbortController();
  const wants = new Map<string, Promise<null>>();
  let serveStream: StreamHandler | undefined;
  let bitswap: Promise<Bitswap> | undefined;

  const load = (): Promise<Bitswap> => {
    bitswap ??= (async () => {
      const { startBitswap } = await import('./bitswap.ts');
      logger.debug('embedded IPFS node is loaded');
      return startBitswap({ libp2p: hostFor((handler) => (serveStream = handler)), blocks });
    })().catch((error: unknown) => {
      bitswap = undefined;
      throw error;
    });
    return bitswap;
  };

  /** The host with `handle` replaced: the protocol is registered from the start, bitswap takes it over when it is there. */
  const hostFor = (take: (handler: StreamHandler) => void): Libp2p =>
    new Proxy(libp2p, {
      get(target, property) {
        if (property === 'handle')
          return (_: unknown, handler: StreamHandler) => Promise.resolve(take(handler));
        if (property === 'unhandle') return () => Promise.resolve();
        const value: unknown = Reflect.get(target, property, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });

  const onStream = async (stream: Stream, connection: Connection): Promise<void> => {
    try {
      stopping.signal.throwIfAborted();
      await load();
      await serveStream?.(stream, connection);
    } catch (thrown) {
      stream.abort(thrown instanceof Error ? thrown : new Error(String(thrown)));
    }
  };

  const fetchBlock = async (cid: CID): Promise<null> => {
    if (await blocks.has(cid)) {
      // Whoever added it tells by this that peers may be waiting for it.
      if (bitswap !== undefined) await (await bitswap).announce(cid);
      return null;
    }
    const wantMs = options.wantMs ?? WANT_MS;
    const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(wantMs)]);
    await havePeer(libp2p, options.peerMs ?? PEER_MS, cid, signal);
    let bytes: Uint8Array;
    try {
      bytes = await (await load()).want(cid, signal);
    } catch (thrown) {
      if (thrown instanceof NodeError) throw thrown;
      const peers = libp2p.getConnections().length;
      throw new NodeError(
        'InputUnavailable',
        stopping.signal.aborted
          ? `IPFS block ${cid.toString()}: the node stops`
          : `IPFS block ${cid.toString()}: none of ${peers} connected peer(s) sent it in ${wantMs / 1000} s`,
        { cause: thrown },
      );
    }
    await blocks.put(cid, bytes);
    return null;
  };

  return {
    async start() {
      await libp2p.handle(PROTOCOL, (stream, connection) => onStream(stream, connection), {
        maxInboundStreams: MAX_STREAMS,
        maxOutboundStreams: MAX_STREAMS,
      });
    },

    want(text) {
      const known = wants.get(text);
      if (known !== undefined) return known;
      if (wants.size >= MAX_WANTS) {
        return Promise.reject(
          new NodeError('InputUnavailable', `more than ${MAX_WANTS} IPFS blocks are being fetched already`),
        );
      }
      const fetching = Promise.resolve()
        .then(() => fetchBlock(parse(text)))
        .finally(() => wants.delete(text));
      wants.set(text, fetching);
      return fetching;
    },

    async stop() {
      stopping.abort(new NodeError('Stopping', 'the node stops'));
      await libp2p.unhandle(PROTOCOL);
      await Promise.allSettled(wants.values());
      const running = await bitswap?.catch(() => undefined);
      await running?.stop();
    },
  };
}

function parse(text: string): CID {
  try {
    return CID.parse(text);
  } catch (thrown) {
    throw new NodeError('InputInvalid', `ipfs: ${text} is no CID`, { cause: thrown });
  }
}

/** Waits for a first peer: without one nothing can be fetched, and saying so beats waiting for the deadline. */
async function havePeer(libp2p: Libp2p, waitMs: number, cid: CID, signal: AbortSignal): Promise<void> {
  if (libp2p.getConnections().length > 0) return;
  await new Promise<void>((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      libp2p.removeEventListener('connection:open', onOpen);
    };
    const onOpen = (): void => {
      end();
      resolve();
    };
    const fail = (): void => {
      end();
      reject(
        new NodeError(
          'InputUnavailable',
          `IPFS block ${cid.toString()}: the embedded IPFS node has no peer to fetch it from (connect one with --peer, or use a daemon with --ipfs-connect)`,
        ),
      );
    };
    const onAbort = (): void => fail();
    const timer = setTimeout(fail, waitMs);
    signal.addEventListener('abort', onAbort, { once: true });
    libp2p.addEventListener('connection:open', onOpen);
  });
}
