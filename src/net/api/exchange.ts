import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { NodeError } from '../../core/errors.ts';
import type { RouteMetrics } from '../../telemetry/metrics.ts';
import type { HttpReply, HttpRequest } from './adapter.ts';

const NO_BODY: Uint8Array = new Uint8Array(0);
const NO_PARAMS: Readonly<Record<string, string>> = Object.freeze({});

/** What an exchange needs of its server. */
export interface ExchangeHost {
  /** Flat list of the headers of every answer. */
  readonly headers: readonly string[];
  readonly bodyBytes: number;
  readonly handlerTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** True while the server stops: connections are not kept. */
  readonly stopping: boolean;
  /** Nothing more will come of it. */
  closed(exchange: Exchange): void;
}

/** One request of node:http and its one answer. */
export class Exchange implements HttpRequest {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly raw: IncomingMessage;
  readonly startedAt: number;
  params: Readonly<Record<string, string>> = NO_PARAMS;
  metrics: RouteMetrics | undefined;
  /** Time from `startedAt` to the answer. */
  deadlineMs: number;
  /** True once an answer was chosen; later ones are dropped. */
  done = false;
  #endless = false;
  readonly #host: ExchangeHost;
  readonly #response: ServerResponse;
  readonly #search: string;
  #query: URLSearchParams | undefined;
  #controller: AbortController | undefined;

  constructor(host: ExchangeHost, raw: IncomingMessage, response: ServerResponse, id: string) {
    this.#host = host;
    this.#response = response;
    this.raw = raw;
    this.id = id;
    this.deadlineMs = host.handlerTimeoutMs;
    this.method = raw.method ?? '';
    this.startedAt = performance.now();
    const { path, search } = splitTarget(raw.url ?? '/');
    this.path = path;
    this.#search = search;
  }

  get query(): URLSearchParams {
    this.#query ??= new URLSearchParams(this.#search);
    return this.#query;
  }

  get remoteAddress(): string {
    return this.raw.socket.remoteAddress ?? '';
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      const controller = new AbortController();
      this.#controller = controller;
      // An answer that streams is chosen, and not ended.
      if (this.#response.writableEnded || this.#response.destroyed) controller.abort();
      else {
        this.#response.once('close', () => {
          if (!this.#response.writableFinished) controller.abort();
        });
      }
    }
    return this.#controller.signal;
  }

  header(name: string): string {
    const value = this.raw.headers[name];
    if (value === undefined) return '';
    return typeof value === 'string' ? value : value.join(', ');
  }

  body(): Promise<Uint8Array> {
    const { raw } = this;
    const { bodyBytes } = this.#host;
    const declared = raw.headers['content-length'];
    if (declared === undefined && raw.headers['transfer-encoding'] === undefined)
      return Promise.resolve(NO_BODY);
    if (declared !== undefined && Number(declared) > bodyBytes) return Promise.reject(tooLarge(bodyBytes));
    return new Promise((resolve, reject) => {
      let first: Buffer | undefined;
      let chunks: Buffer[] | undefined;
      let bytes = 0;
      const stop = (): void => {
        raw.off('data', onData);
        raw.off('end', onEnd);
        raw.off('error', onGone);
        raw.off('close', onGone);
      };
      const onData = (chunk: Buffer): void => {
        bytes += chunk.length;
        if (bytes > bodyBytes) {
          stop();
          // The rest is read and thrown away, so that the answer is not lost to a reset; requestTimeoutMs bounds it.
          raw.on('error', ignore);
          raw.resume();
          reject(tooLarge(bodyBytes));
          return;
        }
        if (first === undefined) first = chunk;
        else if (chunks === undefined) chunks = [first, chunk];
        else chunks.push(chunk);
      };
      const onEnd = (): void => {
        stop();
        raw.on('error', ignore);
        resolve(chunks === undefined ? (first ?? NO_BODY) : Buffer.concat(chunks, bytes));
      };
      const onGone = (): void => {
        stop();
        raw.on('error', ignore);
        reject(new NodeError('ClientGone', 'the client went away before its request was complete'));
      };
      raw.on('data', onData);
      raw.on('end', onEnd);
      raw.on('error', onGone);
      raw.on('close', onGone);
    });
  }

  /** Gives the handler another deadline than the server's. The connection may be silent as long. */
  extend(deadlineMs: number): void {
    this.deadlineMs = deadlineMs;
    this.raw.socket.setTimeout(Math.max(deadlineMs, this.#host.idleTimeoutMs));
  }

  /** Sends the one answer. A second one, or one for a client that has gone, is dropped. */
  send(reply: HttpReply): void {
    const response = this.#response;
    const { body, headers, status } = reply;
    if (this.done || response.destroyed) {
      if (!this.done) this.close();
      discard(body);
      return;
    }
    this.done = true;
    const flat = this.#host.headers.slice();
    flat.push('X-Request-Id', this.id);
    if (this.raw.headers.origin !== undefined) flat.push('Access-Control-Allow-Origin', '*');
    for (const name in headers) flat.push(name, headers[name] ?? '');
    if (this.#host.stopping) flat.push('Connection', 'close');
    if (typeof body !== 'string' && !(body instanceof Uint8Array)) {
      this.#endless = reply.endless === true;
      this.#stream(status, flat, body);
      return;
    }
    // 204 and 304 must not carry a length (RFC 9110, 8.6).
    if (status !== 204) {
      const length = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength;
      flat.push('Content-Length', String(length));
    }
    response.writeHead(status, flat);
    if (this.method === 'HEAD') response.end();
    else response.end(body);
    this.#count(status);
    this.#host.closed(this);
  }

  /** Ends it without an answer: the client is gone, or has one. */
  close(): void {
    this.done = true;
    this.#host.closed(this);
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

  #stream(status: number, flat: string[], body: AsyncIterable<Uint8Array>): void {
    const response = this.#response;
    response.writeHead(status, flat);
    if (this.method === 'HEAD') {
      response.end();
      discard(body);
      this.#count(status);
      this.#host.closed(this);
      return;
    }
    this.raw.socket.setTimeout(this.#host.idleTimeoutMs);
    response.flushHeaders();
    // pipeline destroys the connection when the source fails: the length was promised already, so a connection
    // cut short is the only way left to say that something is missing.
    pipeline(body instanceof Readable ? body : Readable.from(body), response)
      .catch(ignore)
      .finally(() => {
        // Its head promised to keep the connection: a stop began later.
        if (this.#host.stopping) this.raw.socket.end();
        this.#count(status);
        this.#host.closed(this);
      });
  }

  #count(status: number): void {
    this.metrics?.answered(status, performance.now() - this.startedAt);
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

function tooLarge(bytes: number): NodeError {
  return new NodeError('BodyTooLarge', `the body of the request is larger than the limit of ${bytes} bytes`);
}

function discard(body: HttpReply['body']): void {
  if (body instanceof Readable) {
    body.on('error', ignore);
    body.destroy();
  }
}

function ignore(): void {}
