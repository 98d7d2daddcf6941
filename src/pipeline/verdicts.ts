import { type ErrorData, NodeError, toErrorData } from '../core/errors.ts';
import type { Outcome, Rejection } from '../core/outcome.ts';
import type { Item, StopCause } from './item.ts';
import type { Ending } from './settle.ts';

/** A refusal that another time may not meet. */
export function transient(code: Rejection['code'], reason: string): Rejection {
  return { kind: 'reject', final: false, code, reason };
}

/** The end of an execution that somebody called off. */
export function cancelled(message: string): Ending {
  return { state: 'Cancelled', error: { code: 'ExecutionCancelled', message } };
}

/** The end of an execution that was stopped early. */
export function endingOf({ why, cause }: StopCause): Ending {
  if (why === 'cancelled') return cancelled(cause);
  return { state: 'Failed', error: { code: 'ExecutionTimedOut', message: cause } };
}

/** The end of an execution that can not go on after a restart. */
export function givenUp(why: string): Ending {
  return {
    state: 'Failed',
    error: { code: 'ExecutionLost', message: `execution was given up: ${why}` },
  };
}

/** The end of a bid that was never made. Its requester hears of it as of any refusal. */
export function refused({ code, final, reason, requested, available }: Rejection): Ending {
  const details = {
    RejectCode: code,
    Final: String(final),
    ...(requested === undefined ? {} : { Requested: requested }),
    ...(available === undefined ? {} : { Available: available }),
  };
  return { state: 'Cancelled', error: { code: 'ExecutionCancelled', message: reason, details } };
}

/** What went wrong in a stage that did not advance. */
export function faultOf(outcome: Outcome<unknown>): NodeError {
  if (outcome.kind !== 'fail') {
    return new NodeError('Internal', `a stage answered "${outcome.kind}" where that has no meaning`);
  }
  const { code, message, details } = outcome.error;
  return new NodeError(code, message, details === undefined ? {} : { details });
}

/** Why an execution failed: its own clock before what the stage said of being interrupted. */
export function failureOf(item: Item, outcome: Outcome<unknown>): ErrorData {
  if (item.stop !== undefined) return { code: 'ExecutionTimedOut', message: item.stop.cause };
  return toErrorData(faultOf(outcome));
}
