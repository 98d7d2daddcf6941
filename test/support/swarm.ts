import { join } from 'node:path';
import { pino } from 'pino';
import type { IpfsClient } from '../../src/ipfs/client.ts';
import { createEmbeddedClient } from '../../src/ipfs/embedded/client.ts';
import { createEmbeddedIpfs, type EmbeddedIpfs } from '../../src/ipfs/embedded/node.ts';
import { createHost, type P2pHost } from '../../src/net/p2p/host.ts';
import { loadIdentity } from '../../src/net/p2p/identity.ts';
import { temporaryFolder } from './folders.ts';
import type { Scope } from './node.ts';

/** A libp2p host with the embedded IPFS node on it, as a daemon has them. */
export interface SwarmNode {
  readonly host: P2pHost;
  readonly ipfs: EmbeddedIpfs;
  /** What a worker thread would use. */
  readonly client: IpfsClient;
  /** Resolves when bitswap is loaded: a peer has sent a message, or a block was wanted. */
  readonly loaded: Promise<void>;
}

/** Starts one on the loopback, connected to `peers` as far as they answer; stopped after the test. */
export async function swarmNode(
  t: Scope,
  options: { peers?: readonly string[]; stallMs?: number; wantMs?: number; peerMs?: number } = {},
): Promise<SwarmNode> {
  const { promise: loaded, resolve: onLoaded } = Promise.withResolvers<void>();
  const logger = pino(
    { level: 'debug' },
    { write: (line: string) => (line.includes('embedded IPFS node is loaded') ? onLoaded() : undefined) },
  );
  const folder = await temporaryFolder(t);
  const { privateKey } = await loadIdentity(folder);
  const peers = options.peers ?? [];
  const host = await createHost({ privateKey, host: '127.0.0.1', port: 0, peers }, { logger });
  const blocksDirectory = join(folder, 'blocks');
  const { stallMs = 15_000, wantMs = 15_000, peerMs = 5_000 } = options;
  const ipfs = createEmbeddedIpfs({ blocksDirectory, wantMs, peerMs }, { libp2p: host.libp2p, logger });
  await ipfs.start();
  t.after(async () => {
    await ipfs.stop();
    await host.stop();
  });
  const allConnected = new Promise<void>((resolve) => {
    const end = host.onPeerConnect(() => {
      if (host.peers().length < peers.length) return;
      end();
      resolve();
    });
  });
  await host.start();
  if (peers.length > 0) await allConnected;
  const client = createEmbeddedClient({ blocksDirectory, stallMs }, { ask: ({ cid }) => ipfs.want(cid) });
  return { host, ipfs, client, loaded };
}
