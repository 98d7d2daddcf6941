import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocketServer } from 'ws';
import { NodeError } from '../../core/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { ApiServer, HttpReply, Route, ServerOptions, SocketKind, SocketRoute } from './adapter.ts';
import { Exchange, type ExchangeHost, splitTarget } from './exchange.ts';
import { RateLimiter } from './rate-limit.ts';
import { type ErrorContext, errorReply, preflight, prettied } from './reply.ts';
import { type Match, Router } from './router.ts';
import { answerRaw, NodeSocket, SocketRequest } from './socket-node.ts';

const SWEEP_MS = 500;
const DRAIN_POLL_MS = 10;
const REQUEST_ID_CHARS = 128;
/** What clients send over a WebSocket is dropped; it may not be large either. */
const SOCKET_PAYLOAD_BYTES = 4096;
/** Time for the close frames of a stop to be answered. */
const SOCKET_CLOSE_MS = 1000;

/** What a server is made of. */
export interface ServerModules {
  readonly routes: readonly Route[];
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** An ApiServer on node:http and ws. */
export function createNodeServer(options: ServerOptions, modules: ServerModules): ApiServer {
  return new NodeServer(options, modules);
}

class NodeServer implements ApiServer, ExchangeHost {
  readonly name = 'node:http + ws';
  readonly headers: readonly string[];
  readonly bodyBytes: number;
  readonly handlerTimeoutMs: number;
  readonly idleTimeoutMs: number;
  stopping = false;
  readonly #options: ServerOptions;
  readonly #logger: Logger;
  readonly #router: Router;
  readonly #limiter: RateLimiter;
  readonly #http: Server;
  readonly #webSockets: WebSocketServer;
  readonly #open: Set<Exchange> = new Set();
  readonly #sockets: Set<NodeSocket> = new Set();
  readonly #socketCounts: Record<SocketKind, number> = { logs: 0, events: 0 };
  readonly #idPrefix: string = randomBytes(9).toString('base64url');
  #requests = 0;
  #connections = 0;
  #sweeper: NodeJS.Timeout | undefined;
  #pinger: NodeJS.Timeout | undefined;

