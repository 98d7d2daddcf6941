import { CID } from 'multiformats/cid';
import { NodeError } from '../core/errors.ts';

/**
 * A CID as jobs write it; "ipfs://" and "/ipfs/" before it are dropped.
 * @throws NodeError InputInvalid
 */
export function parseCid(text: string): CID {
  const bare = text.trim().replace(/^(?:ipfs:\/\/|\/ipfs\/)/, '');
  try {
    return CID.parse(bare);
  } catch (thrown) {
    throw new NodeError('InputInvalid', `ipfs: ${JSON.stringify(text.slice(0, 200))} is no CID`, {
      cause: thrown,
    });
  }
}
