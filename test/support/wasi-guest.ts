import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import {
  DIRECTORY_RIGHTS,
  Errno,
  FILE_RIGHTS,
  Rights,
  STREAM_RIGHTS,
} from '../../src/engines/wasm/wasi/abi.ts';
import { bindWasi } from '../../src/engines/wasm/wasi/bind.ts';
import type { Descriptor } from '../../src/engines/wasm/wasi/descriptors.ts';
import { WasiHost } from '../../src/engines/wasm/wasi/host.ts';
import { GuestMemory } from '../../src/engines/wasm/wasi/memory.ts';
import { ResultQuota } from '../../src/engines/wasm/wasi/quota.ts';
import { MountTree } from '../../src/engines/wasm/wasi/tree.ts';
import { webAssembly } from '../../src/engines/wasm/webassembly.ts';

/** A place for results of calls, and one for buffers, in the guest's memory. */
const RESULT = 8;
const SCRATCH = 1024;
const BUFFER = 32_768;
const BUFFER_BYTES = 32_768;

/** Descriptor of the preopened "/". */
export const ROOT = 3;
/** Every right, as guests ask that want all they can get. */
export const ALL: bigint = BigInt(FILE_RIGHTS) | 0x3fffffffn;
/** Rights of a reader. */
export const READ: bigint = BigInt(
  Rights.FD_READ | Rights.FD_SEEK | Rights.FD_TELL | Rights.FD_FILESTAT_GET | Rights.FD_READDIR,
);
/** Every right of a folder. */
export const FOLDER: bigint = BigInt(DIRECTORY_RIGHTS);

/** Folders of the host for a test: `ro` mounted at /ro, `rw` at /rw, and `outside` of both. */
export interface GuestFolders {
  readonly base: string;
  readonly ro: string;
  readonly rw: string;
  readonly outside: string;
}

/** Plays the part of a WASM program: calls WASI functions with numbers and memory, as a module would. */
export class Guest {
  readonly host: WasiHost;
  readonly folders: GuestFolders;
  readonly memory: GuestMemory = new GuestMemory();
  readonly quota: ResultQuota;
  /** What it has written to stdout. */
  output = '';

  constructor(
    t: TestContext,
    options: {
      args?: string[];
      env?: Record<string, string>;
      quota?: number;
      mount?: (tree: MountTree, folders: GuestFolders) => void;
    } = {},
  ) {
    const base = mkdtempSync(join(tmpdir(), 'bacalhau-wasi-'));
    this.folders = { base, ro: join(base, 'ro'), rw: join(base, 'rw'), outside: join(base, 'outside') };
    for (const folder of [this.folders.ro, this.folders.rw, this.folders.outside]) mkdirSync(folder);
    this.memory.attach(new webAssembly.Memory({ initial: 1, maximum: 2 }));
    this.quota = new ResultQuota(options.quota ?? 1 << 20);
    const tree = new MountTree();
    if (options.mount === undefined) this.#mount(tree);
    else options.mount(tree, this.folders);
    const stream = (right: number): Descriptor => ({
      kind: 'output',
      rights: STREAM_RIGHTS | right,
      inheriting: 0,
      flags: 0,
      write: (buffers) => {
        for (const buffer of buffers) this.output += Buffer.from(buffer).toString();
      },
    });
    const stdin: Descriptor = {
      kind: 'empty',
      rights: STREAM_RIGHTS | Rights.FD_READ,
      inheriting: 0,
      flags: 0,
    };
    this.host = new WasiHost({
      args: options.args ?? ['program'],
      env: options.env ?? {},
      stdio: [stdin, stream(Rights.FD_WRITE), stream(Rights.FD_WRITE)],
      tree,
    });
    t.after(() => {
      this.host.close();
      rmSync(base, { recursive: true, force: true });
    });
  }