  constructor(options: ServerOptions, modules: ServerModules) {
    this.#options = options;
    this.#logger = modules.logger;
    this.#router = new Router(modules.routes, modules.metrics);
    this.#limiter = new RateLimiter(options.requestsPerSecond);
    this.headers = [...options.headers.flat(), 'Vary', 'Origin'];
    this.bodyBytes = options.bodyBytes;
    this.handlerTimeoutMs = options.handlerTimeoutMs;
    this.idleTimeoutMs = options.idleTimeoutMs;
    this.#webSockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: SOCKET_PAYLOAD_BYTES,
      handleProtocols: (offered, raw) => this.#protocol(offered, raw),
    });
    this.#webSockets.on('headers', (lines) => {
      for (const [name, value] of options.headers) lines.push(`${name}: ${value}`);
    });
    this.#http = this.#createHttp();
    modules.metrics.observe('bacalhau_http_connections', () => [{ labels: {}, value: this.#connections }]);
    modules.metrics.observe('bacalhau_websockets', () =>
      Object.entries(this.#socketCounts).map(([kind, value]) => ({ labels: { kind }, value })),
    );
  }

  #createHttp(): Server {
    const options = this.#options;
    const http = createServer({
      maxHeaderSize: options.headerBytes,
      headersTimeout: options.headerTimeoutMs,
      requestTimeout: options.requestTimeoutMs,
      keepAliveTimeout: options.keepAliveTimeoutMs,
      connectionsCheckingInterval: Math.min(1000, options.headerTimeoutMs),
      noDelay: true,
      shouldUpgradeCallback: (raw) => this.#wantsSocket(raw),
    });
    http.maxConnections = options.maxConnections;
    http.timeout = options.idleTimeoutMs;
    http.on('connection', (socket) => {
      this.#connections += 1;
      socket.once('close', () => {
        this.#connections -= 1;
      });
    });
    http.on('request', (raw, response) => this.#request(raw, response));
    http.on('checkContinue', (raw, response) => {
      // A body that will be refused by its length is not asked for.
      if (Number(raw.headers['content-length'] ?? 0) > options.bodyBytes) response.shouldKeepAlive = false;
      else response.writeContinue();
      this.#request(raw, response);
    });
    http.on('upgrade', (raw, socket, head) => this.#upgrade(raw, socket, head));
    http.on('clientError', (error: NodeJS.ErrnoException, socket) => this.#clientError(error, socket));
    http.on('drop', () =>
      this.#logger.warn({ limit: options.maxConnections }, 'connection refused: too many are open'),
    );
    return http;
  }

  listen(host: string, port: number): Promise<{ host: string; port: number }> {
    return new Promise((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException): void => {
        const why =
          error.code === 'EADDRINUSE'
            ? 'another process listens there already'
            : `${error.code ?? error.message}`;
        reject(
          new NodeError('PortInUse', `cannot serve the API on ${host}:${port}: ${why}`, { cause: error }),
        );
      };
      this.#http.once('error', onError);
      this.#http.listen({ host, port }, () => {
        this.#http.off('error', onError);
        this.#http.on('error', (err) => this.#logger.error({ err }, 'API server error'));
        this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS).unref();
        this.#pinger = setInterval(() => this.#ping(), this.#options.pingIntervalMs).unref();
        // Listening on a host and a port, the address is never text or null.
        const address = this.#http.address() as AddressInfo;
        resolve({ host: address.address, port: address.port });
      });
    });
  }

  async close(deadlineMs: number): Promise<void> {
    if (this.stopping) return;
    this.stopping = true;
    const closed = new Promise<void>((resolve) => {
      if (this.#http.listening) this.#http.close(() => resolve());
      else resolve();
    });
    for (const exchange of this.#open) exchange.stop();
    for (const socket of this.#sockets) socket.close(1001, 'the node is stopping');
    await this.#drained(deadlineMs);
    for (const socket of this.#sockets) socket.terminate();
    clearInterval(this.#sweeper);
    clearInterval(this.#pinger);
    await within(closed, deadlineMs);
    this.#http.closeAllConnections();
    await closed;
  }

  /** Ends when no request is open and the WebSockets have had their time, or at the deadline. */
  async #drained(deadlineMs: number): Promise<void> {
    const socketsUntilMs = Date.now() + SOCKET_CLOSE_MS;
    while (Date.now() < deadlineMs) {
      if (this.#open.size === 0 && (this.#sockets.size === 0 || Date.now() >= socketsUntilMs)) return;
      await sleep(DRAIN_POLL_MS);
    }
  }

  closed(exchange: Exchange): void {
    this.#open.delete(exchange);
  }

  #nextId(raw: IncomingMessage): string {
    const given = raw.headers['x-request-id'];
    if (typeof given === 'string' && given !== '') return given.slice(0, REQUEST_ID_CHARS);
    this.#requests += 1;
    return `${this.#idPrefix}${this.#requests.toString(36)}`;
  }

  #request(raw: IncomingMessage, response: ServerResponse): void {
    const exchange = new Exchange(this, raw, response, this.#nextId(raw));
    this.#open.add(exchange);
    try {
      if (this.stopping) throw new NodeError('Stopping', 'the node is stopping');
      if (!this.#limiter.take(exchange.remoteAddress, Date.now())) {
        throw new NodeError(
          'RateLimited',
          `more than ${this.#options.requestsPerSecond} requests a second from ${exchange.remoteAddress}`,
        );
      }
      if (exchange.method === 'OPTIONS') {
        exchange.send(preflight(exchange));
        return;
      }
      const match = this.#router.find(exchange.method, exchange.path);
      this.#dispatch(exchange, match);
    } catch (error) {
      this.#fail(exchange, error);
    }
  }

  #dispatch(exchange: Exchange, match: Match): void {
    const { route, metrics } = match.entry;
    exchange.params = match.params;
    exchange.metrics = metrics;
    if (route.handle === undefined) {
      throw new NodeError(
        'UpgradeRequired',
        `${route.path} is a WebSocket: the client did not ask for an upgrade`,
      );
    }
    if (route.deadlineMs !== undefined) exchange.extend(route.deadlineMs);
    const reply = route.handle(exchange);
    if (reply instanceof Promise) {
      reply.then(
        (value) => this.#answer(exchange, value),
        (error: unknown) => this.#fail(exchange, error),
      );
    } else this.#answer(exchange, reply);
  }

  #answer(exchange: Exchange, reply: HttpReply): void {
    try {
      exchange.send(prettied(exchange, reply));
    } catch (error) {
      this.#logger.error({ err: error, requestId: exchange.id }, 'an answer could not be sent');
      exchange.raw.socket.destroy();
    }
  }

  #fail(exchange: Exchange, error: unknown): void {
    if (error instanceof NodeError && error.code === 'ClientGone') {
      exchange.close();
      return;
    }
    this.#answer(exchange, this.#errorReply(error, exchange));
  }

  #errorReply(error: unknown, exchange: Exchange): HttpReply {
    const context: ErrorContext = {
      id: exchange.id,
      clientRequestId: exchange.header('x-request-id').slice(0, REQUEST_ID_CHARS),
      what: `${exchange.method} ${exchange.path}`,
    };
    return errorReply(error, context, this.#logger);
  }

  #sweep(): void {
    const now = performance.now();
    for (const exchange of this.#open) {
      const { deadlineMs, startedAt } = exchange;
      // A stream has no deadline: its answer has begun.
      if (exchange.done || now - startedAt < deadlineMs) continue;
      const error = new NodeError(
        'HandlerTimedOut',
        `Server Timeout! The node had no answer within ${deadlineMs} ms.`,
      );
      exchange.expire(this.#errorReply(error, exchange));
    }
  }

  #ping(): void {
    for (const socket of this.#sockets) socket.ping();
  }

  /** Anything else that asks for an upgrade (h2c, for one) is an ordinary request. */
  #wantsSocket(raw: IncomingMessage): boolean {
    if (raw.method !== 'GET' || raw.headers.upgrade?.toLowerCase() !== 'websocket') return false;
    return this.#socketRoute(raw) !== undefined;
  }

  #socketRoute(raw: IncomingMessage): { route: SocketRoute; match: Match } | undefined {
    try {
      const match = this.#router.find('GET', splitTarget(raw.url ?? '/').path);
      const route = match.entry.route.socket;
      return route === undefined ? undefined : { route, match };
    } catch {
      return undefined;
    }
  }

  #protocol(offered: Set<string>, raw: IncomingMessage): string | false {
    const spoken = this.#socketRoute(raw)?.route.protocols ?? [];
    return [...offered].find((name) => spoken.includes(name)) ?? false;
  }

  #upgrade(raw: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', ignore);
    const found = this.#socketRoute(raw);
    if (found === undefined) {
      socket.destroy();
      return;
    }
    const { route, match } = found;
    const { kind } = route;
    const refusal = this.#refusal(raw, kind);
    if (refusal !== undefined) {
      answerRaw(socket, errorReply(refusal, this.#rawContext(raw), this.#logger), this.headers);
      return;
    }
    this.#webSockets.handleUpgrade(raw, socket, head, (opened) => {
      const peer = new NodeSocket(opened, this.#options.sockets[kind].bufferBytes);
      this.#sockets.add(peer);
      this.#socketCounts[kind] += 1;
      opened.once('close', () => {
        this.#sockets.delete(peer);
        this.#socketCounts[kind] -= 1;
      });
      const request = new SocketRequest(raw, match.params, this.#nextId(raw), peer.signal);
      match.entry.metrics.answered(101, 0);
      route.open(request, peer).catch((err: unknown) => {
        this.#logger.error({ err, requestId: request.id }, `unexpected error in WebSocket ${request.path}`);
        peer.close(1011, 'internal error');
      });
    });
  }

  #refusal(raw: IncomingMessage, kind: SocketKind): NodeError | undefined {
    if (this.stopping) return new NodeError('Stopping', 'the node is stopping');
    if (!this.#limiter.take(raw.socket.remoteAddress ?? '', Date.now())) {
      return new NodeError('RateLimited', `more than ${this.#options.requestsPerSecond} requests a second`);
    }
    const { count } = this.#options.sockets[kind];
    if (this.#socketCounts[kind] >= count) {
      return new NodeError('Busy', `the node serves ${count} WebSockets of this kind (${kind}) already`);
    }
    return undefined;
  }

  #rawContext(raw: IncomingMessage): ErrorContext {
    return {
      id: this.#nextId(raw),
      clientRequestId: '',
      what: `upgrade of ${splitTarget(raw.url ?? '/').path}`,
    };
  }

  #clientError(error: NodeJS.ErrnoException, socket: Duplex): void {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    const open = [...this.#open].find((exchange) => exchange.raw.socket === socket);
    // What follows a request that said "Connection: close" is nobody's request; the answer on its way closes it.
    if (error.code === 'HPE_CLOSED_CONNECTION') {
      if (open === undefined) socket.end();
      return;
    }
    const timedOut = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
    // A second answer to a request that has one would be taken for that of the next.
    if (open?.done === true || (open === undefined && timedOut && bytesWritten(socket) > 0)) {
      socket.destroy();
      return;
    }
    open?.close();
    this.#requests += 1;
    const id = `${this.#idPrefix}${this.#requests.toString(36)}`;
    const context: ErrorContext = { id, clientRequestId: '', what: 'a connection' };
    answerRaw(socket, errorReply(this.#describe(error), context, this.#logger), this.headers);
  }

  #describe(error: NodeJS.ErrnoException): NodeError {
    const { headerBytes, headerTimeoutMs, requestTimeoutMs } = this.#options;
    if (error.code === 'HPE_HEADER_OVERFLOW') {
      return new NodeError(
        'HeadersTooLarge',
        `the headers are larger than the limit of ${headerBytes} bytes`,
      );
    }
    if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') {
      return new NodeError(
        'RequestTooSlow',
        `the request was not complete in time (${headerTimeoutMs} ms for its headers, ${requestTimeoutMs} ms in all)`,
      );
    }
    return new NodeError('MalformedRequest', `this is no HTTP/1.1 request: ${error.message}`);
  }
}

function bytesWritten(socket: Duplex): number {
  return 'bytesWritten' in socket && typeof socket.bytesWritten === 'number' ? socket.bytesWritten : 0;
}

function ignore(): void {}

/** Ends with `work`, or at `deadlineMs` (epoch). */
async function within(work: Promise<void>, deadlineMs: number): Promise<void> {
  const giveUp = new AbortController();
  const timeout = sleep(Math.max(0, deadlineMs - Date.now()), undefined, { signal: giveUp.signal }).catch(
    ignore,
  );
  await Promise.race([work, timeout]);
  giveUp.abort();
}
