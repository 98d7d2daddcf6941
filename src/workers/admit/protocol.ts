import type { ExecutionId } from '../../core/ids.ts';
import type { Placement } from '../../core/item.ts';

/**
 * place: capacity is already moved to `used` and the GPUs are chosen, by the spine; the thread makes the directories.
 * remove: the execution has ended; its directory goes, outcome `advance` with an empty placement.
 */
export type AdmitInput =
  | { readonly kind: 'place'; readonly executionId: ExecutionId; readonly gpus: readonly number[] }
  | { readonly kind: 'remove'; readonly executionId: ExecutionId };

export type AdmitOutput = Placement;

export interface AdmitOptions {
  /** Absolute; `<data dir>/executions`. */
  readonly executionsDirectory: string;
}
