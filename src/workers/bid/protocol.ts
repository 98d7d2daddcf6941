import type { SharedLedger } from '../../capacity/ledger-words.ts';
import type { Explanation } from '../../core/bids.ts';
import type { AskedExecution, ReadSpec } from '../../core/headers.ts';
import type { NodeId } from '../../core/ids.ts';
import type { ExecutionHeader } from '../../core/item.ts';
import type { Resources } from '../../core/job.ts';

export interface BidInput {
  /**
   * What this very node's requester has read in the spec, which it has checked; or only who asks: then the spec is as a
   * peer sent it, and is checked first.
   */
  readonly asked: ExecutionHeader | AskedExecution;
  /** JobSpec JSON bytes. */
  readonly spec: Uint8Array;
  /** Every strategy is asked, and the answer is always `advance` with what they said. */
  readonly explain: boolean;
}

/** All strategies said yes. The spine reserves `resources` in one step when it gets this. */
export interface BidOutput {
  /** The request; disk raised to the inputs' size where that is known. */
  readonly resources: Resources;
  /** What was read in the spec, where it was not known. */
  readonly read?: ReadSpec;
  /** Where an explanation was asked for. */
  readonly explanation?: Explanation;
}

/** A strategy of the policy: the code of its rejections. */
export type StrategyName =
  | 'networking'
  | 'timeout'
  | 'stateless'
  | 'publisher'
  | 'storage'
  | 'engine'
  | 'locality'
  | 'exec_probe'
  | 'http_probe'
  | 'image_platform'
  | 'max_capacity'
  | 'no_room'
  | 'disk_low';

/** In the order in which they count. */
export const strategyNames: readonly StrategyName[] = [
  'networking',
  'timeout',
  'stateless',
  'publisher',
  'storage',
  'engine',
  'locality',
  'exec_probe',
  'http_probe',
  'image_platform',
  'max_capacity',
  'no_room',
  'disk_low',
];

/** Which jobs the node takes: what an operator may change while it runs (live setting "policy"). */
export interface BidPolicy {
  readonly locality: 'local' | 'anywhere';
  readonly rejectStateless: boolean;
  readonly acceptNetworked: boolean;
  readonly minExecutionTimeoutMs: number;
  /** Infinity means none. */
  readonly maxExecutionTimeoutMs: number;
  /** Namespaces exempt from min and max. */
  readonly timeoutBypass: readonly string[];
  /** Shell text of the exec probe; "" for none. */
  readonly probeExec: string;
  /** URL of the HTTP probe; "" for none. */
  readonly probeHttp: string;
  /** How long either probe may take. */
  readonly probeTimeoutMs: number;
  /** Probes of a kind that run at once, at most `MAX_PROBES`; what comes on top is put off. */
  readonly probeConcurrency: number;
  /** What a probe's failure to answer means: the job is refused for good, or put off. */
  readonly probeOnError: 'reject' | 'transient';
}

/** Largest `probeConcurrency`. */
export const MAX_PROBES = 1024;

/** Policy and surroundings of one node. */
export interface BidOptions extends BidPolicy {
  readonly nodeId: NodeId;
  /** Jobs may share the host's network, where `acceptNetworked` is set too. Absent means no. */
  readonly allowHostNetwork: boolean;
  readonly defaultExecutionTimeoutMs: number;
  /** A peer's job that states no resources asks for these. */
  readonly defaultResources: Resources;
  /** Most that one job may ask for. */
  readonly jobLimit: Resources;
  /** For locality of `localDirectory` and `ipfs` inputs. */
  readonly storages: StorageOptions;
  /** "http://host:port" of this node, where probes may send a later decision. */
  readonly publicUrl: string;
  /** PATH of exec probes: all of the environment they get, but for the job. */
  readonly probePath: string;
  /** What is free, for a look before the probes; absent: that look is not taken. */
  readonly ledger?: SharedLedger;
  /** What is left of the disk, for a look before the probes; absent: that look is not taken. */
  readonly disk?: SharedArrayBuffer;
  /** Counters and probe slots shared with the main thread and the other bid threads; absent: the thread's own. */
  readonly tally?: SharedArrayBuffer;
  readonly docker: DockerAccess;
}

/** How to ask Docker about images. */
export interface DockerAccess {
  /** As DOCKER_HOST; "" for the usual socket. */
  readonly host: string;
  /** Docker Hub account; "" for none. */
  readonly username: string;
  readonly password: string;
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
