import { limits } from '../../src/core/limits.ts';
import type { StorageOptions } from '../../src/workers/bid/protocol.ts';
import type { ExecuteOptions } from '../../src/workers/execute/protocol.ts';
import { TEST_NODE } from './store-records.ts';

/** Storages that reach nothing but `folder`. */
export function storageOptions(folder: string): StorageOptions {
  return {
    ipfsConnect: '',
    ipfsAuthorization: '',
    ipfsBlocks: folder,
    allowListedLocalPaths: [],
    urlAllowList: [],
    urlTimeoutMs: 1000,
    urlRetries: 0,
  };
}

/** What the execute stage's threads get in tests. */
export function executeOptions(folder: string): ExecuteOptions {
  return {
    nodeId: TEST_NODE,
    storages: storageOptions(folder),
    dockerHost: '',
    dockerUsername: '',
    dockerPassword: '',
    acceptNetworked: false,
    allowHostNetwork: false,
    maxStreamBytes: limits.streamBytes,
    maxResultBytes: limits.streamBytes,
    envAllowList: [],
    hostEnv: {},
  };
}
