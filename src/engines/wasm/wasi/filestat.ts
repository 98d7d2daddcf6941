import type { BigIntStats } from 'node:fs';
import { Errno, Filetype, Fstflags } from './abi.ts';
import { fault } from './fault.ts';
import type { GuestMemory } from './memory.ts';

/** Times remembered at most: a guest could set them on any number of files. */
const MOST_REMEMBERED = 4096;

/** What the guest is told of a file. */
export interface Filestat {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly type: Filetype;
  readonly nlink: bigint;
  readonly size: bigint;
  /** Nanoseconds since the epoch. */
  readonly atim: bigint;
  readonly mtim: bigint;
  readonly ctim: bigint;
}

/** Device number of what exists only in the guest's view; no device of the host has it. */
const VIRTUAL_DEVICE = 0xffff_ffff_ffffn;

/** Filestat of something that is no file of the host. */
export function virtualFilestat(type: Filetype, ino: bigint): Filestat {
  return { dev: VIRTUAL_DEVICE, ino, type, nlink: 1n, size: 0n, atim: 0n, mtim: 0n, ctim: 0n };
}

/** WASI's type of a file of the host. */
export function filetypeOf(stats: BigIntStats): Filetype {
  if (stats.isFile()) return Filetype.REGULAR_FILE;
  if (stats.isDirectory()) return Filetype.DIRECTORY;
  if (stats.isSymbolicLink()) return Filetype.SYMBOLIC_LINK;
  if (stats.isCharacterDevice()) return Filetype.CHARACTER_DEVICE;
  if (stats.isBlockDevice()) return Filetype.BLOCK_DEVICE;
  return Filetype.UNKNOWN;
}

/** Writes a filestat (64 bytes). */
export function writeFilestat(memory: GuestMemory, pointer: number, stat: Filestat): void {
  memory.setU64(pointer, stat.dev);
  memory.setU64(pointer + 8, stat.ino);
  memory.setU64(pointer + 16, BigInt(stat.type));
  memory.setU64(pointer + 24, stat.nlink);
  memory.setU64(pointer + 32, stat.size);
  memory.setU64(pointer + 40, stat.atim);
  memory.setU64(pointer + 48, stat.mtim);
  memory.setU64(pointer + 56, stat.ctim);
}

interface Remembered {
  /** What the host then said, and what the guest had asked for. */
  readonly hostAtim: bigint;
  readonly hostMtim: bigint;
  readonly atim: bigint;
  readonly mtim: bigint;
}

/**
 * File times to the nanosecond. Node sets them to the microsecond only, so what the guest asked for is
 * remembered and told as long as the host's own times have not moved since.
 */
export class FileTimes {
  readonly #remembered = new Map<string, Remembered>();

  /** A file of the host as the guest is told of it. */
  filestat(stats: BigIntStats): Filestat {
    const known = this.#remembered.size === 0 ? undefined : this.#remembered.get(`${stats.dev}:${stats.ino}`);
    return {
      dev: stats.dev,
      ino: stats.ino,
      type: filetypeOf(stats),
      nlink: stats.nlink,
      size: stats.size,
      atim: known !== undefined && known.hostAtim === stats.atimeNs ? known.atim : stats.atimeNs,
      mtim: known !== undefined && known.hostMtim === stats.mtimeNs ? known.mtim : stats.mtimeNs,
      ctim: stats.ctimeNs,
    };
  }

  /**
   * Sets times as `fst_flags` say. `stat` reads the file, `set` changes it (seconds).
   * @throws Fault INVAL when a time is both given and "now"
   */
  set(
    request: { atim: bigint; mtim: bigint; flags: number },
    file: { stat(): BigIntStats; set(atimSeconds: number, mtimSeconds: number): void },
  ): void {
    const { flags } = request;
    const both = (a: number, b: number): boolean => (flags & a) !== 0 && (flags & b) !== 0;
    if (
      both(Fstflags.ATIM, Fstflags.ATIM_NOW) ||
      both(Fstflags.MTIM, Fstflags.MTIM_NOW) ||
      flags >>> 0 > 15
    ) {
      throw fault(Errno.INVAL);
    }
    const before = this.filestat(file.stat());
    const now = BigInt(Date.now()) * 1_000_000n;
    const pick = (given: number, current: number, asked: bigint, old: bigint): bigint => {
      if ((flags & given) !== 0) return BigInt.asUintN(64, asked);
      return (flags & current) === 0 ? old : now;
    };
    const atim = pick(Fstflags.ATIM, Fstflags.ATIM_NOW, request.atim, before.atim);
    const mtim = pick(Fstflags.MTIM, Fstflags.MTIM_NOW, request.mtim, before.mtim);
    file.set(Number(atim / 1000n) / 1e6, Number(mtim / 1000n) / 1e6);
    const after = file.stat();
    const key = `${after.dev}:${after.ino}`;
    this.#remembered.delete(key);
    if (after.atimeNs === atim && after.mtimeNs === mtim) return;
    this.#remembered.set(key, { hostAtim: after.atimeNs, hostMtim: after.mtimeNs, atim, mtim });
    if (this.#remembered.size > MOST_REMEMBERED) {
      for (const oldest of this.#remembered.keys()) {
        this.#remembered.delete(oldest);
        break;
      }
    }
  }
}
