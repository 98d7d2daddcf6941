import {
  type BigIntStats,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { Errno, Lookupflags, Rights } from '../abi.ts';
import { fault } from '../fault.ts';
import { type Filestat, writeFilestat } from '../filestat.ts';
import type { WasiHost } from '../host.ts';
import type { HostDirectory } from '../host-directory.ts';
import type { GuestMemory } from '../memory.ts';
import type { MountNode } from '../tree.ts';
import { Walk } from '../walk.ts';
import type { WasiCalls } from './call.ts';
import { directoryFilestat, setDirectoryTimes } from './descriptor.ts';

/** Walks to `path` below a descriptor, and lets go of what was opened on the way when `use` is done. */
function at<T>(
  host: WasiHost,
  memory: GuestMemory,
  place: { fd: number; right: number; path: number; length: number },
  use: (walk: Walk) => T,
): T {
  const base = host.descriptors.directory(place.fd, place.right);
  const walk = new Walk(host.tree, base.directory, memory.path(place.path, place.length));
  try {
    return use(walk);
  } finally {
    walk.close();
  }
}

/** The entry's folder, where it may be changed. @throws Fault BUSY for a mount point, ROFS, NOENT */
function writable(walk: Walk): HostDirectory {
  if (walk.mountPoint !== undefined) throw fault(Errno.BUSY);
  const { host } = walk.directory;
  if (host === undefined || host.mount.readOnly) throw fault(Errno.ROFS);
  return host;
}

function lstat(host: HostDirectory, name: string): BigIntStats {
  const stats = lstatSync(host.entry(name), { bigint: true, throwIfNoEntry: false });
  if (stats === undefined) throw fault(Errno.NOENT);
  return stats;
}

/** Tells the quota that one name of `stats` is gone. */
function uncount(host: HostDirectory, stats: BigIntStats): void {
  if (stats.isFile()) {
    host.mount.quota?.removed({
      dev: Number(stats.dev),
      ino: Number(stats.ino),
      size: Number(stats.size),
      nlink: Number(stats.nlink),
    });
  } else {
    host.mount.quota?.entryRemoved();
  }
}

/** What a path names in the end. */
type Named =
  | { readonly kind: 'folder' }
  | { readonly kind: 'mount'; readonly node: MountNode }
  | { readonly kind: 'entry'; readonly host: HostDirectory; readonly stats: BigIntStats };

/** Looks an entry up, through links where asked for or where the path ends in a slash. */
function lookUp(walk: Walk, follow: boolean): Named {
  for (;;) {
    if (walk.name === '') return { kind: 'folder' };
    const node = walk.mountPoint;
    if (node !== undefined) return { kind: 'mount', node };
    const host = walk.host();
    const stats = lstat(host, walk.name);
    if (!stats.isSymbolicLink() || !(follow || walk.mustBeDirectory)) {
      if (walk.mustBeDirectory && !stats.isDirectory()) throw fault(Errno.NOTDIR);
      return { kind: 'entry', host, stats };
    }
    walk.followLink();
  }
}

function mountFilestat(host: WasiHost, walk: Walk, node: MountNode): Filestat {
  if (node.source.kind !== 'file') return directoryFilestat(host, walk.enter(node));
  if (walk.mustBeDirectory) throw fault(Errno.NOTDIR);
  return host.times.filestat(lstatSync(node.source.path, { bigint: true }));
}

/** True where a link in a folder of this depth would point out of its mount. */
function climbsOut(target: string, folderDepth: number): boolean {
  let depth = folderDepth;
  for (const part of target.split('/')) {
    if (part === '..') depth -= 1;
    else if (part !== '' && part !== '.') depth += 1;
    if (depth < 0) return true;
  }
  return false;
}

function rename(from: Walk, to: Walk): Errno {
  if (from.name === '' || to.name === '') throw fault(Errno.BUSY);
  const source = writable(from);
  const target = writable(to);
  if (source.mount !== target.mount) throw fault(Errno.XDEV);
  const moved = lstat(source, from.name);
  const replaced = lstatSync(target.entry(to.name), { bigint: true, throwIfNoEntry: false });
  if ((from.mustBeDirectory || to.mustBeDirectory) && !moved.isDirectory()) throw fault(Errno.NOTDIR);
  if (to.mustBeDirectory && replaced !== undefined && !replaced.isDirectory()) throw fault(Errno.NOTDIR);
  renameSync(source.entry(from.name), target.entry(to.name));
  // Two names of one file: the host leaves both.
  const same = replaced !== undefined && replaced.ino === moved.ino && replaced.dev === moved.dev;
  if (replaced !== undefined && !same) uncount(target, replaced);
  return Errno.SUCCESS;
}

/** What is done to a path without opening it. */
export const pathCalls: WasiCalls = {
  path_create_directory(host: WasiHost, memory: GuestMemory, fd: number, path: number, length: number) {
    const place = { fd, right: Rights.PATH_CREATE_DIRECTORY, path, length };
    return at(host, memory, place, (walk) => {
      if (walk.name === '' || walk.mountPoint !== undefined) throw fault(Errno.EXIST);
      const folder = writable(walk);
      mkdirSync(folder.entry(walk.name), 0o755);
      folder.mount.quota?.entryMade();
      return Errno.SUCCESS;
    });
  },

  path_filestat_get(
    host: WasiHost,
    memory: GuestMemory,
    fd: number,
    flags: number,
    path: number,
    length: number,
    pointer: number,
  ) {
    return at(host, memory, { fd, right: Rights.PATH_FILESTAT_GET, path, length }, (walk) => {
      const named = lookUp(walk, (flags & Lookupflags.SYMLINK_FOLLOW) !== 0);
      let stat: Filestat;
      if (named.kind === 'folder') stat = directoryFilestat(host, walk.directory);
      else if (named.kind === 'mount') stat = mountFilestat(host, walk, named.node);
      else stat = host.times.filestat(named.stats);
      writeFilestat(memory, pointer, stat);
      return Errno.SUCCESS;
    });
  },

  path_filestat_set_times(
    host: WasiHost,
    memory: GuestMemory,
    fd: number,
    lookup: number,
    path: number,
    length: number,
    atim: bigint,
    mtim: bigint,
    flags: number,
  ) {
    return at(host, memory, { fd, right: Rights.PATH_FILESTAT_SET_TIMES, path, length }, (walk) => {
      const request = { atim, mtim, flags };
      const named = lookUp(walk, (lookup & Lookupflags.SYMLINK_FOLLOW) !== 0);
      if (named.kind === 'folder') {
        setDirectoryTimes(host, walk.directory, request);
      } else if (named.kind === 'mount') {
        if (named.node.source.kind === 'file') throw fault(Errno.ROFS);
        setDirectoryTimes(host, walk.enter(named.node), request);
      } else {
        const folder = writable(walk);
        host.times.set(request, {
          stat: () => lstat(folder, walk.name),
          set: (a, m) => lutimesSync(folder.entry(walk.name), a, m),
        });
      }
      return Errno.SUCCESS;
    });
  },

  path_link(
    host: WasiHost,
    memory: GuestMemory,
    oldFd: number,
    oldFlags: number,
    oldPath: number,
    oldLength: number,
    newFd: number,
    newPath: number,
    newLength: number,
  ) {
    const source = { fd: oldFd, right: Rights.PATH_LINK_SOURCE, path: oldPath, length: oldLength };
    const target = { fd: newFd, right: Rights.PATH_LINK_TARGET, path: newPath, length: newLength };
    return at(host, memory, source, (from) =>
      at(host, memory, target, (to) => {
        const named = lookUp(from, (oldFlags & Lookupflags.SYMLINK_FOLLOW) !== 0);
        if (named.kind !== 'entry') throw fault(Errno.PERM);
        if (named.stats.isDirectory()) throw fault(Errno.PERM);
        if (to.name === '') throw fault(Errno.EXIST);
        if (to.mustBeDirectory) throw fault(Errno.NOENT);
        const folder = writable(to);
        // A link into a writable mount would open a read-only file for writing.
        if (named.host.mount !== folder.mount) throw fault(Errno.XDEV);
        linkSync(named.host.entry(from.name), folder.entry(to.name));
        folder.mount.quota?.entryMade();
        return Errno.SUCCESS;
      }),
    );
  },

  path_readlink(
    host: WasiHost,
    memory: GuestMemory,
    fd: number,
    path: number,
    length: number,
    buffer: number,
    bufferLength: number,
    result: number,
  ) {
    return at(host, memory, { fd, right: Rights.PATH_READLINK, path, length }, (walk) => {
      if (walk.name === '' || walk.mountPoint !== undefined || walk.mustBeDirectory) throw fault(Errno.INVAL);
      const target = readlinkSync(walk.host().entry(walk.name), { encoding: 'buffer' });
      const part = target.subarray(0, bufferLength >>> 0);
      memory.set(buffer, part);
      memory.setU32(result, part.length);
      return Errno.SUCCESS;
    });
  },

  path_remove_directory(host: WasiHost, memory: GuestMemory, fd: number, path: number, length: number) {
    return at(host, memory, { fd, right: Rights.PATH_REMOVE_DIRECTORY, path, length }, (walk) => {
      if (walk.name === '') throw fault(Errno.INVAL);
      const folder = writable(walk);
      rmdirSync(folder.entry(walk.name));
      folder.mount.quota?.entryRemoved();
      return Errno.SUCCESS;
    });
  },

  path_rename(
    host: WasiHost,
    memory: GuestMemory,
    oldFd: number,
    oldPath: number,
    oldLength: number,
    newFd: number,
    newPath: number,
    newLength: number,
  ) {
    const source = { fd: oldFd, right: Rights.PATH_RENAME_SOURCE, path: oldPath, length: oldLength };
    const target = { fd: newFd, right: Rights.PATH_RENAME_TARGET, path: newPath, length: newLength };
    return at(host, memory, source, (from) => at(host, memory, target, (to) => rename(from, to)));
  },

  path_symlink(
    host: WasiHost,
    memory: GuestMemory,
    targetPath: number,
    targetLength: number,
    fd: number,
    path: number,
    length: number,
  ) {
    const target = memory.path(targetPath, targetLength);
    return at(host, memory, { fd, right: Rights.PATH_SYMLINK, path, length }, (walk) => {
      if (walk.name === '') throw fault(Errno.EXIST);
      if (walk.mustBeDirectory) {
        // As in Linux: a name that ends in a slash can only be a folder that is there.
        throw fault(walk.mountPoint === undefined ? trailingSlashError(walk) : Errno.EXIST);
      }
      const folder = writable(walk);
      if (target.startsWith('/') || climbsOut(target, folder.depth)) throw fault(Errno.PERM);
      symlinkSync(target, folder.entry(walk.name));
      folder.mount.quota?.entryMade();
      return Errno.SUCCESS;
    });
  },

  path_unlink_file(host: WasiHost, memory: GuestMemory, fd: number, path: number, length: number) {
    return at(host, memory, { fd, right: Rights.PATH_UNLINK_FILE, path, length }, (walk) => {
      if (walk.name === '') throw fault(Errno.ISDIR);
      const folder = writable(walk);
      const stats = lstat(folder, walk.name);
      if (stats.isDirectory()) throw fault(Errno.ISDIR);
      if (walk.mustBeDirectory) throw fault(Errno.NOTDIR);
      unlinkSync(folder.entry(walk.name));
      uncount(folder, stats);
      return Errno.SUCCESS;
    });
  },
};

function trailingSlashError(walk: Walk): Errno {
  const stats = lstatSync(writable(walk).entry(walk.name), { throwIfNoEntry: false });
  if (stats === undefined) return Errno.NOENT;
  return stats.isDirectory() ? Errno.EXIST : Errno.NOTDIR;
}
