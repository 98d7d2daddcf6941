import { NodeError } from '../../../core/errors.ts';
import type { LogChunk, LogOptions, LogPort } from '../../../core/ports.ts';
import type { RequesterService } from '../../../requester/service.ts';
import type { Logger } from '../../../telemetry/logger.ts';
import type { HttpRequest, Route, Socket } from '../adapter.ts';
import { flag, text } from '../query.ts';
import { jobLookup } from './job-details.ts';

const STREAM_CODES: Readonly<Record<LogChunk['stream'], number>> = { stdout: 1, stderr: 2 };

type Read = (request: HttpRequest, options: LogOptions, signal: AbortSignal) => AsyncIterable<LogChunk>;

/** The log of one execution of a job, wherever it runs. */
export function logRoutes(requester: RequesterService, logger: Logger): Route[] {
  const read: Read = (request, options, signal) => {
    const { id, namespace, version } = jobLookup(request);
    const executionId = text(request.query, 'execution_id');
    return requester.logs(id, namespace, executionId, { ...options, jobVersion: version }, signal);
  };
  return [
    {
      method: 'GET',
      path: '/api/v1/orchestrator/jobs/:id/logs',
      role: 'requester',
      socket: { kind: 'logs', open: (request, socket) => stream(read, request, socket, logger) },
    },
  ];
}

/** The log of an execution of this very node, for nodes without the requester's role too. */
export function localLogRoutes(compute: LogPort, logger: Logger): Route[] {
  const read: Read = (request, options, signal) => compute.logs(request.params['id'] ?? '', options, signal);
  return [
    {
      method: 'GET',
      path: '/api/v1/compute/executions/:id/logs',
      role: 'compute',
      socket: { kind: 'logs', open: (request, socket) => stream(read, request, socket, logger) },
    },
  ];
}

/** Frames over a WebSocket as v1.9 sends them: upgrade first, then frames, errors as one of them, then close 1000. */
async function stream(read: Read, request: HttpRequest, socket: Socket, logger: Logger): Promise<void> {
  try {
    const options = { follow: flag(request.query, 'follow'), tail: flag(request.query, 'tail') };
    for await (const chunk of read(request, options, socket.signal)) {
      const frame = { value: { Type: STREAM_CODES[chunk.stream], Line: chunk.text } };
      if (!(await socket.send(JSON.stringify(frame)))) break;
    }
  } catch (error) {
    if (!socket.signal.aborted) await socket.send(errorFrame(error, request, logger));
  } finally {
    socket.close(1000, '');
  }
}

function errorFrame(error: unknown, request: HttpRequest, logger: Logger): string {
  let message: string;
  if (error instanceof NodeError && error.code !== 'Internal') message = error.message;
  else {
    logger.error(
      { err: error, requestId: request.id },
      `unexpected error while reading logs at ${request.path}`,
    );
    message = `Internal server error (see the node's log for request ${request.id})`;
  }
  return JSON.stringify({ error: message, value: { Type: 0, Line: '' } });
}
