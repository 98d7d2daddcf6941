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
  readonly availableCapacity: Resources;
  readonly maxJobRequirements: Resources;
  readonly gpus: readonly Gpu[];
  readonly runningExecutions: number;
  readonly enqueuedExecutions: number;
  /** How many more asks the node would take up now, and what they may add up to. */
  readonly openSlots: number;
  readonly openCapacity: Resources;
}
