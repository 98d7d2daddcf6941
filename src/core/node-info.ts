import type { NodeId } from './ids.ts';
import type { Gpu, Resources } from './job.ts';

/** What a node says of itself. Sent to requesters when it changes. */
export interface NodeInfo {
  readonly nodeId: NodeId;
  readonly roles: { readonly compute: boolean; readonly requester: boolean };
  readonly labels: Readonly<Record<string, string>>;
  readonly version: string;
  /** Null on a requester-only node. */
  readonly compute: ComputeInfo | null;
}

export interface ComputeInfo {
  readonly engines: readonly string[];
  readonly publishers: readonly string[];
  readonly storages: readonly string[];
  readonly maxCapacity: Resources;
  /** What executions waiting at the node may add up to. */
  readonly queueCapacity: Resources;
  /** What executions offered and waiting do add up to. */
  readonly promisedCapacity: Resources;
  /** What those of them add up to that are accepted and wait for capacity. */
  readonly queuedCapacity: Resources;
  /** What is free of `maxCapacity` now. */
  readonly availableCapacity: Resources;
  readonly maxJobRequirements: Resources;
  readonly gpus: readonly Gpu[];
  readonly runningExecutions: number;
  /** Accepted and waiting for capacity. */
  readonly enqueuedExecutions: number;
  /** Bids that were made and not answered. */
  readonly offeredExecutions: number;
  /** How many more asks the node would take up now, and what they may add up to. */
  readonly openSlots: number;
  readonly openCapacity: Resources;
}
