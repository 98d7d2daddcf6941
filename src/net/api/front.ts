import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { NodeError } from '../../core/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type {
  HttpReply,
  HttpRequest,
  Route,
  ServerOptions,
  Socket,
  SocketKind,
  SocketRoute,
} from './adapter.ts';
import type { Exchange, ExchangeHost } from './exchange.ts';
import { isLoopback, RateLimiter } from './rate-limit.ts';
import { type ErrorContext, errorReply, preflight, prettied } from './reply.ts';
import { type Match, Router } from './router.ts';

const SWEEP_MS = 500;
const DRAIN_POLL_MS = 10;
const REQUEST_ID_CHARS = 128;
/** Time for the close frames of a stop to be answered. */
const SOCKET_CLOSE_MS = 1000;

/** What clients send over a WebSocket is dropped; a frame of theirs may not be larger either. */
export const SOCKET_PAYLOAD_BYTES = 4096;

/** What a server is made of. */
export interface ServerModules {
  readonly routes: readonly Route[];
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** A WebSocket as its server sees it. */
export interface PeerSocket extends Socket {
  /** Once an interval: pings the peer, or ends it when it did not answer the last one. */
  ping(): void;
  /** Drops the connection without a word. */
  terminate(): void;
}

/** Where an upgrade goes. */
export interface SocketMatch {
  readonly route: SocketRoute;
  readonly match: Match;
}

/**
 * What all servers have in common: from a request that was read to the answer that is to be written, and from an
 * upgrade to the end of its WebSocket.
 */
export class Front implements ExchangeHost {
  readonly headers: readonly string[];
  readonly bodyBytes: number;
  readonly requestTimeoutMs: number;
  readonly handlerTimeoutMs: number;
  readonly idleTimeoutMs: number;
  stopping = false;
  readonly #options: ServerOptions;
  readonly #logger: Logger;
  readonly #router: Router;
  readonly #limiter: RateLimiter;
  /** False where nobody can be limited: without a limit, and where only this machine is heard. */
  #limits = false;
  readonly #open: Set<Exchange> = new Set();
  readonly #sockets: Set<PeerSocket> = new Set();
  readonly #socketCounts: Record<SocketKind, number> = { logs: 0, events: 0 };
  readonly #idPrefix: string = randomBytes(9).toString('base64url');
  #requests = 0;
  #sweeper: NodeJS.Timeout | undefined;
  #pinger: NodeJS.Timeout | undefined;

  /** @param connections how many are open, for the metrics */
  constructor(options: ServerOptions, modules: ServerModules, connections: () => number) {
    this.#options = options;
    this.#logger = modules.logger;
    this.#router = new Router(modules.routes, modules.metrics);
    this.#limiter = new RateLimiter(options.requestsPerSecond);
    this.headers = [...options.headers.flat(), 'Vary', 'Origin'];
    this.bodyBytes = options.bodyBytes;
    this.requestTimeoutMs = options.requestTimeoutMs;
    this.handlerTimeoutMs = options.handlerTimeoutMs;
    this.idleTimeoutMs = options.idleTimeoutMs;
    modules.metrics.observe('bacalhau_http_connections', () => [{ labels: {}, value: connections() }]);
    modules.metrics.observe('bacalhau_websockets', () =>
      Object.entries(this.#socketCounts).map(([kind, value]) => ({ labels: { kind }, value })),
    );
  }

  /** Watches deadlines and peers from now on. @param address where it listens */
  start(address: string): void {
    this.#limits = this.#options.requestsPerSecond > 0 && !isLoopback(address);
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS).unref();
    this.#pinger = setInterval(() => this.#ping(), this.#options.pingIntervalMs).unref();
  }

