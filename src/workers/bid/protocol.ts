import type { NodeId } from '../../core/ids.ts';
import type { ExecutionHeader } from '../../core/item.ts';
import type { Resources } from '../../core/job.ts';

export interface BidInput {
  readonly header: ExecutionHeader;
  /** JobSpec JSON bytes, checked by ingest. */
  readonly spec: Uint8Array;
}

/** All strategies said yes. The spine reserves `resources` in one step when it gets this. */
export interface BidOutput {
  /** The request; disk raised to the inputs' size where that is known. */
  readonly resources: Resources;
}

/** Policy of one node: frozen at start. */
export interface BidOptions {
  readonly nodeId: NodeId;
  readonly locality: 'local' | 'anywhere';
  readonly rejectStateless: boolean;
  readonly acceptNetworked: boolean;
  /** Jobs may share the host's network, where `acceptNetworked` is set too. Absent means no. */
  readonly allowHostNetwork: boolean;
  readonly minExecutionTimeoutMs: number;
  /** Infinity means none. */
  readonly maxExecutionTimeoutMs: number;
  readonly defaultExecutionTimeoutMs: number;
  /** Namespaces exempt from min and max. */
  readonly timeoutBypass: readonly string[];
  /** Most that one job may ask for. */
  readonly jobLimit: Resources;
  /** For locality of `localDirectory` and `ipfs` inputs. */
  readonly storages: StorageOptions;
}

/** Live setting "offer" of the bid pool: what is installed and answering now. Lower case names. */
export interface Offer {
  readonly engines: readonly string[];
  readonly storages: readonly string[];
  readonly publishers: readonly string[];
}

/** Everything the storages and the IPFS publisher need in a thread. */
export interface StorageOptions {
  /** Kubo's RPC address as a multiaddr or URL; "" means the embedded node. */
  readonly ipfsConnect: string;
  /** Authorization header for Kubo's RPC; "" for none. */
  readonly ipfsAuthorization: string;
  /** Folder of the embedded node's blocks, shared by all threads. */
  readonly ipfsBlocks: string;
  /** Globs with optional ":rw"/":ro". */
  readonly allowListedLocalPaths: readonly string[];
  /** Hosts, "host:port" or CIDRs that urlDownload may reach although they are private. */
  readonly urlAllowList: readonly string[];
  readonly urlTimeoutMs: number;
  readonly urlRetries: number;
}
