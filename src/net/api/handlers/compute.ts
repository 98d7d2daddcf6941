import { NodeError } from '../../../core/errors.ts';
import { isCompleteId } from '../../../core/ids.ts';
import type { ComputePort } from '../../../core/ports.ts';
import { type LocalExecutionState, localTransitions } from '../../../core/states.ts';
import type { HttpReply, HttpRequest, Route } from '../adapter.ts';
import { fragment } from '../page.ts';
import { unsigned } from '../query.ts';
import { jsonText } from '../reply.ts';
import { localExecutionToWire } from '../wire/local-execution.ts';

const DEFAULT_EXECUTIONS = 100;
const MAX_EXECUTIONS = 1000;
const ARCHIVE_SUFFIX = '.tar.gz';
const STATES = Object.keys(localTransitions) as LocalExecutionState[];

/** What a compute node holds: its executions, and the archives of its local publisher. */
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

  const archive = async (request: HttpRequest): Promise<HttpReply> => {
    const name = request.params['archive'] ?? '';
    const executionId = name.endsWith(ARCHIVE_SUFFIX) ? name.slice(0, -ARCHIVE_SUFFIX.length) : '';
    // Only ids of executions go further: whatever the name holds, it is never part of a path.
    if (!executionId.startsWith('e-') || !isCompleteId(executionId)) {
      throw new NodeError(
        'ExecutionNotFound',
        `no archive ${JSON.stringify(name)} (expected <execution id>.tar.gz)`,
      );
    }
    const { stream, bytes } = await compute.openArchive(executionId);
    return {
      status: 200,
      headers: {
        'Content-Type': 'application/gzip',
        'Content-Length': String(bytes),
        'Content-Disposition': `attachment; filename="${executionId}${ARCHIVE_SUFFIX}"`,
        'Accept-Ranges': 'none',
      },
      body: stream,
    };
  };

  return [
    { method: 'GET', path: '/api/v1/compute/executions', role: 'compute', handle: executions },
    { method: 'GET', path: '/results/:archive', role: 'compute', handle: archive },
  ];
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