  /** Refuses what comes; ends when everything open was answered or closed, or at the deadline (epoch, milliseconds). */
  async stop(deadlineMs: number): Promise<void> {
    this.stopping = true;
    for (const exchange of this.#open) exchange.stop();
    for (const socket of this.#sockets) socket.close(1001, 'the node is stopping');
    await this.#drained(deadlineMs);
    for (const socket of this.#sockets) socket.terminate();
    clearInterval(this.#sweeper);
    clearInterval(this.#pinger);
  }

  /** Ends when no request is open and the WebSockets have had their time, or at the deadline. */
  async #drained(deadlineMs: number): Promise<void> {
    const socketsUntilMs = Date.now() + SOCKET_CLOSE_MS;
    while (Date.now() < deadlineMs) {
      if (this.#open.size === 0 && (this.#sockets.size === 0 || Date.now() >= socketsUntilMs)) return;
      await sleep(DRAIN_POLL_MS);
    }
  }

  /** Id of a request: its client's X-Request-Id, or a new one. */
  requestId(given = ''): string {
    if (given !== '') return given.slice(0, REQUEST_ID_CHARS);
    this.#requests += 1;
    return `${this.#idPrefix}${this.#requests.toString(36)}`;
  }

  /** Answers a request, now or when its route has the answer. */
  accept(exchange: Exchange): void {
    this.#open.add(exchange);
    try {
      if (this.stopping) throw new NodeError('Stopping', 'the node is stopping');
      if (this.#limits) this.#limit(exchange.remoteAddress);
      if (exchange.method === 'OPTIONS') {
        exchange.send(preflight(exchange));
        return;
      }
      this.#dispatch(exchange, this.#router.find(exchange.method, exchange.path));
    } catch (error) {
      this.#fail(exchange, error);
    }
  }

  /** Answers a request that no route shall see. */
  refuse(exchange: Exchange, error: NodeError): void {
    this.#open.add(exchange);
    this.#fail(exchange, error);
  }

  closed(exchange: Exchange): void {
    this.#open.delete(exchange);
  }

  /** Requests whose answer is not complete. */
  open(): Iterable<Exchange> {
    return this.#open;
  }

  #limit(remoteAddress: string): void {
    if (this.#limiter.take(remoteAddress, Date.now())) return;
    throw new NodeError(
      'RateLimited',
      `more than ${this.#options.requestsPerSecond} requests a second from ${remoteAddress}`,
    );
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
      exchange.cut();
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
    return this.errorReply(error, {
      id: exchange.id,
      clientRequestId: exchange.header('x-request-id').slice(0, REQUEST_ID_CHARS),
      what: `${exchange.method} ${exchange.path}`,
    });
  }

  /** The envelope of an error that happens before there is an exchange. */
  errorReply(error: unknown, context: ErrorContext): HttpReply {
    return errorReply(error, context, this.#logger);
  }

  /** Where an upgrade of `path` goes; undefined where there is no WebSocket. */
  socketRoute(path: string): SocketMatch | undefined {
    try {
      const match = this.#router.find('GET', path);
      const route = match.entry.route.socket;
      return route === undefined ? undefined : { route, match };
    } catch {
      return undefined;
    }
  }

  /** Why no WebSocket of this kind can be opened now. */
  socketRefusal(kind: SocketKind, remoteAddress: string): NodeError | undefined {
    if (this.stopping) return new NodeError('Stopping', 'the node is stopping');
    try {
      this.#limit(remoteAddress);
    } catch (error) {
      if (error instanceof NodeError) return error;
      throw error;
    }
    const { count } = this.#options.sockets[kind];
    if (this.#socketCounts[kind] < count) return undefined;
    return new NodeError('Busy', `the node serves ${count} WebSockets of this kind (${kind}) already`);
  }

  /** Runs a route over a WebSocket that is open now. */
  serve({ route, match }: SocketMatch, request: HttpRequest, peer: PeerSocket): void {
    this.#sockets.add(peer);
    this.#socketCounts[route.kind] += 1;
    peer.signal.addEventListener('abort', () => {
      this.#sockets.delete(peer);
      this.#socketCounts[route.kind] -= 1;
    });
    match.entry.metrics.answered(101, 0);
    route.open(request, peer).catch((err: unknown) => {
      this.#logger.error({ err, requestId: request.id }, `unexpected error in WebSocket ${request.path}`);
      peer.close(1011, 'internal error');
    });
  }

  #sweep(): void {
    const now = performance.now();
    for (const exchange of this.#open) {
      const error = exchange.overdue(now);
      if (error !== undefined) exchange.expire(this.#errorReply(error, exchange));
    }
  }

  #ping(): void {
    for (const socket of this.#sockets) socket.ping();
  }
}
