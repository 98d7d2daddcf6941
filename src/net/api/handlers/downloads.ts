import { NodeError } from '../../../core/errors.ts';
import type { NodePort } from '../../../core/ports.ts';
import type { HttpReply, HttpRequest, Route } from '../adapter.ts';

const ARCHIVE_SUFFIX = '.tar.gz';
/** Content has to come to this node before its archive can begin. */
const FETCH_MS = 600_000;
/** Letters and digits of the multibase encodings in use; what stands for a CID is judged behind the port. */
const CID = /^[A-Za-z0-9]{1,128}$/;

/** IPFS content for clients that have no IPFS node of their own. Not part of Bacalhau's API. */
export function downloadRoutes(node: NodePort): Route[] {
  const archive = async (request: HttpRequest): Promise<HttpReply> => {
    const name = request.params['archive'] ?? '';
    const cid = name.endsWith(ARCHIVE_SUFFIX) ? name.slice(0, -ARCHIVE_SUFFIX.length) : '';
    if (!CID.test(cid)) {
      throw new NodeError('InputInvalid', `no IPFS content ${JSON.stringify(name)} (expected <CID>.tar.gz)`);
    }
    return {
      status: 200,
      headers: {
        'Content-Type': 'application/gzip',
        'Content-Disposition': `attachment; filename="${name}"`,
      },
      body: await node.ipfsArchive(cid, request.signal),
    };
  };
  return [{ method: 'GET', path: '/ipfs/:archive', deadlineMs: FETCH_MS, handle: archive }];
}
