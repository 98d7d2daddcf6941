import { closeSync, constants, fstatSync, ftruncateSync, lstatSync, openSync, type Stats } from 'node:fs';
import {
  DIRECTORY_RIGHTS,
  Errno,
  Fdflags,
  FILE_RIGHTS,
  FILE_WRITE_RIGHTS,
  Lookupflags,
  Oflags,
  Rights,
  rightsFromWire,
} from '../abi.ts';
import type { Descriptor, DirectoryDescriptor, FileDescriptor } from '../descriptors.ts';
import { errnoOf, fault, hostCode } from '../fault.ts';
import type { WasiHost } from '../host.ts';
import type { HostDirectory, Mount } from '../host-directory.ts';
import type { GuestMemory } from '../memory.ts';
import type { Directory, MountNode } from '../tree.ts';
import { Walk } from '../walk.ts';
import type { WasiCalls } from './call.ts';

/** How a path is to be opened. */
interface Opening {
  readonly oflags: number;
  readonly fdflags: number;
  readonly rights: number;
  readonly inheriting: number;
  readonly follow: boolean;
}

const wantsWrite = (how: Opening): boolean => (how.rights & (Rights.FD_WRITE | Rights.FD_ALLOCATE)) !== 0;
const changes = (how: Opening): boolean => wantsWrite(how) || (how.oflags & Oflags.TRUNC) !== 0;

/** Flags of the host. Never blocks on a FIFO, never follows a link, never becomes the node's terminal. */
function hostFlags(how: Opening): number {
  const read = (how.rights & Rights.FD_READ) !== 0;
  let flags = constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;
  if (!changes(how)) flags |= constants.O_RDONLY;
  else flags |= read ? constants.O_RDWR : constants.O_WRONLY;
  if ((how.oflags & Oflags.CREAT) !== 0) flags |= constants.O_CREAT;
  if ((how.oflags & Oflags.EXCL) !== 0) flags |= constants.O_EXCL;
  return flags;
}

function directoryDescriptor(directory: Directory, how: Opening): DirectoryDescriptor {
  return {
    kind: 'directory',
    rights: how.rights & DIRECTORY_RIGHTS,
    inheriting: how.inheriting,
    flags: how.fdflags,
    directory,
    preopen: undefined,
    reader: undefined,
  };
}

/** A folder as a descriptor of its own. */
function openFolder(directory: Directory, how: Opening): Descriptor {
  if ((how.oflags & Oflags.EXCL) !== 0 && (how.oflags & Oflags.CREAT) !== 0) throw fault(Errno.EXIST);
  if (changes(how)) throw fault(Errno.ISDIR);
  const { node, host } = directory;
  const own = host === undefined || host === node?.host ? host : host.clone();
  return directoryDescriptor({ node, host: own }, how);
}

/** A descriptor of an open file; the file is closed when it cannot be one. */
function fileDescriptor(fd: number, stats: Stats, mount: Mount, how: Opening): FileDescriptor {
  const rights = how.rights & FILE_RIGHTS & (mount.readOnly ? ~FILE_WRITE_RIGHTS : ~0);
  const { quota } = mount;
  const tracked = quota?.opened(stats);
  const descriptor: FileDescriptor = {
    kind: 'file',
    fd,
    mount,
    tracked,
    rights,
    inheriting: how.inheriting & FILE_RIGHTS,
    flags: how.fdflags,
    position: 0,
  };
  if ((how.oflags & Oflags.TRUNC) !== 0) {
    ftruncateSync(fd, 0);
    if (tracked !== undefined) quota?.resize(tracked, 0);
  }
  return descriptor;
}

/** Opens the file behind a mount point that is a file. */
function openMountedFile(path: string, mount: Mount, how: Opening): Descriptor {
  if ((how.oflags & Oflags.DIRECTORY) !== 0) throw fault(Errno.NOTDIR);
  if ((how.oflags & Oflags.EXCL) !== 0 && (how.oflags & Oflags.CREAT) !== 0) throw fault(Errno.EXIST);
  if (mount.readOnly && changes(how)) throw fault(Errno.ROFS);
  const fd = openSync(path, hostFlags({ ...how, oflags: how.oflags & ~(Oflags.CREAT | Oflags.EXCL) }));
  return describe(fd, how, mount, () => fault(Errno.ACCES));
}

function openMountPoint(walk: Walk, node: MountNode, how: Opening): Descriptor {
  if (node.source.kind !== 'file') return openFolder(walk.enter(node), how);
  if (walk.mustBeDirectory) throw fault(Errno.NOTDIR);
  return openMountedFile(node.source.path, node.source.mount, how);
}

/** Opens a folder entry that must be a folder. Undefined where it is a link to be followed. */
function openAsFolder(walk: Walk, host: HostDirectory, how: Opening): Descriptor | undefined {
  if ((how.oflags & Oflags.CREAT) !== 0) throw fault(walk.mustBeDirectory ? Errno.ISDIR : Errno.INVAL);
  let child: HostDirectory;
  try {
    child = host.child(walk.name);
  } catch (thrown) {
    if (errnoOf(thrown) !== Errno.NOTDIR || !isLink(host, walk.name)) throw thrown;
    if (how.follow || walk.mustBeDirectory) return undefined;
    throw fault(Errno.LOOP);
  }
  if (changes(how)) {
    child.close();
    throw fault(Errno.ISDIR);
  }
  return directoryDescriptor({ node: undefined, host: child }, how);
}