  #mount(tree: MountTree): void {
    const { ro, rw } = this.folders;
    tree.mount('/ro', { kind: 'directory', path: ro, mount: { readOnly: true, quota: undefined } }, 'test');
    const writable = { readOnly: false, quota: this.quota };
    tree.mount('/rw', { kind: 'directory', path: rw, mount: writable }, 'test');
  }

  /** Calls a WASI function; -1 where there is none of the name. */
  call(name: string, ...args: (number | bigint)[]): number {
    return Number(bindWasi(this.host, this.memory, name)?.(...args) ?? -1);
  }

  /** Puts text into memory; address and length. */
  text(value: string, slot = 0): [number, number] {
    const bytes = Buffer.from(value);
    const at = SCRATCH + slot * 8192;
    this.memory.set(at, bytes);
    return [at, bytes.length];
  }

  /** The u32 a call has put out. */
  get result(): number {
    return this.memory.getU32(RESULT);
  }

  get resultU64(): bigint {
    return this.memory.getU64(RESULT);
  }

  /** path_open: the descriptor, or minus the error number. */
  open(
    path: string,
    how: { dir?: number; oflags?: number; rights?: bigint; fdflags?: number; follow?: boolean } = {},
  ): number {
    const errno = this.call(
      'path_open',
      how.dir ?? ROOT,
      how.follow === false ? 0 : 1,
      ...this.text(path),
      how.oflags ?? 0,
      how.rights ?? READ,
      ALL,
      how.fdflags ?? 0,
      RESULT,
    );
    return errno === Errno.SUCCESS ? this.result : -errno;
  }

  /** fd_write of text; the error number. */
  write(fd: number, text: string): number {
    const bytes = Buffer.from(text);
    this.memory.set(BUFFER, bytes);
    this.memory.setU32(16, BUFFER);
    this.memory.setU32(20, bytes.length);
    return this.call('fd_write', fd, 16, 1, RESULT);
  }

  /** fd_read of up to `bytes`; the text, or the error number. */
  read(fd: number, bytes = 100): string | number {
    this.memory.setU32(16, BUFFER);
    this.memory.setU32(20, bytes);
    const errno = this.call('fd_read', fd, 16, 1, RESULT);
    return errno === Errno.SUCCESS ? Buffer.from(this.memory.bytes(BUFFER, this.result)).toString() : errno;
  }

  /** Content of a file, or minus the error number of opening it. */
  cat(path: string): string | number {
    const fd = this.open(path);
    if (fd < 0) return fd;
    const text = this.read(fd, 1000);
    this.call('fd_close', fd);
    return text;
  }

  /** A call with one path. */
  path(name: string, path: string, dir: number = ROOT): number {
    return this.call(name, dir, ...this.text(path));
  }

  /** path_filestat_get: error number, type and size. */
  stat(
    path: string,
    follow = true,
  ): { errno: number; type: number; size: bigint; ino: bigint; mtim: bigint } {
    const errno = this.call('path_filestat_get', ROOT, follow ? 1 : 0, ...this.text(path), BUFFER);
    return {
      errno,
      ino: this.memory.getU64(BUFFER + 8),
      type: this.memory.getU8(BUFFER + 16),
      size: this.memory.getU64(BUFFER + 32),
      mtim: this.memory.getU64(BUFFER + 48),
    };
  }

  symlink(target: string, path: string): number {
    return this.call('path_symlink', ...this.text(target, 0), ROOT, ...this.text(path, 1));
  }

  rename(from: string, to: string): number {
    return this.call('path_rename', ROOT, ...this.text(from, 0), ROOT, ...this.text(to, 1));
  }

  link(from: string, to: string, follow = false): number {
    const flags = follow ? 1 : 0;
    return this.call('path_link', ROOT, flags, ...this.text(from, 0), ROOT, ...this.text(to, 1));
  }

  /** All entries of a folder, read with a buffer of so many bytes. */
  list(fd: number, bufferBytes = 4096): { name: string; type: number; ino: bigint; next: bigint }[] {
    const size = Math.min(bufferBytes, BUFFER_BYTES);
    const entries: { name: string; type: number; ino: bigint; next: bigint }[] = [];
    for (let cookie = 0n; ; ) {
      const errno = this.call('fd_readdir', fd, BUFFER, size, cookie, RESULT);
      if (errno !== Errno.SUCCESS) throw new Error(`fd_readdir: ${errno}`);
      const used = this.result;
      const data = Buffer.from(this.memory.bytes(BUFFER, used));
      for (let at = 0; at + 24 <= used; ) {
        const length = data.readUInt32LE(at + 16);
        if (at + 24 + length > used) break;
        cookie = data.readBigUInt64LE(at);
        const name = data.subarray(at + 24, at + 24 + length).toString();
        entries.push({
          name,
          type: data.readUInt8(at + 20),
          ino: data.readBigUInt64LE(at + 8),
          next: cookie,
        });
        at += 24 + length;
      }
      if (used < size) return entries;
    }
  }
}

/** Where a call puts its result. */
export const RESULT_AT: number = RESULT;
/** Where data of a call may lie. */
export const BUFFER_AT: number = BUFFER;
