import { isUtf8 } from 'node:buffer';
import { type Dir, type Dirent, fstatSync, lstatSync, opendirSync } from 'node:fs';
import { Filetype } from './abi.ts';
import { errnoOf } from './fault.ts';
import type { Directory, MountNode } from './tree.ts';

/** One entry of a folder, as the guest is told of it. */
export interface DirectoryEntry {
  readonly name: Uint8Array;
  readonly inode: bigint;
  readonly type: Filetype;
}

type BufferDirent = Dirent<Buffer>;

/**
 * Reads a folder's entries in order, holding only those handed out last, so that a folder of any size can be
 * listed. A cookie is the number of an entry; one outside of what is held starts over and skips.
 */
export class DirectoryReader {
  readonly #directory: Directory;
  #own: DirectoryEntry[];
  #dir: Dir | undefined;
  #ended = false;
  /** Entries from cookie `#first` on. */
  #held: DirectoryEntry[] = [];
  #first = 0;

  constructor(directory: Directory) {
    this.#directory = directory;
    this.#own = this.#list();
  }

  /** The entry with this cookie, or undefined at the end. */
  at(cookie: number): DirectoryEntry | undefined {
    if (cookie < this.#first) this.#restart();
    while (this.#first + this.#held.length <= cookie) {
      const entry = this.#next();
      if (entry === undefined) return undefined;
      this.#held.push(entry);
    }
    return this.#held[cookie - this.#first];
  }

  /** Lets go of entries before this cookie. */
  forget(cookie: number): void {
    const count = Math.min(Math.max(0, cookie - this.#first), this.#held.length);
    this.#held.splice(0, count);
    this.#first += count;
  }

  close(): void {
    this.#dir?.closeSync();
    this.#dir = undefined;
  }

  #restart(): void {
    this.close();
    this.#ended = false;
    this.#held = [];
    this.#first = 0;
    this.#own = this.#list();
  }

  /** "." and "..", then the mount points. */
  #list(): DirectoryEntry[] {
    const { node, host } = this.#directory;
    const own = host === undefined ? (node?.number ?? 0n) : fstatSync(host.fd, { bigint: true }).ino;
    const dots = ['.', '..'].map((name) => ({
      name: Buffer.from(name),
      inode: own,
      type: Filetype.DIRECTORY,
    }));
    return [...dots, ...[...(node?.children.values() ?? [])].map(mountEntry)];
  }

  #next(): DirectoryEntry | undefined {
    const position = this.#first + this.#held.length;
    const own = this.#own[position];
    if (own !== undefined) return own;
    const { node, host } = this.#directory;
    if (host === undefined || this.#ended) return undefined;
    // Node's types know only text names here; the documented encoding gives bytes.
    this.#dir ??= opendirSync(host.path, { encoding: 'buffer' as 'utf8' });
    for (;;) {
      const found = this.#dir.readSync() as unknown as BufferDirent | null;
      if (found === null) {
        this.close();
        this.#ended = true;
        return undefined;
      }
      // What is not UTF-8 has no name in WASI; what a mount point covers is not seen.
      if (!isUtf8(found.name)) continue;
      const text = found.name.toString('utf8');
      if (node?.children.has(text) === true) continue;
      return { name: found.name, inode: inodeOf(host.entry(text)), type: typeOf(found) };
    }
  }
}

function mountEntry(node: MountNode): DirectoryEntry {
  const name = Buffer.from(node.name);
  switch (node.source.kind) {
    case 'none':
      return { name, inode: node.number, type: Filetype.DIRECTORY };
    case 'directory':
      return { name, inode: inodeOf(node.source.path), type: Filetype.DIRECTORY };
    case 'file':
      return { name, inode: inodeOf(node.source.path), type: Filetype.REGULAR_FILE };
  }
}

function inodeOf(path: string): bigint {
  try {
    return lstatSync(path, { bigint: true }).ino;
  } catch (thrown) {
    if (errnoOf(thrown) === undefined) throw thrown;
    return 0n;
  }
}

function typeOf(entry: BufferDirent): Filetype {
  if (entry.isFile()) return Filetype.REGULAR_FILE;
  if (entry.isDirectory()) return Filetype.DIRECTORY;
  if (entry.isSymbolicLink()) return Filetype.SYMBOLIC_LINK;
  if (entry.isCharacterDevice()) return Filetype.CHARACTER_DEVICE;
  if (entry.isBlockDevice()) return Filetype.BLOCK_DEVICE;
  return Filetype.UNKNOWN;
}
