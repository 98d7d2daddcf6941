import { createHash, randomUUID } from 'node:crypto';
import { access, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { base32 } from 'multiformats/bases/base32';
import type { CID } from 'multiformats/cid';
import { systemCode } from '../../files/tree.ts';

const SHA2_256 = 0x12;
const IDENTITY = 0x00;
const EMPTY: Uint8Array = new Uint8Array();
const EMPTY_DIGEST: Uint8Array = createHash('sha256').digest();

/**
 * Blocks as files, one each, named by their multihash so that all CIDs of the same bytes share one. Any thread
 * may read and write at any time: a file appears whole, under its final name, or not at all.
 */
export class BlockFiles {
  readonly #directory: string;

  /** @param directory absolute; folders in it are made as they are needed */
  constructor(directory: string) {
    this.#directory = directory;
  }

  async has(cid: CID): Promise<boolean> {
    if (known(cid) !== undefined) return true;
    try {
      await access(this.#path(cid));
      return true;
    } catch {
      return false;
    }
  }

  /** The block, or undefined where it is not here. One that does not fit its hash any more is removed. */
  async get(cid: CID): Promise<Uint8Array | undefined> {
    const own = known(cid);
    if (own !== undefined) return own;
    const path = this.#path(cid);
    let bytes: Uint8Array;
    try {
      bytes = await readFile(path);
    } catch (thrown) {
      if (systemCode(thrown) === 'ENOENT') return undefined;
      throw thrown;
    }
    if (matches(cid, bytes)) return bytes;
    // Cut off by a power failure, for instance: it can be fetched again.
    await rm(path, { force: true });
    return undefined;
  }

  async put(cid: CID, bytes: Uint8Array): Promise<void> {
    if (await this.has(cid)) return;
    const path = this.#path(cid);
    const temporary = `${path}.${randomUUID()}`;
    try {
      await writeNew(temporary, bytes);
      await rename(temporary, path);
    } catch (thrown) {
      await rm(temporary, { force: true });
      throw thrown;
    }
  }

  /** Records that this DAG is to be kept: one file per root. Idempotent. */
  async pin(root: CID): Promise<void> {
    const folder = join(this.#directory, 'pins');
    await mkdir(folder, { recursive: true });
    const content = `${JSON.stringify({ cid: root.toString(), pinnedAt: new Date().toISOString() })}\n`;
    const path = join(folder, root.toString());
    try {
      await writeFile(path, content, { flag: 'wx' });
    } catch (thrown) {
      if (systemCode(thrown) !== 'EEXIST') throw thrown;
    }
  }

  #path(cid: CID): string {
    const name = base32.encode(cid.multihash.bytes);
    return join(this.#directory, name.slice(-3, -1), name);
  }
}

async function writeNew(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await writeFile(path, bytes, { flag: 'wx' });
  } catch (thrown) {
    if (systemCode(thrown) !== 'ENOENT') throw thrown;
    await mkdir(join(path, '..'), { recursive: true });
    await writeFile(path, bytes, { flag: 'wx' });
  }
}

/**
 * The block of a CID that tells it all: one that carries its data, or the hash of nothing. An empty file is such
 * a block, and Kubo answers a want for it with "do not have".
 */
function known({ multihash }: CID): Uint8Array | undefined {
  if (multihash.code === IDENTITY) return multihash.digest;
  return multihash.code === SHA2_256 && equalBytes(multihash.digest, EMPTY_DIGEST) ? EMPTY : undefined;
}

function equalBytes(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

function matches(cid: CID, bytes: Uint8Array): boolean {
  if (cid.multihash.code !== SHA2_256) return true;
  return equalBytes(createHash('sha256').update(bytes).digest(), cid.multihash.digest);
}
