import { NodeError } from '../../../core/errors.ts';
import { type Encoding, encodeNotice } from '../../../events/encoding.ts';
import type { EventHub } from '../../../events/hub.ts';
import type { Subscription, SubscriptionEnd } from '../../../events/subscription.ts';
import type { Logger } from '../../../telemetry/logger.ts';
import type { HttpReply, HttpRequest, Route, Socket } from '../adapter.ts';
import { eventQuery } from '../event-query.ts';
import { requireOrigin } from '../origin.ts';

/** Subprotocols of the WebSocket; without one of them it is JSON. */
export const EVENT_PROTOCOLS: Readonly<Record<'json' | 'msgpack', string>> = {
  json: 'bacalhau.events.v1+json',
  msgpack: 'bacalhau.events.v1+msgpack',
};

/** Close codes; 4000–4999 are an application's own (RFC 6455, 7.4.2). docs/EVENTS.md lists them. */
export const EVENT_CLOSE_CODES = {
  complete: 1000,
  internal: 1011,
  busy: 1013,
  badQuery: 4400,
  forbidden: 4403,
  stalled: 4408,
  beyond: 4416,
} as const;

/** What a close frame holds at most (RFC 6455, 5.5). */
const REASON_BYTES = 123;
/** How long a browser waits before it comes again. */
const SSE_RETRY_MS = 2000;

export interface EventRouteOptions {
  /** Origins of web pages that may read events, beside those of the node's own machine. */
  readonly allowedOrigins: readonly string[];
}

/** The node's events, over a WebSocket or as Server-Sent Events. */
export function eventRoutes(
  options: EventRouteOptions,
  modules: { readonly hub: EventHub; readonly logger: Logger },
): Route[] {
  const subscribe = (
    request: HttpRequest,
    encoding: Encoding,
    onEnd: (how: SubscriptionEnd) => void,
  ): Subscription => {
    requireOrigin(request, options.allowedOrigins);
    const subscription = modules.hub.subscribe({ ...eventQuery(request), encoding, onEnd });
    const leave = (): void => subscription.close('client');
    if (request.signal.aborted) leave();
    else request.signal.addEventListener('abort', leave, { once: true });
    return subscription;
  };

  const open = async (request: HttpRequest, socket: Socket): Promise<void> => {
    const encoding = socket.protocol === EVENT_PROTOCOLS.msgpack ? 'msgpack' : 'json';
    const as = encoding === 'json' ? 'text' : undefined;
    let subscription: Subscription;
    try {
      subscription = subscribe(request, encoding, (how) => {
        if (how === 'stalled')
          socket.close(
            EVENT_CLOSE_CODES.stalled,
            `took nothing for too long; go on with from=${subscription.cursor}`,
          );
      });
    } catch (error) {
      const { code, message, close } = refusal(error, request, modules.logger);
      await socket.send(encodeNotice({ error: { code, message } }, encoding), as);
      socket.close(close, cut(message));
      return;
    }
    for (;;) {
      const frame = await subscription.next();
      if (frame === undefined || !(await socket.send(frame.data, as))) break;
    }
    subscription.close('client');
    if (subscription.end === 'complete') socket.close(EVENT_CLOSE_CODES.complete, 'no more events');
  };

  const handle = (request: HttpRequest): HttpReply => {
    const headers = {
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': 'no-store',
      // Proxies must not wait for more before they pass it on.
      'X-Accel-Buffering': 'no',
    };
    if (request.method === 'HEAD') {
      requireOrigin(request, options.allowedOrigins);
      eventQuery(request);
      return { status: 200, headers, body: '' };
    }
    return { status: 200, headers, body: lines(subscribe(request, 'sse', () => undefined)), endless: true };
  };

  return [
    {
      method: 'GET',
      path: '/api/v1/events',
      handle,
      socket: { kind: 'events', protocols: Object.values(EVENT_PROTOCOLS), open },
    },
  ];
}

async function* lines(subscription: Subscription): AsyncGenerator<Uint8Array> {
  try {
    yield Buffer.from(`retry: ${SSE_RETRY_MS}\n\n`);
    for (;;) {
      const frame = await subscription.next();
      if (frame === undefined) return;
      yield frame.data;
    }
  } finally {
    subscription.close('client');
  }
}

/** What a subscriber is told who is not let in. The handshake is over by then: browsers would not show its answer. */
function refusal(
  error: unknown,
  request: HttpRequest,
  logger: Logger,
): { code: string; message: string; close: number } {
  const code = error instanceof NodeError ? error.code : 'Internal';
  if (error instanceof NodeError && code !== 'Internal') {
    const { message } = error;
    const close = closeCode(error);
    return { code, message, close };
  }
  logger.error({ err: error, requestId: request.id }, `unexpected error in WebSocket ${request.path}`);
  const message = `Internal server error (see the node's log for request ${request.id})`;
  return { code, message, close: EVENT_CLOSE_CODES.internal };
}

function closeCode({ code, details }: NodeError): number {
  if (code === 'OriginNotAllowed') return EVENT_CLOSE_CODES.forbidden;
  if (code !== 'BadQuery') return EVENT_CLOSE_CODES.busy;
  return details?.['last'] === undefined ? EVENT_CLOSE_CODES.badQuery : EVENT_CLOSE_CODES.beyond;
}

/** The beginning of a text that fits a close frame, whole characters only. */
function cut(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= REASON_BYTES) return text;
  return `${new TextDecoder().decode(bytes.subarray(0, REASON_BYTES - 3)).replace(/\ufffd+$/, '')}…`;
}
