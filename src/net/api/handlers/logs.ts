import { NodeError } from '../../../core/errors.ts';
import type { LogChunk } from '../../../core/ports.ts';
import type { RequesterService } from '../../../requester/service.ts';
import type { Logger } from '../../../telemetry/logger.ts';
import type { HttpRequest, Route, Socket } from '../adapter.ts';
import { flag, text } from '../query.ts';
import { jobLookup } from './job-details.ts';

const STREAM_CODES: Readonly<Record<LogChunk['stream'], number>> = { stdout: 1, stderr: 2 };

/** The log of one execution of a job, over a WebSocket (v1.9: upgrade first, then frames, then close 1000). */
export function logRoutes(requester: RequesterService, logger: Logger): Route[] {
  const read = async (request: HttpRequest, socket: Socket): Promise<void> => {
    try {
      const { id, namespace } = jobLookup(request);
      const { query } = request;
      const options = { follow: flag(query, 'follow'), tail: flag(query, 'tail') };
      const chunks = requester.logs(id, namespace, text(query, 'execution_id'), options, socket.signal);
      for await (const chunk of chunks) {
        const frame = { value: { Type: STREAM_CODES[chunk.stream], Line: chunk.text } };
        if (!(await socket.send(JSON.stringify(frame)))) break;
      }
    } catch (error) {
      if (!socket.signal.aborted) await socket.send(errorFrame(error, request, logger));
    } finally {
      socket.close(1000, '');
    }
  };
  return [
    {
      method: 'GET',
      path: '/api/v1/orchestrator/jobs/:id/logs',
      role: 'requester',
      socket: { kind: 'logs', open: read },
    },
  ];
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
