import { NodeError } from '../core/errors.ts';
import type { StopReason } from './engine.ts';

/** What a run rejects with when it was ended for `reason`. */
export function toStopError(reason: StopReason): NodeError {
  switch (reason.kind) {
    case 'detach':
      return new NodeError('ExecutionLost', 'the node stopped while the execution was running');
    case 'kill':
      return new NodeError(
        reason.why === 'timeout' ? 'ExecutionTimedOut' : 'ExecutionCancelled',
        reason.cause,
      );
  }
}
