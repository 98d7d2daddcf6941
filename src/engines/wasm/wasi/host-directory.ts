import { closeSync, constants, existsSync, openSync } from 'node:fs';
import { Errno } from './abi.ts';
import { fault, hostCode } from './fault.ts';
import type { ResultQuota } from './quota.ts';

/** O_PATH of Linux (asm-generic): names a folder without opening it for reading. Node has no name for it. */
const O_PATH = 0x200000;

// With it a path through a descriptor is resolved from that very folder, as openat does, wherever it was moved.
const HAS_DESCRIPTOR_PATHS = process.platform === 'linux' && existsSync('/proc/self/fd');
const DIRECTORY_FLAGS =
  constants.O_DIRECTORY | (HAS_DESCRIPTOR_PATHS ? O_PATH : constants.O_RDONLY | constants.O_NONBLOCK);

/** What may be done below one mount. */
export interface Mount {
  readonly readOnly: boolean;
  /** Counts what is written; undefined where nothing counts (a host folder the operator allowed). */
  readonly quota: ResultQuota | undefined;
}

/** A folder of the host held open, so that its entries can be named without walking to it again. */
export class HostDirectory {
  readonly fd: number;
  readonly mount: Mount;
  /** Folders between it and the top folder of its mount, 0 for that one: a link must not climb above it. */
  readonly depth: number;
  readonly #anchor: string;

  constructor(path: string, mount: Mount, options: { depth: number; followLink: boolean }) {
    this.fd = openSync(path, DIRECTORY_FLAGS | (options.followLink ? 0 : constants.O_NOFOLLOW));
    this.mount = mount;
    this.depth = options.depth;
    this.#anchor = HAS_DESCRIPTOR_PATHS ? `/proc/self/fd/${this.fd}` : path;
  }

  /** Host path of this folder itself. */
  get path(): string {
    return this.#anchor;
  }

  /** Host path of an entry; `name` is one component. */
  entry(name: string): string {
    return `${this.#anchor}/${name}`;
  }

  /** The folder `name` in this one, never through a symbolic link: then and for what is no folder NOTDIR. */
  child(name: string): HostDirectory {
    try {
      return new HostDirectory(this.entry(name), this.mount, { depth: this.depth + 1, followLink: false });
    } catch (thrown) {
      if (hostCode(thrown) === 'ELOOP') throw fault(Errno.NOTDIR);
      throw thrown;
    }
  }

  /** The same folder, held on its own. */
  clone(): HostDirectory {
    return new HostDirectory(this.#anchor, this.mount, { depth: this.depth, followLink: true });
  }

  close(): void {
    closeSync(this.fd);
  }
}
