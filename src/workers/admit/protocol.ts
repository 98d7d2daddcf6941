import type { ExecutionId } from '../../core/ids.ts';
import type { Placement } from '../../core/item.ts';

/** Capacity is already moved to `used` and the GPUs are chosen, by the spine; the thread makes the directories. */
export interface AdmitInput {
  readonly executionId: ExecutionId;
  readonly gpus: readonly number[];
}

export type AdmitOutput = Placement;

export interface AdmitOptions {
  /** Absolute; `<data dir>/executions`. */
  readonly executionsDirectory: string;
}
