import { open, stat } from 'node:fs/promises';
import { NodeError } from '../core/errors.ts';

const HEADER_BYTES = 4096 * 3;
const BOLT_MAGIC = 0xed0cdaed;
const LMDB_MAGIC = 0xbeefc0de;
/** Both formats begin with a page header: bolt's takes 16 bytes, and so did LMDB's before its data version 2. */
const OLD_PAGE_HEADER = 16;
const PAGE_HEADER = 24;
/** Offsets within LMDB's meta page (struct MDB_meta of liblmdb 0.9.90, data version 2). */
const META_VERSION = 4;
const META_PAGE_SIZE = 24;
const META_LAST_PAGE = 120;
const DATA_VERSION = 2;
/** LMDB never writes pages that a transaction took and gave back, so that the file may end a little early. */
const UNWRITTEN_PAGES = 1024;

function foreign(path: string, what: string): NodeError {
  return new NodeError(
    'StoreForeign',
    `${path} is ${what}, not a store of this node. It was left as it is: move it away, or name another path for the store`,
    { details: { path } },
  );
}

async function readHeader(path: string): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const header = Buffer.alloc(HEADER_BYTES);
    const { bytesRead } = await file.read(header, 0, HEADER_BYTES, 0);
    return header.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

function magicAt(header: Buffer, offset: number): number {
  return header.length >= offset + 4 ? header.readUInt32LE(offset) : 0;
}

/** Bytes the file must have, from the meta page that is newest; 0 when it cannot be told. */
function neededBytes(header: Buffer): number {
  const pageSize = header.length > PAGE_HEADER + 32 ? header.readUInt32LE(PAGE_HEADER + META_PAGE_SIZE) : 0;
  if (pageSize < 512 || pageSize > 65_536) return 0;
  let lastPage = 1n;
  for (const start of [0, pageSize]) {
    const offset = start + PAGE_HEADER + META_LAST_PAGE;
    if (header.length < offset + 16) continue;
    const page = header.readBigUInt64LE(offset);
    if (page > lastPage) lastPage = page;
  }
  return (Number(lastPage) + 1) * pageSize;
}

/**
 * Looks at what stands at `path` before LMDB maps it (a mapped file that is not LMDB's, or that ends too early,
 * ends the process). An empty file is a store that was being made when its process was killed.
 * @throws NodeError StoreForeign
 */
export async function inspectStoreFile(path: string): Promise<'absent' | 'empty' | 'lmdb'> {
  let size: number;
  try {
    const found = await stat(path);
    if (found.isDirectory()) throw foreign(path, 'a directory');
    if (!found.isFile()) throw foreign(path, 'no regular file');
    size = found.size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'absent';
    if (error instanceof NodeError) throw error;
    throw new NodeError('StoreFailed', `cannot open the store ${path}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  if (size === 0) return 'empty';
  const header = await readHeader(path);
  if (magicAt(header, OLD_PAGE_HEADER) === BOLT_MAGIC) {
    throw foreign(path, 'a bolt database (the original Bacalhau keeps its state in one)');
  }
  if (magicAt(header, OLD_PAGE_HEADER) === LMDB_MAGIC)
    throw foreign(path, 'an LMDB database of an older format');
  if (magicAt(header, PAGE_HEADER) !== LMDB_MAGIC) throw foreign(path, 'a file of another kind');
  if (magicAt(header, PAGE_HEADER + META_VERSION) !== DATA_VERSION) {
    throw foreign(path, 'an LMDB database of another format');
  }
  const needed = neededBytes(header);
  const pageSize = header.readUInt32LE(PAGE_HEADER + META_PAGE_SIZE);
  if (needed === 0 || size < 2 * pageSize || size + UNWRITTEN_PAGES * pageSize < needed) {
    throw foreign(path, `a damaged LMDB database (${size} bytes long, its header says ${needed})`);
  }
  return 'lmdb';
}
