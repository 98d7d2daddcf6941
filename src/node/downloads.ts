import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline, type Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import { NodeError } from '../core/errors.ts';
import { packDirectory } from '../files/pack.ts';
import type { IpfsClient } from '../ipfs/client.ts';

/** Downloads packed at once: each holds disk, and a person waits for it. */
const AT_ONCE = 4;

export interface DownloadsOptions {
  /** Absolute; emptied by `start`. */
  readonly directory: string;
  /** Most bytes of one download. */
  readonly maxBytes: number;
}

/** Hands out IPFS content as archives, so that clients need no IPFS of their own. */
export class Downloads {
  readonly #options: DownloadsOptions;
  readonly #client: () => Promise<IpfsClient>;
  #running = 0;

  constructor(options: DownloadsOptions, modules: { readonly client: () => Promise<IpfsClient> }) {
    this.#options = options;
    this.#client = modules.client;
  }

  async start(): Promise<void> {
    await rm(this.#options.directory, { recursive: true, force: true });
    await mkdir(this.#options.directory, { recursive: true, mode: 0o700 });
  }

  /**
   * The contents of a CID as a tar.gz. The folder behind it is removed when the stream ends, however it ends.
   * @throws NodeError Busy, InputInvalid, InputUnavailable, InputTooLarge, DiskFull
   */
  async archive(cid: string, signal: AbortSignal): Promise<Readable> {
    if (this.#running >= AT_ONCE) {
      throw new NodeError('Busy', `the node is already packing ${AT_ONCE} downloads; try again in a moment`);
    }
    this.#running += 1;
    const scratch = await mkdtemp(join(this.#options.directory, 'ipfs-'));
    const end = (): void => {
      this.#running -= 1;
      void rm(scratch, { recursive: true, force: true });
    };
    try {
      const client = await this.#client();
      const fetched = await client.get(cid, join(scratch, 'content'), {
        signal,
        maxBytes: this.#options.maxBytes,
      });
      const root = fetched.kind === 'directory' ? join(scratch, 'content') : scratch;
      const archive = createGzip();
      pipeline(packDirectory(root, signal), archive, end);
      return archive;
    } catch (error) {
      end();
      throw error;
    }
  }
}
