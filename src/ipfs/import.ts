import { createReadStream } from 'node:fs';
import { readlink } from 'node:fs/promises';
import {
  type DirectoryCandidate,
  type FileCandidate,
  importer,
  type SymlinkCandidate,
} from 'ipfs-unixfs-importer';
import type { CID } from 'multiformats/cid';
import { NodeError } from '../core/errors.ts';
import { walk } from '../files/pack.ts';

const ROOT = 'results';
const READ_BYTES = 1 << 18;

/** Where blocks go. */
export interface BlockSink {
  /** Resolves when there is room for the next. */
  put(cid: CID, bytes: Uint8Array): Promise<void>;
}

/**
 * Chunks and hashes a folder into blocks, in this thread; answers the CID of the folder. The layout is that of
 * the `unixfs-v1-2025` profile: CIDv1, raw leaves, chunks of 1 MiB, 1,024 links a node.
 */
export async function importFolder(directory: string, blocks: BlockSink, signal: AbortSignal): Promise<CID> {
  const storage = {
    async put(
      cid: CID,
      content: Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    ): Promise<CID> {
      signal.throwIfAborted();
      await blocks.put(cid, await collect(content));
      return cid;
    },
  };
  let root: CID | undefined;
  for await (const entry of importer(candidates(directory, signal), storage, { profile: 'unixfs-v1-2025' })) {
    if (entry.path === ROOT) root = entry.cid;
  }
  if (root === undefined) throw new NodeError('PublishFailed', `nothing was added from ${directory}`);
  return root;
}

type Candidate = FileCandidate | DirectoryCandidate | SymlinkCandidate;

async function* candidates(directory: string, signal: AbortSignal): AsyncGenerator<Candidate> {
  yield { path: ROOT };
  for await (const entry of walk(directory)) {
    signal.throwIfAborted();
    const path = `${ROOT}/${entry.name}`;
    switch (entry.kind) {
      case 'directory':
        yield { path };
        break;
      case 'symlink':
        yield { path, link: await readlink(entry.path) };
        break;
      case 'file':
        yield { path, content: createReadStream(entry.path, { highWaterMark: READ_BYTES, signal }) };
        break;
    }
  }
}

async function collect(
  content: Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<Uint8Array> {
  if (content instanceof Uint8Array) return content;
  const pieces: Uint8Array[] = [];
  for await (const piece of content) pieces.push(piece);
  return Buffer.concat(pieces);
}
