import { Readable } from 'node:stream';
import { NodeError } from '../../core/errors.ts';
import type { RouteMetrics } from '../../telemetry/metrics.ts';
import type { HttpReply, HttpRequest } from './adapter.ts';

export const NO_BODY: Uint8Array = new Uint8Array(0);
/** Of all requests without a query. */
const NO_QUERY = new URLSearchParams();
const NO_PARAMS: Readonly<Record<string, string>> = Object.freeze({});

/** What an exchange needs of its server. */
export interface ExchangeHost {
  /** Flat list of the headers of every answer. */
  readonly headers: readonly string[];
  readonly bodyBytes: number;
  readonly requestTimeoutMs: number;
  readonly handlerTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** True while the server stops: connections are not kept. */
  readonly stopping: boolean;
  /** Nothing more will come of it. */
  closed(exchange: Exchange): void;
}

/** The first line of a request, and its id. */
export interface RequestLine {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  /** Without the question mark. */
  readonly search: string;
}

/** A body that is sent piece by piece. */
export type StreamBody = AsyncIterable<Uint8Array>;

/** One request and its one answer, whichever server they go over. */
export abstract class Exchange implements HttpRequest {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly startedAt: number = performance.now();
  params: Readonly<Record<string, string>> = NO_PARAMS;
  metrics: RouteMetrics | undefined;
  /** True once an answer was chosen; later ones are dropped. */
  done = false;
  protected readonly host: ExchangeHost;
  protected deadlineMs: number;
  readonly #search: string;
  #query: URLSearchParams | undefined;
  #controller: AbortController | undefined;
  #endless = false;

  constructor(host: ExchangeHost, line: RequestLine) {
    this.host = host;
    this.id = line.id;
    this.method = line.method;
    this.path = line.path;
    this.#search = line.search;
    this.deadlineMs = host.handlerTimeoutMs;
  }

  abstract readonly remoteAddress: string;
  abstract header(name: string): string;
  abstract body(): Promise<Uint8Array>;
  /** Drops the connection: what was promised can not be kept. */
  abstract cut(): void;

  /** True when nothing can be sent any more: it was answered in full, or the client has gone. */
  protected abstract readonly over: boolean;
  /** Somebody wants to know when the client leaves: `gone` tells them. */
  protected abstract watch(): void;
  protected abstract writeWhole(status: number, headers: string[], body: string | Uint8Array): void;
  protected abstract writeStream(status: number, headers: string[], body: StreamBody): void;

  get query(): URLSearchParams {
    this.#query ??= this.#search === '' ? NO_QUERY : new URLSearchParams(this.#search);
    return this.#query;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.over) this.#controller.abort();
      else this.watch();
    }
    return this.#controller.signal;
  }

  /** Gives the handler another deadline than the server's, from the start of the request. */
  extend(deadlineMs: number): void {
    this.deadlineMs = deadlineMs;
  }

  /** Why it may not go on at `now` (as of performance.now); undefined while it may. A stream has no deadline. */
  overdue(now: number): NodeError | undefined {
    if (this.done || now - this.startedAt < this.deadlineMs) return undefined;
    return new NodeError(
      'HandlerTimedOut',
      `Server Timeout! The node had no answer within ${this.deadlineMs} ms.`,
    );
  }

  /** Sends the one answer. A second one, or one for a client that has gone, is dropped. */
  send(reply: HttpReply): void {
    const { body, headers, status } = reply;
    if (this.done || this.over) {
      if (!this.done) this.close();
      discard(body);
      return;
    }
    this.done = true;
    const flat = this.host.headers.slice();
    flat.push('X-Request-Id', this.id);
    if (this.header('origin') !== '') flat.push('Access-Control-Allow-Origin', '*');
    for (const name in headers) flat.push(name, headers[name] ?? '');
    if (typeof body === 'string' || body instanceof Uint8Array) {
      this.writeWhole(status, flat, body);
      return;
    }
    this.#endless = reply.endless === true;
    this.writeStream(status, flat, body);
  }

  /** Ends it without an answer: the client is gone, or has one. */
  close(): void {
    this.done = true;
    this.host.closed(this);
  }

  /** The server stops: a reply without an end of its own should end now. */
  stop(): void {
    if (this.#endless) this.#controller?.abort();
  }

  /** The deadline has passed: answers with `reply` and tells the handler to give up. */
  expire(reply: HttpReply): void {
    this.send(reply);
    this.#controller?.abort();
  }

  /** The client has gone before it had its whole answer. */
  protected gone(): void {
    this.#controller?.abort();
  }

  /** The answer is with the kernel, or as much of it as the client wanted. */
  protected answered(status: number): void {
    this.metrics?.answered(status, performance.now() - this.startedAt);
    this.host.closed(this);
  }
}

/** Path and query of a request target; the absolute form (RFC 9112, 3.2.2) loses its authority. */
export function splitTarget(target: string): { path: string; search: string } {
  let origin = target;
  if (!target.startsWith('/')) {
    const scheme = target.indexOf('://');
    const slash = scheme < 0 ? -1 : target.indexOf('/', scheme + 3);
    origin = slash < 0 ? '/' : target.slice(slash);
  }
  const mark = origin.indexOf('?');
  if (mark < 0) return { path: origin, search: '' };
  return { path: origin.slice(0, mark), search: origin.slice(mark + 1) };
}

export function tooLarge(bytes: number): NodeError {
  return new NodeError('BodyTooLarge', `the body of the request is larger than the limit of ${bytes} bytes`);
}

export function clientGone(): NodeError {
  return new NodeError('ClientGone', 'the client went away before its request was complete');
}

/** Lets go of a body that nobody will read. */
export function discard(body: HttpReply['body']): void {
  if (body instanceof Readable) {
    body.on('error', () => {});
    body.destroy();
  }
}
