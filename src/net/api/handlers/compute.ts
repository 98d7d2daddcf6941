import { NodeError } from '../../../core/errors.ts';
import type { ComputePort } from '../../../core/ports.ts';
import { type LocalExecutionState, localTransitions } from '../../../core/states.ts';
import type { HttpReply, HttpRequest, Route } from '../adapter.ts';
import { fragment } from '../page.ts';
import { unsigned } from '../query.ts';
import { jsonText } from '../reply.ts';
import { localExecutionToWire } from '../wire/local-execution.ts';

const DEFAULT_EXECUTIONS = 100;
const MAX_EXECUTIONS = 1000;
const STATES = Object.keys(localTransitions) as LocalExecutionState[];

/** The executions that a compute node holds. */
export function computeRoutes(compute: ComputePort): Route[] {
  const executions = async (request: HttpRequest): Promise<HttpReply> => {
    const limit = unsigned(request.query, 'limit');
    const states = statesOf(request);
    const views = await compute.executions({
      ...(states.length === 0 ? {} : { states }),
      limit: limit === 0 ? DEFAULT_EXECUTIONS : Math.min(limit, MAX_EXECUTIONS),
    });
    return jsonText(`{"NextToken":"","Items":${fragment(views, localExecutionToWire).text}}`);
  };

  return [{ method: 'GET', path: '/api/v1/compute/executions', role: 'compute', handle: executions }];
}

/** `state`, repeated or comma separated, in any letter case. */
function statesOf(request: HttpRequest): LocalExecutionState[] {
  const names = request.query
    .getAll('state')
    .flatMap((value) => value.split(','))
    .filter((name) => name !== '');
  return names.map((name) => {
    const state = STATES.find((one) => one.toLowerCase() === name.toLowerCase());
    if (state === undefined) {
      throw new NodeError(
        'BadQuery',
        `invalid state: ${JSON.stringify(name)} (expected one of ${STATES.join(', ')})`,
      );
    }
    return state;
  });
}
