import { decode } from '@ipld/dag-pb';
import { CID } from 'multiformats/cid';
import { NodeError } from '../../core/errors.ts';
import type { BlockFiles } from './blocks.ts';

const DAG_PB = 0x70;
const RAW = 0x55;

/** True when every block under `root` is in the folder. @throws NodeError InputInvalid for other than UnixFS codecs */
export async function isComplete(root: CID, blocks: BlockFiles, signal: AbortSignal): Promise<boolean> {
  const seen = new Set<string>();
  const open = [root];
  for (let cid = open.pop(); cid !== undefined; cid = open.pop()) {
    signal.throwIfAborted();
    const key = cid.toString();
    if (seen.has(key)) continue;
    seen.add(key);
    if (cid.code === RAW) {
      if (!(await blocks.has(cid))) return false;
      continue;
    }
    const links = await linksOf(cid, blocks);
    if (links === undefined) return false;
    for (const link of links) open.push(link.cid);
  }
  return true;
}

/** Bytes of the DAG as its root tells them, or undefined where the root is not in the folder. */
export async function cumulativeSize(root: CID, blocks: BlockFiles): Promise<number | undefined> {
  const own = await blocks.get(root);
  if (own === undefined) return undefined;
  if (root.code === RAW) return own.byteLength;
  const links = await linksOf(root, blocks);
  return links?.reduce((sum, { bytes }) => sum + bytes, own.byteLength);
}

interface Link {
  readonly cid: CID;
  readonly bytes: number;
}

async function linksOf(cid: CID, blocks: BlockFiles): Promise<readonly Link[] | undefined> {
  if (cid.code !== DAG_PB) {
    throw new NodeError('InputInvalid', `IPFS ${cid.toString()} is neither a file nor a folder`);
  }
  const bytes = await blocks.get(cid);
  if (bytes === undefined) return undefined;
  try {
    return decode(bytes).Links.map((link) => ({
      cid: CID.asCID(link.Hash) ?? link.Hash,
      bytes: link.Tsize ?? 0,
    }));
  } catch (thrown) {
    throw new NodeError('InputInvalid', `IPFS ${cid.toString()} is malformed`, { cause: thrown });
  }
}