/** Opens a folder entry, whatever it is. Undefined where it is a link to be followed. */
function openEntry(walk: Walk, host: HostDirectory, how: Opening): Descriptor | undefined {
  if (walk.mustBeDirectory || (how.oflags & Oflags.DIRECTORY) !== 0) return openAsFolder(walk, host, how);
  const path = host.entry(walk.name);
  const { mount } = host;
  if (mount.readOnly && (changes(how) || (how.oflags & Oflags.CREAT) !== 0)) {
    return openReadOnly(walk, host, how);
  }
  const isNew = (how.oflags & Oflags.CREAT) !== 0 && mount.quota !== undefined && !exists(path);
  if (isNew) mount.quota?.entryMade();
  let fd: number;
  try {
    fd = openSync(path, hostFlags(how), 0o644);
  } catch (thrown) {
    if (isNew) mount.quota?.entryRemoved();
    if (hostCode(thrown) !== 'ELOOP' || !isLink(host, walk.name)) throw thrown;
    if (how.follow) return undefined;
    throw fault(Errno.LOOP);
  }
  return describe(fd, how, mount, () =>
    directoryDescriptor({ node: undefined, host: host.child(walk.name) }, how),
  );
}

/** An entry of a read-only mount asked for with a flag that could change it: allowed where it would not. */
function openReadOnly(walk: Walk, host: HostDirectory, how: Opening): Descriptor | undefined {
  const stats = lstatSync(host.entry(walk.name), { throwIfNoEntry: false });
  const creates = (how.oflags & Oflags.CREAT) !== 0;
  if (stats === undefined) throw fault(creates ? Errno.ROFS : Errno.NOENT);
  if (creates && (how.oflags & Oflags.EXCL) !== 0) throw fault(Errno.EXIST);
  if (stats.isSymbolicLink()) {
    if (how.follow) return undefined;
    throw fault(Errno.LOOP);
  }
  if (stats.isDirectory()) throw fault(Errno.ISDIR);
  if (changes(how)) throw fault(Errno.ROFS);
  return openEntry(walk, host, { ...how, oflags: how.oflags & ~Oflags.CREAT });
}

/** Makes a descriptor of a host file just opened, which is closed where it is neither file nor folder. */
function describe(fd: number, how: Opening, mount: Mount, folder: () => Descriptor | Error): Descriptor {
  const stats = fstatSync(fd);
  if (stats.isFile()) {
    try {
      return fileDescriptor(fd, stats, mount, how);
    } catch (thrown) {
      closeSync(fd);
      throw thrown;
    }
  }
  closeSync(fd);
  const made = stats.isDirectory() ? folder() : fault(Errno.ACCES);
  if (made instanceof Error) throw made;
  return made;
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function isLink(host: HostDirectory, name: string): boolean {
  return lstatSync(host.entry(name), { throwIfNoEntry: false })?.isSymbolicLink() === true;
}

function open(walk: Walk, how: Opening): Descriptor {
  for (;;) {
    if (walk.name === '') return openFolder(walk.directory, how);
    const node = walk.mountPoint;
    if (node !== undefined) return openMountPoint(walk, node, how);
    const host = walk.directory.host;
    if (host === undefined) throw fault((how.oflags & Oflags.CREAT) === 0 ? Errno.NOENT : Errno.ROFS);
    const opened = openEntry(walk, host, how);
    if (opened !== undefined) return opened;
    walk.followLink();
  }
}

/** Opening a path. */
export const openCalls: WasiCalls = {
  path_open(
    host: WasiHost,
    memory: GuestMemory,
    dirfd: number,
    lookup: number,
    path: number,
    length: number,
    oflags: number,
    rights: bigint,
    inheriting: bigint,
    fdflags: number,
    result: number,
  ) {
    const base = host.descriptors.directory(dirfd, Rights.PATH_OPEN);
    const needed =
      ((oflags & Oflags.CREAT) === 0 ? 0 : Rights.PATH_CREATE_FILE) |
      ((oflags & Oflags.TRUNC) === 0 ? 0 : Rights.PATH_FILESTAT_SET_SIZE);
    if ((base.rights & needed) !== needed) throw fault(Errno.NOTCAPABLE);
    const allowedFlags = Fdflags.APPEND | Fdflags.DSYNC | Fdflags.NONBLOCK | Fdflags.RSYNC | Fdflags.SYNC;
    if ((oflags & ~15) !== 0 || (fdflags & ~allowedFlags) !== 0) throw fault(Errno.INVAL);
    // Checked first: a descriptor the guest could not be told of would stay open.
    memory.bytes(result, 4);
    const how: Opening = {
      oflags,
      fdflags,
      rights: rightsFromWire(rights) & base.inheriting,
      inheriting: rightsFromWire(inheriting) & base.inheriting,
      follow: (lookup & Lookupflags.SYMLINK_FOLLOW) !== 0,
    };
    const walk = new Walk(host.tree, base.directory, memory.path(path, length));
    try {
      memory.setU32(result, host.descriptors.add(open(walk, how)));
    } finally {
      walk.close();
    }
    return Errno.SUCCESS;
  },
};
