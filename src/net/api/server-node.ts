import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocketServer } from 'ws';
import { NodeError } from '../../core/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { ApiServer, ServerOptions } from './adapter.ts';
import { splitTarget } from './exchange.ts';
import { NodeExchange } from './exchange-node.ts';
import { Front, type ServerModules, SOCKET_PAYLOAD_BYTES, type SocketMatch } from './front.ts';
import { listenFault } from './listen-fault.ts';
import type { ErrorContext } from './reply.ts';
import { answerRaw, NodeSocket } from './socket-node.ts';
import { MIN_TLS_VERSION } from './tls.ts';
import { agreedProtocol, UpgradeRequest } from './upgrade.ts';

/** An ApiServer on node:http and ws. */
export function createNodeServer(options: ServerOptions, modules: ServerModules): ApiServer {
  return new NodeServer(options, modules);
}

class NodeServer implements ApiServer {
  readonly name = 'node:http + ws';
  readonly #options: ServerOptions;
  readonly #logger: Logger;
  readonly #front: Front;
  readonly #http: Server;
  readonly #webSockets: WebSocketServer;
  #connections = 0;

  constructor(options: ServerOptions, modules: ServerModules) {
    this.#options = options;
    this.#logger = modules.logger;
    this.#front = new Front(options, modules, () => this.#connections);
    this.#webSockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: SOCKET_PAYLOAD_BYTES,
      handleProtocols: (offered, raw) => {
        const found = this.#socketRoute(raw);
        return (found !== undefined && agreedProtocol(offered, found.route)) || false;
      },
    });
    this.#webSockets.on('headers', (lines) => {
      for (const [name, value] of options.headers) lines.push(`${name}: ${value}`);
    });
    this.#http = this.#createHttp();
  }

  #createHttp(): Server {
    const options = this.#options;
    const http = listener(
      options,
      (raw) => this.#wantsSocket(raw),
      (raw, response) => {
        const id = this.#front.requestId(givenId(raw));
        this.#front.accept(new NodeExchange(this.#front, raw, response, id));
      },
    );
    http.maxConnections = options.maxConnections;
    http.timeout = options.idleTimeoutMs;
    http.on('connection', (socket) => {
      this.#connections += 1;
      socket.once('close', () => {
        this.#connections -= 1;
      });
    });
    http.on('checkContinue', (raw, response) => {
      // A body that will be refused by its length is not asked for.
      if (Number(raw.headers['content-length'] ?? 0) > options.bodyBytes) response.shouldKeepAlive = false;
      else response.writeContinue();
      http.emit('request', raw, response);
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
      const onError = (error: NodeJS.ErrnoException): void => reject(listenFault(host, port, error));
      this.#http.once('error', onError);
      this.#http.listen({ host, port }, () => {
        this.#http.off('error', onError);
        this.#http.on('error', (err) => this.#logger.error({ err }, 'API server error'));
        // Listening on a host and a port, the address is never text or null.
        const address = this.#http.address() as AddressInfo;
        this.#front.start(address.address);
        resolve({ host: address.address, port: address.port });
      });
    });
  }

  async close(deadlineMs: number): Promise<void> {
    if (this.#front.stopping) return;
    const drained = this.#front.stop(deadlineMs);
    const closed = new Promise<void>((resolve) => {
      if (this.#http.listening) this.#http.close(() => resolve());
      else resolve();
    });
    await drained;
    await within(closed, deadlineMs);
    this.#http.closeAllConnections();
    await closed;
  }

  /** Anything else that asks for an upgrade (h2c, for one) is an ordinary request. */
  #wantsSocket(raw: IncomingMessage): boolean {
    if (raw.method !== 'GET' || raw.headers.upgrade?.toLowerCase() !== 'websocket') return false;
    return this.#socketRoute(raw) !== undefined;
  }

  #socketRoute(raw: IncomingMessage): SocketMatch | undefined {
    return this.#front.socketRoute(splitTarget(raw.url ?? '/').path);
  }

  #upgrade(raw: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', ignore);
    const found = this.#socketRoute(raw);
    if (found === undefined) {
      socket.destroy();
      return;
    }
    const { kind } = found.route;
    const remoteAddress = raw.socket.remoteAddress ?? '';
    const refusal = this.#front.socketRefusal(kind, remoteAddress);
    const { path, search } = splitTarget(raw.url ?? '/');
    const id = this.#front.requestId(givenId(raw));
    if (refusal !== undefined) {
      this.#refuse(socket, refusal, { id, clientRequestId: '', what: `upgrade of ${path}` });
      return;
    }
    this.#webSockets.handleUpgrade(raw, socket, head, (opened) => {
      const peer = new NodeSocket(opened, this.#options.sockets[kind].bufferBytes);
      const header = (name: string): string => String(raw.headers[name] ?? '');
      const request = new UpgradeRequest(
        { id, path, search, remoteAddress, header },
        found.match.params,
        peer.signal,
      );
      this.#front.serve(found, request, peer);
    });
  }

  #refuse(socket: Duplex, error: NodeError, context: ErrorContext): void {
    answerRaw(socket, this.#front.errorReply(error, context), this.#front.headers);
  }

  #clientError(error: NodeJS.ErrnoException, socket: Duplex): void {
    // A failed TLS handshake leaves nothing to write an answer to.
    const untrusted =
      error.code?.startsWith('ERR_SSL') === true || error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT';
    if (error.code === 'ECONNRESET' || untrusted || !socket.writable) {
      socket.destroy();
      return;
    }
    let open: NodeExchange | undefined;
    for (const exchange of this.#front.open()) {
      if (exchange instanceof NodeExchange && exchange.raw.socket === socket) open = exchange;
    }
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
    const context = { id: this.#front.requestId(), clientRequestId: '', what: 'a connection' };
    this.#refuse(socket, this.#describe(error), context);
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

function listener(
  options: ServerOptions,
  shouldUpgradeCallback: (raw: IncomingMessage) => boolean,
  onRequest: RequestListener,
): Server {
  const bounds = {
    maxHeaderSize: options.headerBytes,
    headersTimeout: options.headerTimeoutMs,
    requestTimeout: options.requestTimeoutMs,
    keepAliveTimeout: options.keepAliveTimeoutMs,
    connectionsCheckingInterval: Math.min(1000, options.headerTimeoutMs),
    noDelay: true,
    shouldUpgradeCallback,
  };
  if (options.tls === undefined) return createServer(bounds, onRequest);
  const { cert, key } = options.tls;
  const handshakeTimeout = options.headerTimeoutMs;
  return createTlsServer({ ...bounds, cert, key, minVersion: MIN_TLS_VERSION, handshakeTimeout }, onRequest);
}

function givenId(raw: IncomingMessage): string {
  const given = raw.headers['x-request-id'];
  return typeof given === 'string' ? given : '';
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
