import { lstat, rm } from 'node:fs/promises';
import { NodeError } from '../../core/errors.ts';
import { untar } from '../../files/untar.ts';
import { parseCid } from '../cid.ts';
import { IPFS_STALL_MS, type IpfsClient } from '../client.ts';
import { parseIpfsConnect, rpcAuthorization } from '../connect.ts';
import { StallWatch } from '../stall.ts';
import { uploadFolder } from './multipart.ts';
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

/** A Kubo daemon and its connections. */
export interface KuboClient extends IpfsClient {
  close(): Promise<void>;
}

const CALL_MS = 30_000;
/** Files and folders one CID may unfold to. */
const MAX_ENTRIES = 1_000_000;
/** The layout of the `unixfs-v1-2025` profile; the embedded node makes the same, so that both give the same CID. */
const ADD_LAYOUT = {
  'cid-version': '1',
  'raw-leaves': 'true',
  chunker: 'size-1048576',
  'max-file-links': '1024',
} as const;

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
      const watch = new StallWatch(stallMs, 'adding to IPFS', signal);
      try {
        const upload = uploadFolder(directory);
        const answer = await rpc.stream(
          'add',
          { pin: 'true', quieter: 'true', 'stream-channels': 'true', ...ADD_LAYOUT },
          { signal: watch.signal, body: watch.watch(upload.body), contentType: upload.contentType },
        );
        return await addedCid(watch.watch(answer), upload.root);
      } catch (thrown) {
        signal.throwIfAborted();
        throw thrown instanceof NodeError
          ? new NodeError('PublishFailed', thrown.message, { cause: thrown })
          : thrown;
      } finally {
        watch.stop();
      }
    },

    async get(cid, into, { signal, maxBytes, outsideLinks = 'refuse' }) {
      const root = parseCid(cid).toString();
      const watch = new StallWatch(stallMs, `IPFS ${root}`, signal);
      try {
        const answer = await rpc.stream('get', { arg: root, archive: 'true' }, { signal: watch.signal });
        const limits = { maxBytes, maxEntries: MAX_ENTRIES, outsideLinks, signal: watch.signal };
        const { bytes } = await untar(watch.watch(answer), into, limits, inner);
        const kind = (await lstat(into)).isDirectory() ? 'directory' : 'file';
        return { kind, bytes };
      } catch (thrown) {
        await rm(into, { recursive: true, force: true });
        signal.throwIfAborted();
        throw thrown;
      } finally {
        watch.stop();
      }
    },

    async has(cid, signal) {
      const arg = parseCid(cid).toString();
      return local(async () => {
        await rpc.call('dag/stat', { arg, offline: 'true', progress: 'false' }, signal);
        return true;
      }, false);
    },

    async size(cid, signal) {
      const arg = `/ipfs/${parseCid(cid).toString()}`;
      return local(async () => {
        const stat = await rpc.call('files/stat', { arg, offline: 'true' }, signal);
        return cumulativeSize(stat);
      }, undefined);
    },

    async ping(signal) {
      await rpc.call('version', {}, signal);
    },

    close: () => rpc.close(),
  };
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

function cumulativeSize(stat: unknown): number | undefined {
  if (typeof stat !== 'object' || stat === null || !('CumulativeSize' in stat)) return undefined;
  const bytes = Number(stat.CumulativeSize);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Reads Kubo's lines, one for each thing added; the folder itself is among the last. */
async function addedCid(answer: AsyncIterable<Uint8Array>, root: string): Promise<string> {
  const decoder = new TextDecoder();
  let rest = '';
  let cid: string | undefined;
  for await (const chunk of answer) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) cid = lineCid(line, root) ?? cid;
  }
  cid = lineCid(rest, root) ?? cid;
  if (cid === undefined) throw new NodeError('PublishFailed', 'the IPFS daemon did not say what it added');
  return cid;
}

function lineCid(line: string, root: string): string | undefined {
  if (line.trim() === '') return undefined;
  const value: unknown = JSON.parse(line);
  if (typeof value !== 'object' || value === null) return undefined;
  if ('Message' in value) throw new NodeError('PublishFailed', `IPFS daemon: ${String(value.Message)}`);
  return 'Name' in value && value.Name === root && 'Hash' in value ? String(value.Hash) : undefined;
}
