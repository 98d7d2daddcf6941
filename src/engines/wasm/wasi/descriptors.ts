import { closeSync } from 'node:fs';
import { Errno } from './abi.ts';
import type { DirectoryReader } from './directory-reader.ts';
import { fault } from './fault.ts';
import type { Mount } from './host-directory.ts';
import type { TrackedFile } from './quota.ts';
import type { Directory } from './tree.ts';

/** Most descriptors one run may have: they are descriptors of the node's own process. */
const MOST_DESCRIPTORS = 512;

interface Common {
  /** Bits of Rights this descriptor has, and those that descriptors opened through it may have. */
  rights: number;
  inheriting: number;
  /** Bits of Fdflags. */
  flags: number;
}

/** A regular file. The position is kept here: Node can read at one, but not move the kernel's. */
export interface FileDescriptor extends Common {
  readonly kind: 'file';
  readonly fd: number;
  readonly mount: Mount;
  readonly tracked: TrackedFile | undefined;
  position: number;
}

export interface DirectoryDescriptor extends Common {
  readonly kind: 'directory';
  readonly directory: Directory;
  /** Guest path where it is preopened, if it is. */
  readonly preopen: string | undefined;
  reader: DirectoryReader | undefined;
}

/** stdout or stderr. */
export interface OutputDescriptor extends Common {
  readonly kind: 'output';
  write(buffers: readonly Uint8Array[]): void;
}

/** A stdin with nothing in it. */
export interface EmptyDescriptor extends Common {
  readonly kind: 'empty';
}

export type Descriptor = FileDescriptor | DirectoryDescriptor | OutputDescriptor | EmptyDescriptor;

/** The descriptors of one run. */
export class DescriptorTable {
  readonly #slots: (Descriptor | undefined)[] = [];

  /** @throws Fault BADF */
  get(fd: number): Descriptor {
    const found = this.#slots[fd >>> 0];
    if (found === undefined) throw fault(Errno.BADF);
    return found;
  }

  /** A directory with the right to do this. @throws Fault BADF, NOTDIR, NOTCAPABLE */
  directory(fd: number, right: number): DirectoryDescriptor {
    const found = this.get(fd);
    if (found.kind !== 'directory') throw fault(Errno.NOTDIR);
    if ((found.rights & right) !== right) throw fault(Errno.NOTCAPABLE);
    return found;
  }

  /** A file with the right to do this. @throws Fault BADF, ISDIR, SPIPE, NOTCAPABLE */
  file(fd: number, right: number): FileDescriptor {
    const found = this.get(fd);
    if (found.kind === 'directory') throw fault(Errno.ISDIR);
    if (found.kind !== 'file') throw fault(Errno.SPIPE);
    if ((found.rights & right) !== right) throw fault(Errno.NOTCAPABLE);
    return found;
  }

  /** Puts a descriptor at the lowest free number. @throws Fault MFILE; the descriptor is then closed */
  add(descriptor: Descriptor): number {
    let fd = this.#slots.indexOf(undefined);
    if (fd < 0) fd = this.#slots.length;
    if (fd >= MOST_DESCRIPTORS) {
      release(descriptor);
      throw fault(Errno.MFILE);
    }
    this.#slots[fd] = descriptor;
    return fd;
  }

  /** @throws Fault BADF */
  close(fd: number): void {
    const found = this.get(fd);
    this.#slots[fd >>> 0] = undefined;
    release(found);
  }

  /** Moves `from` over `to`, which is closed. @throws Fault BADF */
  renumber(from: number, to: number): void {
    const moved = this.get(from);
    const replaced = this.get(to);
    if (moved === replaced) return;
    this.#slots[from >>> 0] = undefined;
    this.#slots[to >>> 0] = moved;
    release(replaced);
  }

  closeAll(): void {
    for (const descriptor of this.#slots) if (descriptor !== undefined) release(descriptor);
    this.#slots.length = 0;
  }
}

function release(descriptor: Descriptor): void {
  switch (descriptor.kind) {
    case 'file':
      closeSync(descriptor.fd);
      if (descriptor.tracked !== undefined) descriptor.mount.quota?.closed(descriptor.tracked);
      break;
    case 'directory': {
      descriptor.reader?.close();
      const { node, host } = descriptor.directory;
      // The folder of a mount point belongs to its node.
      if (host !== undefined && host !== node?.host) host.close();
      break;
    }
    case 'output':
    case 'empty':
      break;
  }
}
