import { NodeError } from '../../core/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { HttpReply, HttpRequest } from './adapter.ts';

/** Headers of every JSON answer. The same object each time: servers recognise it. */
export const JSON_HEADERS: Readonly<Record<string, string>> = Object.freeze({
  'Content-Type': 'application/json',
});

const RETRY_AFTER_SECONDS = '1';

/** 200 with `value` as JSON. */
export function json(value: unknown): HttpReply {
  return { status: 200, headers: JSON_HEADERS, body: JSON.stringify(value) };
}

/** 200 with a body that is JSON already. */
export function jsonText(body: string): HttpReply {
  return { status: 200, headers: JSON_HEADERS, body };
}

/** 301 without a body. */
export function redirect(location: string): HttpReply {
  return { status: 301, headers: { Location: location }, body: '' };
}

/** Error envelope of the REST wire (v1.9 `APIError`). */
export interface ErrorEnvelope {
  Status: number;
  Message: string;
  RequestID: string;
  Code: string;
  Component: string;
  Hint?: string;
  Details?: Record<string, string>;
}

/** Whose error it is: ids of the request, given by its client or made here. */
export interface ErrorContext {
  /** Made by the server. */
  readonly id: string;
  /** X-Request-Id of the request, "" where it had none. */
  readonly clientRequestId: string;
  /** "PUT /api/v1/orchestrator/jobs", for the log. */
  readonly what: string;
}

/** The envelope of any thrown value. What nobody raised on purpose becomes a 500 whose RequestID is in the log. */
export function errorReply(thrown: unknown, context: ErrorContext, logger: Logger): HttpReply {
  if (!(thrown instanceof NodeError) || thrown.code === 'Internal') {
    logger.error({ err: thrown, requestId: context.id }, `unexpected error in ${context.what}`);
    return envelope({
      Status: 500,
      Message: `Internal server error (see the node's log for request ${context.id})`,
      RequestID: context.id,
      Code: 'InternalError',
      Component: 'Unknown',
    });
  }
  const { spec, details } = thrown;
  const unexpected = spec.status === 500;
  if (unexpected) logger.warn({ err: thrown, requestId: context.id }, `${context.what} failed`);
  const { allow, ...shown } = details ?? {};
  return envelope(
    {
      Status: spec.status,
      Message: thrown.message,
      RequestID: unexpected ? context.id : context.clientRequestId,
      Code: spec.wireCode,
      Component: spec.component,
      ...(spec.hint === undefined ? {} : { Hint: spec.hint }),
      ...(Object.keys(shown).length === 0 ? {} : { Details: shown }),
    },
    allow,
  );
}

function envelope(body: ErrorEnvelope, allow?: string): HttpReply {
  const retry = body.Status === 503 || body.Status === 429;
  return {
    status: body.Status,
    headers:
      retry || allow !== undefined || body.Status === 426
        ? {
            ...JSON_HEADERS,
            ...(retry ? { 'Retry-After': RETRY_AFTER_SECONDS } : {}),
            ...(allow === undefined ? {} : { Allow: allow }),
            ...(body.Status === 426 ? { Upgrade: 'websocket' } : {}),
          }
        : JSON_HEADERS,
    body: JSON.stringify(body),
  };
}

const CORS_METHODS = 'GET, HEAD, PUT, POST, DELETE';

/** Answer to a CORS preflight, and to any other OPTIONS. */
export function preflight(request: HttpRequest): HttpReply {
  const wanted = request.header('access-control-request-headers');
  return {
    status: 204,
    headers: {
      Allow: CORS_METHODS,
      'Access-Control-Allow-Methods': CORS_METHODS,
      ...(wanted === '' ? {} : { 'Access-Control-Allow-Headers': wanted }),
    },
    body: '',
  };
}

/** The answer as `?pretty` wants it: JSON indented by two spaces, everything else as it is. */
export function prettied(request: HttpRequest, reply: HttpReply): HttpReply {
  if (typeof reply.body !== 'string' || reply.headers?.['Content-Type'] !== 'application/json') return reply;
  if (!request.query.has('pretty')) return reply;
  return { ...reply, body: `${JSON.stringify(JSON.parse(reply.body), null, 2)}\n` };
}
