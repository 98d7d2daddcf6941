import type { NodeConfig } from './config/load.ts';
import type { NodeId } from './core/ids.ts';
import type { Resources } from './core/job.ts';

/** A node that is up: what `serve` shows of it, and how it ends. */
export interface RunningNode {
  readonly nodeId: NodeId;
  /** "http://127.0.0.1:1234"; https where the API has a certificate. */
  readonly apiUrl: string;
  /** What serves the API, and why it is not uWebSockets.js where that was to be used if it loads ("" otherwise). */
  readonly apiServer: { readonly name: string; readonly fallback: string };
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
