import { fstatSync, futimesSync, utimesSync } from 'node:fs';
import { Errno, Fdflags, Filetype, Rights, rightsFromWire } from '../abi.ts';
import type { Descriptor } from '../descriptors.ts';
import { DirectoryReader } from '../directory-reader.ts';
import { fault } from '../fault.ts';
import { type Filestat, virtualFilestat, writeFilestat } from '../filestat.ts';
import type { WasiHost } from '../host.ts';
import type { GuestMemory } from '../memory.ts';
import type { Directory } from '../tree.ts';
import type { WasiCalls } from './call.ts';
import { toOffset } from './io.ts';

const ALL_FDFLAGS = Fdflags.APPEND | Fdflags.DSYNC | Fdflags.NONBLOCK | Fdflags.RSYNC | Fdflags.SYNC;
const DIRENT_BYTES = 24;
const PREOPEN_DIRECTORY = 0;

function filetypeOf(descriptor: Descriptor): Filetype {
  switch (descriptor.kind) {
    case 'file':
      return Filetype.REGULAR_FILE;
    case 'directory':
      return Filetype.DIRECTORY;
    // Neither a terminal nor a file to the guest, as a pipe is: programs then print no colours.
    case 'output':
    case 'empty':
      return Filetype.UNKNOWN;
  }
}

/** A folder as the guest is told of it. */
export function directoryFilestat(host: WasiHost, directory: Directory): Filestat {
  return directory.host === undefined
    ? virtualFilestat(Filetype.DIRECTORY, directory.node?.number ?? 0n)
    : host.times.filestat(fstatSync(directory.host.fd, { bigint: true }));
}

/** Sets the times of a folder that is held open. */
export function setDirectoryTimes(
  host: WasiHost,
  directory: Directory,
  request: { atim: bigint; mtim: bigint; flags: number },
): void {
  const folder = directory.host;
  if (folder === undefined || folder.mount.readOnly) throw fault(Errno.ROFS);
  host.times.set(request, {
    stat: () => fstatSync(folder.fd, { bigint: true }),
    set: (atim, mtim) => utimesSync(folder.path, atim, mtim),
  });
}

function filestatOf(host: WasiHost, descriptor: Descriptor): Filestat {
  switch (descriptor.kind) {
    case 'file':
      return host.times.filestat(fstatSync(descriptor.fd, { bigint: true }));
    case 'directory':
      return directoryFilestat(host, descriptor.directory);
    case 'output':
    case 'empty':
      return virtualFilestat(Filetype.UNKNOWN, 0n);
  }
}

function preopenOf(host: WasiHost, fd: number): Uint8Array {
  const descriptor = host.descriptors.get(fd);
  if (descriptor.kind !== 'directory' || descriptor.preopen === undefined) throw fault(Errno.BADF);
  return Buffer.from(descriptor.preopen);
}

