import { lstat, rm } from 'node:fs/promises';
import { NodeError } from '../../core/errors.ts';
import { fileError } from '../../files/tree.ts';
import { ArchiveCut, untar } from '../../files/untar.ts';
import { parseCid } from '../cid.ts';
import { IPFS_STALL_MS, type IpfsClient } from '../client.ts';
import { parseIpfsConnect, rpcAuthorization } from '../connect.ts';
import { StallWatch } from '../stall.ts';
import { KuboError, KuboRpc } from './rpc.ts';

/** How to reach a Kubo daemon. */
export interface KuboClientOptions {
  /** Multiaddr or URL of its RPC. */
  readonly connect: string;
  /** "bearer:…", "basic:…:…" or a whole Authorization header; "" for none. */
  readonly authorization: string;
  /** Longest silence in a transfer, in milliseconds. */
  readonly stallMs?: number;
  /** Longest time of a short call, in milliseconds. */
  readonly callMs?: number;
}

/** A Kubo daemon and the calls to it. */
export interface KuboClient extends IpfsClient {
  close(): Promise<void>;
}

const CALL_MS = 30_000;
/** Files and folders one CID may unfold to. */
const MAX_ENTRIES = 1_000_000;
/** What Kubo is told in calls that may not ask the network. */
const OFFLINE = { offline: true } as const;

/**
 * A client of a Kubo daemon. Connects when it is used.
 * @throws NodeError ConfigInvalid for a malformed address
 */
export function createKuboClient(options: KuboClientOptions): KuboClient {
  const rpc = new KuboRpc({
    url: parseIpfsConnect(options.connect),
    authorization: rpcAuthorization(options.authorization),
    callMs: options.callMs ?? CALL_MS,
  });
  const stallMs = options.stallMs ?? IPFS_STALL_MS;

  return {
    async add(directory, { signal }) {
      // Chunking and hashing are a large import, which only who publishes needs.
      const { addFolder } = await import('./add.ts');
      const watch = new StallWatch(stallMs, 'adding to IPFS', signal);
      try {
        return (await addFolder(rpc, directory, watch)).toString();
      } catch (thrown) {
        signal.throwIfAborted();
        throw publishError(thrown);
      } finally {
        watch.stop();
      }
    },

    async get(cid, into, { signal, maxBytes, outsideLinks = 'refuse' }) {
      const root = parseCid(cid);
      const watch = new StallWatch(stallMs, `IPFS ${root.toString()}`, signal);
      const cut = (): KuboError => rpc.refusal(`its answer for ${root.toString()} ended early`);
      try {
        const archive = rpc.stream(
          (client, ending) => client.get(root, { archive: true, signal: ending }),
          watch.signal,
        );
        const limits = { maxBytes, maxEntries: MAX_ENTRIES, outsideLinks, signal: watch.signal };
        const { bytes, whole } = await untar(watch.watch(archive), into, limits, inner);
        // Kubo tells a failure in the middle in an HTTP trailer, which `fetch` does not show.
        if (!whole) throw cut();
        const kind = (await lstat(into)).isDirectory() ? 'directory' : 'file';
        return { kind, bytes };
      } catch (thrown) {
        await rm(into, { recursive: true, force: true });
        signal.throwIfAborted();
        throw thrown instanceof ArchiveCut ? cut() : thrown;
      } finally {
        watch.stop();
      }
    },

    async has(cid, signal) {
      const root = parseCid(cid);
      const all = { ...OFFLINE, recursive: true, unique: true };
      return local(async () => {
        await rpc.call(async (client, ending) => {
          for await (const { err } of client.refs(root, { ...all, signal: ending })) {
            if (err !== undefined && String(err) !== '') throw rpc.refusal(String(err));
          }
        }, signal);
        return true;
      }, false);
    },

    async size(cid, signal) {
      const path = `/ipfs/${parseCid(cid).toString()}`;
      return local(async () => {
        const { cumulativeSize } = await rpc.call(
          (client, ending) => client.files.stat(path, { ...OFFLINE, signal: ending }),
          signal,
        );
        return Number.isSafeInteger(cumulativeSize) ? cumulativeSize : undefined;
      }, undefined);
    },

    async ping(signal) {
      await rpc.call((client, ending) => client.version({ signal: ending }), signal);
    },

    close: async () => rpc.close(),
  };
}

function publishError(thrown: unknown): unknown {
  const known = fileError(thrown, 'PublishFailed');
  if (!(known instanceof Error)) return known;
  if (known instanceof NodeError && known.code !== 'InputUnavailable') return known;
  return new NodeError('PublishFailed', known.message, { cause: thrown });
}

/** Kubo's archive has one thing in it, named by its CID. */
function inner(name: string): string {
  return name.replace(/^[^/]+\/?/, '');
}

/** `otherwise` where the daemon says that a block is not there. */
async function local<T>(work: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (thrown instanceof KuboError && thrown.notLocal) return otherwise;
    throw thrown;
  }
}
