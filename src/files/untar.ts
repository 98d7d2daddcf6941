import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { type Extract, extract } from 'tar-stream';
import { NodeError } from '../core/errors.ts';
import { type TreeLimits, TreeWriter } from './tree.ts';

/** What an archive held. */
export interface Untarred {
  /** Bytes of file contents. */
  readonly bytes: number;
  /** True when the marker for the end of an archive was there; without it, entries may be missing. */
  readonly whole: boolean;
}

/** The archive stops in the middle of an entry. */
export class ArchiveCut extends NodeError {
  constructor(cause: unknown) {
    super('InputInvalid', 'the archive ends in the middle of an entry', { cause });
  }
}

/** Headers may take this many bytes beside the contents, so that an archive of nothing but headers ends. */
const HEADER_BYTES = 1024;
/** Tar counts in these. */
const RECORD_BYTES = 512;
/** Two records of zeros end an archive (POSIX pax, "ustar Interchange Format"). */
const END_BYTES = 2 * RECORD_BYTES;

/**
 * Unpacks a tar stream into the folder `root`. Nothing is written outside of it, whatever the archive says;
 * devices and pipes are refused. What was written before an error stays: the caller owns the folder.
 * @param rename gives each entry its name below `root`; undefined leaves it out
 * @throws NodeError InputInvalid, InputTooLarge, DiskFull
 */
export async function untar(
  source: AsyncIterable<Uint8Array>,
  root: string,
  limits: TreeLimits,
  rename: (name: string) => string | undefined = (name) => name,
): Promise<Untarred> {
  const tree = new TreeWriter(root, limits);
  const archive = extract();
  let received = 0;
  let entriesEnd = 0;
  let ended = false;
  const count = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      received += chunk.byteLength;
      yield chunk;
    }
    ended = true;
  };
  const feeding = pipeline(count, archive, { signal: limits.signal });
  // The reader below sees the same failure; this keeps it from counting as unhandled meanwhile.
  feeding.catch(() => undefined);
  try {
    for await (const entry of archive) {
      const { header, offset } = entry;
      entriesEnd = offset + RECORD_BYTES + Math.ceil(header.size / RECORD_BYTES) * RECORD_BYTES;
      const name = rename(header.name);
      if (name === undefined) entry.resume();
      else await writeEntry(tree, name, entry, rename);
    }
    await feeding;
    await tree.finish();
  } catch (thrown) {
    archive.destroy();
    limits.signal.throwIfAborted();
    if (thrown instanceof NodeError) throw thrown;
    // An entry that is being read fails with another error than the archive itself.
    const cut =
      (ended && received < entriesEnd) || (thrown instanceof Error && thrown.message === CUT_MESSAGE);
    if (cut) throw new ArchiveCut(thrown);
    throw isArchiveError(thrown)
      ? new NodeError('InputInvalid', `not a tar archive: ${thrown.message}`, { cause: thrown })
      : thrown;
  }
  return { bytes: tree.bytes, whole: received >= entriesEnd + END_BYTES };
}

/**
 * Unpacks a gzip-compressed tar stream into `root`.
 * @throws NodeError InputInvalid, InputTooLarge, DiskFull
 */
export async function untarGzip(
  source: AsyncIterable<Uint8Array>,
  root: string,
  limits: TreeLimits,
): Promise<Untarred> {
  const gunzip = createGunzip();
  const feeding = pipeline(source, gunzip, { signal: limits.signal });
  feeding.catch(() => undefined);
  try {
    const most = limits.maxBytes + limits.maxEntries * HEADER_BYTES;
    return await untar(atMost(gunzip, most, limits.maxBytes), root, limits);
  } finally {
    gunzip.destroy();
  }
}

async function* atMost(
  source: AsyncIterable<Uint8Array>,
  most: number,
  allowed: number,
): AsyncGenerator<Uint8Array> {
  let seen = 0;
  for await (const chunk of source) {
    seen += chunk.byteLength;
    if (seen > most) throw new NodeError('InputTooLarge', `more than the ${allowed} bytes that are allowed`);
    yield chunk;
  }
}

type Entry = Extract extends AsyncIterable<infer E> ? E : never;

async function writeEntry(
  tree: TreeWriter,
  name: string,
  entry: Entry,
  rename: (name: string) => string | undefined,
): Promise<void> {
  const { header } = entry;
  // The library types what an entry yields as unknown; it yields buffers.
  const content = entry as AsyncIterable<unknown> as AsyncIterable<Uint8Array>;
  switch (header.type) {
    case 'file':
    case 'contiguous-file':
      await tree.file(name, content, ((header.mode ?? 0) & 0o111) !== 0);
      return;
    case 'directory':
      await tree.directory(name);
      break;
    case 'symlink':
      tree.symbolicLink(name, header.linkname ?? '');
      break;
    case 'link': {
      const existing = rename(header.linkname ?? '');
      if (existing === undefined) throw new NodeError('InputInvalid', `${name} is a link to nothing`);
      await tree.hardLink(name, existing);
      break;
    }
    default:
      throw new NodeError(
        'InputInvalid',
        `${name} is a ${String(header.type)}; only files, folders and links are unpacked`,
      );
  }
  entry.resume();
}

/** What tar-stream says, without a code. */
const CUT_MESSAGE = 'Unexpected end of data';
const ZLIB_CODE = /^Z_/;

function isArchiveError(thrown: unknown): thrown is Error {
  if (!(thrown instanceof Error) || thrown instanceof NodeError) return false;
  if ('code' in thrown && typeof thrown.code === 'string') {
    return ZLIB_CODE.test(thrown.code) || thrown.code === 'ERR_STREAM_PREMATURE_CLOSE';
  }
  return thrown.name === 'Error';
}
