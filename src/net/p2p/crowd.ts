import type { Connection, Libp2p } from '@libp2p/interface';
import type { NodeId } from '../../core/ids.ts';

/** Connections above this share of the most make room for those that come. */
const CROWDED = 0.9;
/** A peer has this long to show what it wants. */
const GRACE_MS = 10_000;

/** Keeps strangers from taking all connections. */
export interface Crowd {
  /** Connections of this peer stay. */
  keep(peer: NodeId): void;
  /** They may go again. */
  release(peer: NodeId): void;
}

/**
 * libp2p refuses inbound connections when there are as many as it may have, whoever holds them. So when most are
 * taken, those that came in, have no link and are not new are closed, the oldest first.
 */
export function createCrowd(
  options: { readonly most: number; readonly graceMs?: number },
  libp2p: Libp2p,
): Crowd {
  const kept = new Set<NodeId>();
  const graceMs = options.graceMs ?? GRACE_MS;
  const isStranger = ({ direction, remotePeer, timeline }: Connection, nowMs: number): boolean =>
    direction === 'inbound' && timeline.open + graceMs <= nowMs && !kept.has(remotePeer.toString());
  libp2p.addEventListener('connection:open', () => {
    const connections = libp2p.getConnections();
    const tooMany = connections.length - Math.floor(options.most * CROWDED);
    if (tooMany <= 0) return;
    const nowMs = Date.now();
    const strangers = connections.filter((connection) => isStranger(connection, nowMs));
    strangers.sort((a, b) => a.timeline.open - b.timeline.open);
    for (const stranger of strangers.slice(0, tooMany)) {
      stranger.close().catch(() => stranger.abort(new Error('another peer needs the connection')));
    }
  });
  return {
    keep: (peer) => void kept.add(peer),
    release: (peer) => void kept.delete(peer),
  };
}
