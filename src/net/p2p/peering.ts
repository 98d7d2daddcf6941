import type { Libp2p, PeerId } from '@libp2p/interface';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { base58btc } from 'multiformats/bases/base58';
import { CID } from 'multiformats/cid';
import * as digest from 'multiformats/hashes/digest';
import { NodeError } from '../../core/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';

/** Keeps connections to configured peers. */
export interface Peering {
  start(): void;
  /** Resolves when no dial is in progress any more. */
  stop(): Promise<void>;
}

/** Waits between dials of one peer, in milliseconds. */
export interface PeeringOptions {
  readonly peers: readonly Multiaddr[];
  readonly firstDelayMs: number;
  readonly longestDelayMs: number;
  readonly dialMs: number;
}

const DIALLED: ReadonlySet<string> = new Set(['ip4', 'ip6', 'dns', 'dns4', 'dns6']);
/** The connection manager closes the connections with the smallest sum of tags first. */
const TAG = 'bacalhau-configured-peer';
const TAG_VALUE = 100;

/**
 * The addresses of configured peers, each a multiaddr over TCP. "none" and "" are no peer.
 * @throws NodeError ConfigInvalid that names the address and what was expected
 */
export function parsePeers(texts: readonly string[]): Multiaddr[] {
  const found: Multiaddr[] = [];
  for (const text of texts.flatMap((entry) => entry.split(','))) {
    const value = text.trim();
    if (value === '' || value.toLowerCase() === 'none') continue;
    found.push(parsePeer(value));
  }
  return found;
}

function parsePeer(value: string): Multiaddr {
  const expected = 'expected a multiaddr such as /ip4/10.0.0.5/tcp/1235/p2p/12D3KooW…';
  let address: Multiaddr;
  try {
    address = multiaddr(value);
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new NodeError('ConfigInvalid', `peer address ${value}: ${reason}; ${expected}`, { cause: thrown });
  }
  const [host, transport, id, ...rest] = address.getComponents();
  const plain =
    host !== undefined && DIALLED.has(host.name) && transport?.name === 'tcp' && rest.length === 0;
  if (!plain || (id !== undefined && id.name !== 'p2p')) {
    throw new NodeError(
      'ConfigInvalid',
      `peer address ${value}: this node dials over plain TCP only; ${expected}`,
    );
  }
  if (id !== undefined && !isPeerId(id.value ?? '')) {
    throw new NodeError(
      'ConfigInvalid',
      `peer address ${value}: ${id.value ?? ''} is no peer id; ${expected}`,
    );
  }
  return address;
}

const LIBP2P_KEY = 0x72;

/** Both spellings of the peer-ids specification: a base58 multihash, or a CID of it. */
function isPeerId(text: string): boolean {
  try {
    if (!/^(?:1|Qm)/.test(text)) return CID.parse(text).code === LIBP2P_KEY;
    digest.decode(base58btc.baseDecode(text));
    return true;
  } catch {
    return false;
  }
}

/**
 * Dials every configured peer and dials it again whenever the connection is lost, for ever, with growing and
 * jittered waits.
 */
export function createPeering(
  options: PeeringOptions,
  modules: { readonly libp2p: Libp2p; readonly logger: Logger },
): Peering {
  const { libp2p, logger } = modules;
  const stopping = new AbortController();
  let loops: Promise<void>[] = [];

  const keep = async (address: Multiaddr): Promise<void> => {
    const peer = address.toString();
    for (let failures = 0; !stopping.signal.aborted; ) {
      try {
        const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(options.dialMs)]);
        const { remotePeer } = await libp2p.dial(address, { signal });
        await libp2p.peerStore.merge(remotePeer, { tags: { [TAG]: { value: TAG_VALUE } } });
        logger.info({ peer }, 'connected to peer');
        failures = 0;
        await disconnected(libp2p, remotePeer, stopping.signal);
        if (!stopping.signal.aborted) logger.warn({ peer }, 'lost the connection to peer');
      } catch (thrown) {
        if (stopping.signal.aborted) return;
        const reason = thrown instanceof Error ? thrown.message : String(thrown);
        // Said once; a peer that stays away would fill the log.
        logger[failures === 0 ? 'warn' : 'debug']({ peer, reason }, 'cannot reach peer, trying again');
        failures += 1;
      }
      const delay = Math.min(options.longestDelayMs, options.firstDelayMs * 2 ** Math.min(failures, 16));
      await pause(delay * (0.5 + Math.random()), stopping.signal);
    }
  };

  return {
    start() {
      loops = options.peers.map((address) => keep(address));
    },
    async stop() {
      stopping.abort(new NodeError('Stopping', 'the node stops'));
      await Promise.all(loops);
    },
  };
}

/** Resolves when no connection to `peer` is left, or at the end of the signal. */
function disconnected(libp2p: Libp2p, peer: PeerId, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      libp2p.removeEventListener('peer:disconnect', onDisconnect);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const onDisconnect = (event: CustomEvent<PeerId>): void => {
      if (event.detail.equals(peer)) end();
    };
    libp2p.addEventListener('peer:disconnect', onDisconnect);
    signal.addEventListener('abort', end, { once: true });
    // It may have been lost between the dial and the listener.
    if (signal.aborted || libp2p.getConnections(peer).length === 0) end();
  });
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
  });
}
