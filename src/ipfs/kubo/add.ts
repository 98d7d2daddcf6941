import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readlink } from 'node:fs/promises';
import { UnixFS } from 'ipfs-unixfs';
import type { ImportCandidate } from 'kubo-rpc-client';
import type { CID } from 'multiformats/cid';
import { NodeError } from '../../core/errors.ts';
import { walk } from '../../files/pack.ts';
import { fileError } from '../../files/tree.ts';
import type { StallWatch } from '../stall.ts';
import type { KuboRpc } from './rpc.ts';

const ROOT = 'results';
const READ_BYTES = 1 << 18;
/** The layout of the `unixfs-v1-2025` profile; the embedded node makes the same, so that both give the same CID. */
const LAYOUT = {
  cidVersion: 1,
  rawLeaves: true,
  chunker: 'size-1048576',
  maxFileLinks: 1024,
} as const;
/** A daemon refuses more than 256 changes, of all its clients, that are not flushed. */
const LINKS_A_FLUSH = 16;
const CLEAN_UP_MS = 10_000;

/**
 * Adds a folder and pins it, with every piece streamed from its file.
 * @throws NodeError
 */
export async function addFolder(rpc: KuboRpc, directory: string, watch: StallWatch): Promise<CID> {
  const links = await symbolicLinks(directory);
  const uploaded = await upload(rpc, directory, links.length === 0, watch);
  const root = links.length === 0 ? uploaded : await withLinks(rpc, uploaded, links, watch);
  // An error after the last line of an answer is in an HTTP trailer, which `fetch` does not show: ask once more.
  await rpc.transfer((client, signal) => client.pin.add(root, { signal }), watch.signal);
  return root;
}

interface SymbolicLink {
  /** Relative to the folder, with "/" between parts. */
  readonly name: string;
  readonly path: string;
}

async function symbolicLinks(directory: string): Promise<SymbolicLink[]> {
  const links: SymbolicLink[] = [];
  for await (const { kind, name, path } of walk(directory)) {
    if (kind === 'symlink') links.push({ name, path });
  }
  return links;
}

/** Everything but symbolic links, for which `addAll` has no form. */
async function upload(rpc: KuboRpc, directory: string, pin: boolean, watch: StallWatch): Promise<CID> {
  const reading = new AbortController();
  const signal = AbortSignal.any([watch.signal, reading.signal]);
  let failure: unknown;
  const told = async function* <T>(source: AsyncIterable<T>): AsyncGenerator<T> {
    try {
      yield* watch.watch(source);
    } catch (thrown) {
      // The client ends the request when its source fails, and forgets why.
      failure ??= thrown;
      throw thrown;
    }
  };
  const entries = async function* (): AsyncGenerator<ImportCandidate> {
    yield { path: ROOT };
    for await (const { kind, name, path } of walk(directory)) {
      if (kind === 'symlink') continue;
      if (kind === 'directory') yield { path: `${ROOT}/${name}` };
      else {
        const content = createReadStream(path, { highWaterMark: READ_BYTES, signal });
        yield { path: `${ROOT}/${name}`, content: told<Uint8Array>(content) };
      }
    }
  };
  const options = { ...LAYOUT, pin, progress: () => watch.touch() };
  let root: CID | undefined;
  try {
    const added = rpc.stream((client, ending) => {
      return client.addAll(told(entries()), { ...options, signal: ending });
    }, watch.signal);
    for await (const { path, cid } of watch.watch(added)) if (path === ROOT) root = cid;
  } catch (thrown) {
    watch.signal.throwIfAborted();
    throw failure === undefined ? thrown : unreadable(failure);
  } finally {
    reading.abort();
  }
  if (root === undefined) throw new NodeError('PublishFailed', 'the IPFS daemon did not say what it added');
  return root;
}

/**
 * The folder `root` with symbolic links put in, through a copy in the daemon's own file system (MFS), which
 * knows folders of any size. Answers the CID of the new folder.
 */
async function withLinks(
  rpc: KuboRpc,
  root: CID,
  links: readonly SymbolicLink[],
  watch: StallWatch,
): Promise<CID> {
  const copy = `/bacalhau-${randomUUID()}`;
  try {
    return await rpc.transfer(async (client, signal) => {
      await client.files.cp(root, copy, { signal });
      for (const [index, { name, path }] of links.entries()) {
        const Data = new UnixFS({ type: 'symlink', data: Buffer.from(await readlink(path)) }).marshal();
        const link = await client.dag.put(
          { Data, Links: [] },
          { storeCodec: 'dag-pb', hashAlg: 'sha2-256', signal },
        );
        // With a flush of its own Kubo refuses a link.
        await client.files.cp(link, `${copy}/${name}`, { flush: false, signal });
        if (index % LINKS_A_FLUSH === LINKS_A_FLUSH - 1) await client.files.flush(copy, { signal });
        watch.touch();
      }
      return client.files.flush(copy, { signal });
    }, watch.signal);
  } finally {
    const briefly = AbortSignal.timeout(CLEAN_UP_MS);
    await rpc
      .transfer((client, signal) => client.files.rm(copy, { recursive: true, signal }), briefly)
      // The copy is small and harmless, and what counts is the outcome above.
      .catch(() => undefined);
  }
}

function unreadable(thrown: unknown): unknown {
  const known = fileError(thrown, 'PublishFailed');
  if (known instanceof NodeError) return known;
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  return new NodeError('PublishFailed', `the results cannot be read: ${reason}`, { cause: thrown });
}
