import { join } from 'node:path';
import type { NodeId } from '../core/ids.ts';

/** Where everything of a node lies. All absolute. */
export interface NodePaths {
  readonly executions: string;
  readonly archives: string;
  readonly ipfsBlocks: string;
  /** Folders of downloads being packed; emptied at start. */
  readonly downloads: string;
  readonly computeStore: string;
  readonly requesterStore: string;
}

/** Layout of a data directory; the stores' places as Bacalhau documents them unless the config names others. */
export function nodePaths(
  dataDir: string,
  nodeId: NodeId,
  stores: { readonly compute: { readonly path: string }; readonly requester: { readonly path: string } },
): NodePaths {
  return {
    executions: join(dataDir, 'executions'),
    archives: join(dataDir, 'results'),
    ipfsBlocks: join(dataDir, 'ipfs'),
    downloads: join(dataDir, 'downloads'),
    computeStore:
      stores.compute.path === '' ? join(dataDir, `${nodeId}-compute`, 'executions.db') : stores.compute.path,
    requesterStore:
      stores.requester.path === '' ? join(dataDir, `${nodeId}-requester`, 'jobs.db') : stores.requester.path,
  };
}
