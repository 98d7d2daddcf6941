import { withBitswap } from '@helia/bitswap';
import type { Libp2p } from '@libp2p/interface';
import type { CID } from 'multiformats/cid';
import { identity } from 'multiformats/hashes/identity';
import type { MultihashHasher } from 'multiformats/hashes/interface';
import { sha256, sha512 } from 'multiformats/hashes/sha2';
import { NodeError } from '../../core/errors.ts';
import type { BlockFiles } from './blocks.ts';

/** Exchanges blocks with connected peers. */
export interface Bitswap {
  /** Fetches a block; it is verified by its hash. @throws what the signal was aborted with */
  want(cid: CID, signal: AbortSignal): Promise<Uint8Array>;
  /** Sends the block to peers that have asked for it. */
  announce(cid: CID): Promise<void>;
  stop(): Promise<void>;
}

type HeliaNode = Parameters<typeof withBitswap>[0];
type HeliaMixin = Parameters<HeliaNode['addMixin']>[0];

/** What bitswap adds to a node: Helia's block broker, as far as it is used here. */
interface Broker {
  retrieve(cid: CID, options: { signal: AbortSignal }): Promise<Uint8Array>;
  announce(cid: CID): Promise<void>;
  stop(): Promise<void>;
}

const HASHERS: readonly MultihashHasher[] = [identity, sha256, sha512];

/**
 * Helia's bitswap, on our blocks and our libp2p. It is started through Helia's extension point, with only that
 * part of a node behind it which bitswap uses: all of Helia would add some 70 MB and half a second.
 */
export async function startBitswap(modules: { libp2p: Libp2p; blocks: BlockFiles }): Promise<Bitswap> {
  const { libp2p, blocks } = modules;
  const mixins: HeliaMixin[] = [];
  const brokers: Broker[] = [];
  const node = {
    status: 'starting',
    libp2p,
    logger: libp2p.logger,
    // Peers are connected by the operator, never looked for.
    routing: { findProviders: noProviders },
    blockstore: {
      has: (cid: CID) => blocks.has(cid),
      async *get(cid: CID): AsyncGenerator<Uint8Array> {
        const bytes = await blocks.get(cid);
        if (bytes === undefined) throw notFound(cid);
        yield bytes;
      },
    },
    getHasher: (code: number): MultihashHasher => {
      const hasher = HASHERS.find((candidate) => candidate.code === code);
      if (hasher === undefined)
        throw new NodeError('InputInvalid', `IPFS: hash function ${code} is not supported`);
      return hasher;
    },
    addMixin: (mixin: HeliaMixin) => void mixins.push(mixin),
    hasBlockBroker: () => brokers.length > 0,
    addBlockBroker: (broker: Broker) => void brokers.push(broker),
  };
  withBitswap(node as unknown as HeliaNode);
  for (const mixin of mixins) await mixin.start?.(node as unknown as HeliaNode);
  const [broker] = brokers;
  if (broker === undefined) {
    throw new NodeError('Internal', 'bitswap did not start: its package has changed its extension point');
  }
  return {
    want: (cid, signal) => broker.retrieve(cid, { signal }),
    announce: (cid) => broker.announce(cid),
    stop: () => broker.stop(),
  };
}

async function* noProviders(): AsyncGenerator<never> {
  yield* [];
}

function notFound(cid: CID): Error {
  const error = new Error(`block ${cid.toString()} is not here`);
  // Bitswap tells a missing block from a failure by this name.
  error.name = 'NotFoundError';
  return error;
}
