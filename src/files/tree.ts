import { constants, type FileHandle, link, lstat, mkdir, open, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type ErrorCode, NodeError } from '../core/errors.ts';

/** Where a tree of untrusted names may be written, and how much of it. */
export interface TreeLimits {
  /** Most bytes of all files together. */
  readonly maxBytes: number;
  /** Most files, folders and links together. */
  readonly maxEntries: number;
  /** What happens to symbolic links that point outside: "refuse" (the default) fails the whole, "omit" leaves them out. */
  readonly outsideLinks?: 'refuse' | 'omit';
  readonly signal: AbortSignal;
}

/** Longest path of an entry and of a link's target, in UTF-16 units: Linux's PATH_MAX. */
const MAX_PATH = 4096;
const FILE_FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/**
 * Writes files, folders and links whose names come from strangers, below one folder and within limits.
 *
 * No entry can be written outside the folder: names with `..` are refused, and symbolic links are made only
 * when everything else is there (`finish`), so that nothing is ever written through one. A link may point
 * anywhere below the folder; `..` is allowed only where its path begins, because there it is counted from a
 * real folder, and behind a name it could climb out through another link.
 */
export class TreeWriter {
  readonly #root: string;
  readonly #limits: TreeLimits;
  readonly #links = new Map<string, string>();
  #bytes = 0;
  #entries = 0;

  /** @param root absolute; made when it is not there, as the first entry is written */
  constructor(root: string, limits: TreeLimits) {
    this.#root = root;
    this.#limits = limits;
  }

  /** Bytes of file contents written so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @throws NodeError InputInvalid, InputTooLarge, DiskFull */
  async directory(name: string): Promise<void> {
    const parts = this.#admit(name);
    await onDisk(() => mkdir(join(this.#root, ...parts), { recursive: true, mode: 0o755 }));
  }

  /**
   * Writes one file; an earlier one of the same name is replaced, as tar does. "" names the root itself.
   * @throws NodeError InputInvalid, InputTooLarge, DiskFull
   */
  async file(name: string, content: AsyncIterable<Uint8Array>, executable = false): Promise<void> {
    const path = join(this.#root, ...this.#admit(name));
    const handle = await onDisk(() => createFile(path, executable ? 0o755 : 0o644));
    try {
      for await (const chunk of content) {
        this.#limits.signal.throwIfAborted();
        this.#bytes += chunk.byteLength;
        if (this.#bytes > this.#limits.maxBytes) {
          throw new NodeError(
            'InputTooLarge',
            `more than the ${this.#limits.maxBytes} bytes that are allowed`,
          );
        }
        await onDisk(() => writeAll(handle, chunk));
      }
    } finally {
      await handle.close();
    }
  }

  /** A second name for a file that has been written. @throws NodeError InputInvalid, DiskFull */
  async hardLink(name: string, existing: string): Promise<void> {
    const path = join(this.#root, ...this.#admit(name));
    const source = join(this.#root, ...cleanName(existing));
    const found = await lstat(source).catch(() => undefined);
    if (found === undefined || !found.isFile()) {
      throw new NodeError('InputInvalid', `${name} is a link to ${existing}, which is not a file before it`);
    }
    await onDisk(async () => {
      await mkdir(dirname(path), { recursive: true, mode: 0o755 });
      await rm(path, { force: true });
      await link(source, path);
    });
  }

  /** A symbolic link; made by `finish`. @throws NodeError InputInvalid */
  symbolicLink(name: string, target: string): void {
    const parts = this.#admit(name);
    if (parts.length === 0 || !staysInside(parts.length - 1, target)) {
      if (this.#limits.outsideLinks === 'omit') return;
      throw new NodeError('InputInvalid', `${name} is a symbolic link to ${target}, outside of its folder`);
    }
    this.#links.set(parts.join('/'), target);
  }

  /** Makes the symbolic links. Nothing may be written afterwards. @throws NodeError InputInvalid, DiskFull */
  async finish(): Promise<void> {
    for (const [name, target] of this.#links) {
      this.#limits.signal.throwIfAborted();
      const through = this.#linkAbove(name);
      if (through !== undefined) {
        // It would lie elsewhere than its name says, and its own target be counted from there.
        if (this.#limits.outsideLinks === 'omit') continue;
        throw new NodeError(
          'InputInvalid',
          `${name} lies behind ${through}, which is a symbolic link itself`,
        );
      }
      const path = join(this.#root, name);
      await onDisk(async () => {
        await mkdir(dirname(path), { recursive: true, mode: 0o755 });
        await symlink(target, path);
      });
    }
  }

  #linkAbove(name: string): string | undefined {
    for (let end = name.indexOf('/'); end >= 0; end = name.indexOf('/', end + 1)) {
      const above = name.slice(0, end);
      if (this.#links.has(above)) return above;
    }
    return undefined;
  }

  #admit(name: string): string[] {
    this.#limits.signal.throwIfAborted();
    this.#entries += 1;
    if (this.#entries > this.#limits.maxEntries) {
      throw new NodeError(
        'InputTooLarge',
        `more than the ${this.#limits.maxEntries} files and folders that are allowed`,
      );
    }
    return cleanName(name);
  }
}

/** The parts of a relative path. @throws NodeError InputInvalid for one that is absolute or climbs */
function cleanName(name: string): string[] {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (name.startsWith('/') || name.length > MAX_PATH || name.includes('\0') || parts.includes('..')) {
    throw new NodeError('InputInvalid', `the name ${JSON.stringify(name.slice(0, 200))} leaves its folder`);
  }
  return parts;
}

function staysInside(depth: number, target: string): boolean {
  if (target === '' || target.startsWith('/') || target.length > MAX_PATH || target.includes('\0'))
    return false;
  const parts = target.split('/').filter((part) => part !== '' && part !== '.');
  const firstName = parts.findIndex((part) => part !== '..');
  const climbs = firstName === -1 ? parts.length : firstName;
  return climbs <= depth && !parts.slice(climbs).includes('..');
}

async function createFile(path: string, mode: number): Promise<FileHandle> {
  try {
    return await open(path, FILE_FLAGS, mode);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT') await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    else if (code === 'EEXIST') await rm(path);
    else throw error;
    return open(path, FILE_FLAGS, mode);
  }
}

async function writeAll(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  let offset = 0;
  while (offset < chunk.byteLength) offset += (await handle.write(chunk, offset)).bytesWritten;
}

/** `code` of a system error ("ENOSPC"), or "". */
export function systemCode(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : '';
}

/** The NodeError for a failed file operation: DiskFull where the disk is, else `fallback`. Others pass unchanged. */
export function fileError(thrown: unknown, fallback: ErrorCode = 'InputInvalid'): unknown {
  const code = systemCode(thrown);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new NodeError('DiskFull', `no space left on the disk: ${String((thrown as Error).message)}`, {
      cause: thrown,
    });
  }
  if (['EEXIST', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG', 'ERR_FS_EISDIR', 'EINVAL'].includes(code)) {
    return new NodeError(fallback, `cannot write: ${String((thrown as Error).message)}`, { cause: thrown });
  }
  return thrown;
}

async function onDisk<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    throw fileError(thrown);
  }
}