/** What a descriptor is, closing and moving it, and the entries of a folder. */
export const descriptorCalls: WasiCalls = {
  fd_close(host: WasiHost, _memory: GuestMemory, fd: number) {
    host.descriptors.close(fd);
    return Errno.SUCCESS;
  },

  fd_renumber(host: WasiHost, _memory: GuestMemory, from: number, to: number) {
    host.descriptors.renumber(from, to);
    return Errno.SUCCESS;
  },

  fd_fdstat_get(host: WasiHost, memory: GuestMemory, fd: number, pointer: number) {
    const descriptor = host.descriptors.get(fd);
    memory.bytes(pointer, 24).fill(0);
    memory.setU8(pointer, filetypeOf(descriptor));
    memory.setU16(pointer + 2, descriptor.flags);
    memory.setU64(pointer + 8, BigInt(descriptor.rights));
    memory.setU64(pointer + 16, BigInt(descriptor.inheriting));
    return Errno.SUCCESS;
  },

  fd_fdstat_set_flags(host: WasiHost, _memory: GuestMemory, fd: number, flags: number) {
    const descriptor = host.descriptors.get(fd);
    if ((flags & ~ALL_FDFLAGS) !== 0) throw fault(Errno.INVAL);
    if ((descriptor.rights & Rights.FD_FDSTAT_SET_FLAGS) === 0) throw fault(Errno.NOTCAPABLE);
    descriptor.flags = flags;
    return Errno.SUCCESS;
  },

  fd_fdstat_set_rights(host: WasiHost, _memory: GuestMemory, fd: number, rights: bigint, inheriting: bigint) {
    const descriptor = host.descriptors.get(fd);
    const own = rightsFromWire(rights);
    const passedOn = rightsFromWire(inheriting);
    if ((own & ~descriptor.rights) !== 0 || (passedOn & ~descriptor.inheriting) !== 0) {
      throw fault(Errno.NOTCAPABLE);
    }
    descriptor.rights = own;
    descriptor.inheriting = passedOn;
    return Errno.SUCCESS;
  },

  fd_filestat_get(host: WasiHost, memory: GuestMemory, fd: number, pointer: number) {
    const descriptor = host.descriptors.get(fd);
    if ((descriptor.rights & Rights.FD_FILESTAT_GET) === 0) throw fault(Errno.NOTCAPABLE);
    writeFilestat(memory, pointer, filestatOf(host, descriptor));
    return Errno.SUCCESS;
  },

  fd_filestat_set_times(
    host: WasiHost,
    _memory: GuestMemory,
    fd: number,
    atim: bigint,
    mtim: bigint,
    flags: number,
  ) {
    const descriptor = host.descriptors.get(fd);
    if ((descriptor.rights & Rights.FD_FILESTAT_SET_TIMES) === 0) throw fault(Errno.NOTCAPABLE);
    const request = { atim, mtim, flags };
    if (descriptor.kind === 'directory') {
      setDirectoryTimes(host, descriptor.directory, request);
    } else if (descriptor.kind === 'file') {
      if (descriptor.mount.readOnly) throw fault(Errno.ROFS);
      host.times.set(request, {
        stat: () => fstatSync(descriptor.fd, { bigint: true }),
        set: (a, m) => futimesSync(descriptor.fd, a, m),
      });
    } else {
      throw fault(Errno.INVAL);
    }
    return Errno.SUCCESS;
  },

  fd_prestat_get(host: WasiHost, memory: GuestMemory, fd: number, pointer: number) {
    const path = preopenOf(host, fd);
    memory.setU32(pointer, PREOPEN_DIRECTORY);
    memory.setU32(pointer + 4, path.length);
    return Errno.SUCCESS;
  },

  fd_prestat_dir_name(host: WasiHost, memory: GuestMemory, fd: number, pointer: number, length: number) {
    const path = preopenOf(host, fd);
    if (length >>> 0 < path.length) throw fault(Errno.NAMETOOLONG);
    memory.set(pointer, path);
    return Errno.SUCCESS;
  },

  fd_readdir(
    host: WasiHost,
    memory: GuestMemory,
    fd: number,
    pointer: number,
    length: number,
    cookie: bigint,
    result: number,
  ) {
    const descriptor = host.descriptors.directory(fd, Rights.FD_READDIR);
    const target = memory.bytes(pointer, length);
    let index = toOffset(cookie);
    // A guest that starts over wants to see what has changed since.
    if (index === 0) {
      descriptor.reader?.close();
      descriptor.reader = undefined;
    }
    descriptor.reader ??= new DirectoryReader(descriptor.directory);
    const { reader } = descriptor;
    reader.forget(index);
    let used = 0;
    while (used < target.length) {
      const entry = reader.at(index);
      if (entry === undefined) break;
      index += 1;
      const record = Buffer.alloc(DIRENT_BYTES + entry.name.length);
      record.writeBigUInt64LE(BigInt(index), 0);
      record.writeBigUInt64LE(entry.inode, 8);
      record.writeUInt32LE(entry.name.length, 16);
      record.writeUInt8(entry.type, 20);
      record.set(entry.name, DIRENT_BYTES);
      // The last record may be cut: that the buffer is full tells the guest to ask again.
      const part = record.subarray(0, target.length - used);
      target.set(part, used);
      used += part.length;
    }
    memory.setU32(result, used);
    return Errno.SUCCESS;
  },
};
