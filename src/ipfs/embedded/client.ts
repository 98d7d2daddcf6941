import { rm } from 'node:fs/promises';
import { NodeError } from '../../core/errors.ts';
import { fileError, TreeWriter } from '../../files/tree.ts';
import { parseCid } from '../cid.ts';
import { IPFS_STALL_MS, type IpfsClient } from '../client.ts';
import { importFolder } from '../import.ts';
import { StallWatch } from '../stall.ts';
import { BlockFiles } from './blocks.ts';
import { cumulativeSize, isComplete } from './dag.ts';
import { exportTree } from './export.ts';
import { type AskForBlock, BlockFetcher } from './fetch.ts';

/** The embedded node as a thread sees it. */
export interface EmbeddedClientOptions {
  readonly blocksDirectory: string;
  /** Longest silence in a transfer, in milliseconds. */
  readonly stallMs?: number;
}

/** Files and folders one CID may unfold to. */
const MAX_ENTRIES = 1_000_000;
const ANNOUNCE_MS = 5_000;

/**
 * The thread half of the embedded node: works on the shared block folder by itself, and asks the main thread's
 * bitswap only for blocks that are missing.
 */
export function createEmbeddedClient(
  options: EmbeddedClientOptions,
  modules: { readonly ask: AskForBlock },
): IpfsClient {
  const blocks = new BlockFiles(options.blocksDirectory);
  const stallMs = options.stallMs ?? IPFS_STALL_MS;

  return {
    async add(directory, { signal }) {
      try {
        const root = await importFolder(directory, blocks, signal);
        await blocks.pin(root);
        // A peer that has asked for it before is told; when none has, this does nothing.
        const briefly = AbortSignal.any([signal, AbortSignal.timeout(ANNOUNCE_MS)]);
        await modules.ask({ kind: 'ipfs-want', cid: root.toString() }, briefly).catch(() => undefined);
        return root.toString();
      } catch (thrown) {
        signal.throwIfAborted();
        throw fileError(thrown, 'PublishFailed');
      }
    },

    async get(cid, into, { signal, maxBytes, outsideLinks = 'refuse' }) {
      const root = parseCid(cid);
      const watch = new StallWatch(stallMs, `IPFS ${root.toString()}`, signal);
      const source = new BlockFetcher(
        { signal: watch.signal, onBlock: () => watch.touch() },
        { blocks, ask: modules.ask },
      );
      const tree = new TreeWriter(into, {
        maxBytes,
        maxEntries: MAX_ENTRIES,
        outsideLinks,
        signal: watch.signal,
      });
      try {
        const kind = await exportTree(root, tree, source);
        return { kind, bytes: tree.bytes };
      } catch (thrown) {
        await rm(into, { recursive: true, force: true });
        signal.throwIfAborted();
        if (watch.signal.aborted) throw watch.signal.reason;
        throw asInputError(thrown);
      } finally {
        watch.stop();
      }
    },

    has: async (cid, signal) => isComplete(parseCid(cid), blocks, signal),
    size: async (cid) => cumulativeSize(parseCid(cid), blocks),
    // It is a part of this process.
    ping: () => Promise.resolve(),
  };
}

function asInputError(thrown: unknown): unknown {
  const known = fileError(thrown);
  if (known instanceof NodeError || !(known instanceof Error)) return known;
  return new NodeError('InputUnavailable', `IPFS: ${known.message}`, { cause: thrown });
}
