import type { NodeConfig } from './config/load.ts';
import type { NodeId } from './core/ids.ts';
import type { Resources } from './core/job.ts';

/** A node that is up: what `serve` shows of it, and how it ends. */
export interface RunningNode {
  readonly nodeId: NodeId;
  /** "http://127.0.0.1:1234". */
  readonly apiUrl: string;
  /** Multiaddrs with the peer id at their end. */
  readonly swarmAddresses: readonly string[];
  readonly engines: readonly string[];
  readonly storages: readonly string[];
  readonly publishers: readonly string[];
  /** What the node gives to jobs; undefined on a requester-only node. */
  readonly capacity: Resources | undefined;
  readonly warnings: readonly string[];
  /** The job selection policy of this configuration holds from now on; nothing else of it does. */
  setPolicy(next: NodeConfig): void;
  /** Ends within `deadlineMs` (epoch). Idempotent. */
  stop(deadlineMs: number): Promise<void>;
  /** Resolves when the node cannot go on; never rejects. */
  readonly failed: Promise<Error>;
}
