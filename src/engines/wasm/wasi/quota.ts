import { NodeError } from '../../../core/errors.ts';
import { formatBytes } from '../../../core/resources.ts';

/** Most files, folders and links a run may make: an empty one takes disk too, and the publisher walks them all. */
const MOST_ENTRIES = 100_000;

/** A file that the guest has open, as the quota sees it. */
export interface TrackedFile {
  readonly key: string;
  bytes: number;
  opens: number;
  removed: boolean;
}

/** Identity and size of a file on the host. */
export interface FileIdentity {
  readonly dev: number;
  readonly ino: number;
  readonly size: number;
  readonly nlink: number;
}

/**
 * Counts the bytes of all result paths of one run while they are written. Sparse bytes count: the publisher
 * would read them. Going over throws OutputTooLarge.
 */
export class ResultQuota {
  readonly #limit: number;
  readonly #open = new Map<string, TrackedFile>();
  #used = 0;
  #entries = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Bytes in use now. */
  get used(): number {
    return this.#used;
  }

  /** Follows a file while it is open. */
  opened(identity: FileIdentity): TrackedFile {
    const key = `${identity.dev}:${identity.ino}`;
    const known = this.#open.get(key);
    if (known !== undefined) {
      known.opens += 1;
      return known;
    }
    const file: TrackedFile = { key, bytes: identity.size, opens: 1, removed: false };
    this.#open.set(key, file);
    return file;
  }

  /** The last descriptor of a removed file gives its bytes back. */
  closed(file: TrackedFile): void {
    file.opens -= 1;
    if (file.opens > 0) return;
    this.#open.delete(file.key);
    if (file.removed) this.#used -= file.bytes;
  }

  /** The file is about to end at `end` or beyond. @throws NodeError OutputTooLarge */
  grow(file: TrackedFile, end: number): void {
    if (end <= file.bytes) return;
    this.#take(end - file.bytes);
    file.bytes = end;
  }

  /** The file is about to have exactly `bytes`. @throws NodeError OutputTooLarge */
  resize(file: TrackedFile, bytes: number): void {
    this.#take(bytes - file.bytes);
    file.bytes = bytes;
  }

  /** A name of the file was taken away. */
  removed(identity: FileIdentity): void {
    this.#entries -= 1;
    if (identity.nlink > 1) return;
    const file = this.#open.get(`${identity.dev}:${identity.ino}`);
    if (file === undefined) this.#used -= identity.size;
    else file.removed = true;
  }

  /** A folder or a link was taken away. */
  entryRemoved(): void {
    this.#entries -= 1;
  }

  /** A file, folder or link is about to be made. @throws NodeError OutputTooLarge */
  entryMade(): void {
    this.#entries += 1;
    if (this.#entries > MOST_ENTRIES) {
      throw new NodeError(
        'OutputTooLarge',
        `the job made more than ${MOST_ENTRIES} files and folders in its result paths (expected fewer; put them in an archive)`,
      );
    }
  }

  #take(bytes: number): void {
    this.#used += bytes;
    if (this.#used > this.#limit) {
      throw new NodeError(
        'OutputTooLarge',
        `the job wrote more than ${formatBytes(this.#limit)} to its result paths (expected less, or a larger disk request)`,
      );
    }
  }
}
