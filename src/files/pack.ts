import { createReadStream } from 'node:fs';
import { lstat, opendir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Header, type Pack, pack } from 'tar-stream';

/** One thing in a folder. */
export interface Walked {
  /** Relative, with "/" between parts. */
  readonly name: string;
  readonly path: string;
  readonly kind: 'file' | 'directory' | 'symlink';
  readonly bytes: number;
  readonly mode: number;
  readonly modified: Date;
}

/**
 * Everything below a folder, depth first, each folder before what is in it, names in order. Symbolic links are
 * told, never followed; sockets, pipes and devices are left out.
 */
export async function* walk(root: string, below = ''): AsyncGenerator<Walked> {
  const names: string[] = [];
  for await (const entry of await opendir(join(root, below))) names.push(entry.name);
  names.sort((a, b) => (a < b ? -1 : 1));
  for (const own of names) {
    const name = below === '' ? own : `${below}/${own}`;
    const path = join(root, name);
    const stats = await lstat(path);
    const kind = stats.isFile()
      ? 'file'
      : stats.isDirectory()
        ? 'directory'
        : stats.isSymbolicLink()
          ? 'symlink'
          : undefined;
    if (kind === undefined) continue;
    yield { name, path, kind, bytes: stats.size, mode: stats.mode & 0o777, modified: stats.mtime };
    if (kind === 'directory') yield* walk(root, name);
  }
}

/**
 * A folder's contents as a tar stream: entries relative to it, folders before their files, links as links,
 * owners left out.
 */
export function packDirectory(root: string, signal: AbortSignal): Pack {
  const archive = pack();
  void fill(archive, root, signal).catch((error: unknown) => {
    archive.destroy(error instanceof Error ? error : new Error(String(error)));
  });
  return archive;
}

async function fill(archive: Pack, root: string, signal: AbortSignal): Promise<void> {
  for await (const entry of walk(root)) {
    signal.throwIfAborted();
    const base = { name: entry.name, mode: entry.mode, mtime: entry.modified };
    switch (entry.kind) {
      case 'directory':
        await put(archive, { ...base, name: `${entry.name}/`, type: 'directory' });
        break;
      case 'symlink':
        await put(archive, { ...base, type: 'symlink', linkname: await readlink(entry.path) });
        break;
      case 'file':
        await putFile(archive, { ...base, type: 'file', size: entry.bytes }, entry, signal);
        break;
    }
  }
  archive.finalize();
}

type EntryHeader = Partial<Header> & Pick<Header, 'name'>;

const EMPTY: Buffer = Buffer.alloc(0);

function put(archive: Pack, header: EntryHeader): Promise<void> {
  return new Promise((resolve, reject) => {
    archive.entry(header, EMPTY, (error) => (error ? reject(error) : resolve()));
  });
}

async function putFile(
  archive: Pack,
  header: EntryHeader,
  entry: Walked,
  signal: AbortSignal,
): Promise<void> {
  if (entry.bytes === 0) {
    await put(archive, header);
    return;
  }
  // The length is in the header already, so a file that grows meanwhile is cut at it.
  const content = createReadStream(entry.path, { end: entry.bytes - 1, highWaterMark: 1 << 18 });
  await pipeline(content, archive.entry(header), { signal });
}
