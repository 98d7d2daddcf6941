import { lookup } from 'node:dns/promises';
import { METHODS } from 'node:http';
import { NodeError } from '../../core/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { ApiServer, ServerOptions } from './adapter.ts';
import type { ServerFactory } from './api.ts';
import { addressOf, UwsExchange } from './exchange-uws.ts';
import { Front, type ServerModules, SOCKET_PAYLOAD_BYTES, type SocketMatch } from './front.ts';
import { findListenFault } from './listen-fault.ts';
import { UwsSocket } from './socket-uws.ts';
import { agreedProtocol, UpgradeRequest } from './upgrade.ts';
import type { Uws, UwsApp, UwsContext, UwsListenToken, UwsRequest, UwsResponse } from './uws.ts';

const KNOWN_METHODS: ReadonlySet<string> = new Set(METHODS);
/** RFC 6455, 4.2.1: sixteen bytes in base64. */
const HANDSHAKE_KEY = /^[+/0-9A-Za-z]{22}==$/;
const HANDSHAKE_VERSION = '13';
/** Timers of uWebSockets.js run out up to one tick early. */
const TICK_SECONDS = 4;
/** A caller that waits for `send` leaves at most the buffer and one frame unsent; who does not is cut off here. */
const BACKPRESSURE_BUFFERS = 4;

/** A factory of ApiServers on uWebSockets.js, once its binary is loaded. */
export function uwsServers(uws: Uws): ServerFactory {
  return (options, modules) => new UwsServer(uws, options, modules);
}

/** What travels with a WebSocket from its handshake on. */
interface Upgrade {
  readonly peer: UwsSocket;
  readonly found: SocketMatch;
  readonly request: UpgradeRequest;
}

class UwsServer implements ApiServer {
  readonly name = 'uWebSockets.js';
  readonly #uws: Uws;
  readonly #options: ServerOptions;
  readonly #logger: Logger;
  readonly #front: Front;
  #app: UwsApp | undefined;
  #token: UwsListenToken | undefined;
  #connections = 0;

  constructor(uws: Uws, options: ServerOptions, modules: ServerModules) {
    this.#uws = uws;
    this.#options = options;
    this.#logger = modules.logger;
    this.#front = new Front(options, modules, () => this.#connections);
  }

  async listen(host: string, port: number): Promise<{ host: string; port: number }> {
    const address = await lookup(host).then(
      (found) => found.address,
      () => undefined,
    );
    if (address === undefined) throw await findListenFault(host, port);
    const app = this.#createApp();
    const token = await new Promise<UwsListenToken | false>((resolve) => {
      // Without this option, Linux would let two processes share the port.
      app.listen(address, port, this.#uws.LIBUS_LISTEN_EXCLUSIVE_PORT, resolve);
    });
    if (token === false) {
      app.close();
      throw await findListenFault(host, port);
    }
    this.#app = app;
    this.#token = token;
    this.#front.start(address);
    return { host: address, port: this.#uws.us_socket_local_port(token) };
  }

  async close(deadlineMs: number): Promise<void> {
    if (this.#front.stopping) return;
    if (this.#token !== undefined) this.#uws.us_listen_socket_close(this.#token);
    await this.#front.stop(deadlineMs);
    this.#app?.close();
  }

  #createApp(): UwsApp {
    const { tls, sockets, requestTimeoutMs, keepAliveTimeoutMs } = this.#options;
    const app =
      tls === undefined
        ? this.#uws.App()
        : this.#uws.SSLApp({ cert_file_name: tls.certFile, key_file_name: tls.keyFile });
    // One bound for the head of a request and for pauses in its body, so the larger of the two.
    app.setIdleTimeout?.(seconds(requestTimeoutMs));
    app.setResponseTimeout?.(seconds(keepAliveTimeoutMs));
    app.filter((response, change) => {
      this.#connections += change;
      if (change < 0 || this.#connections <= this.#options.maxConnections) return;
      this.#logger.warn({ limit: this.#options.maxConnections }, 'connection refused: too many are open');
      response.close();
    });
    app.ws<Upgrade>('/*', {
      compression: this.#uws.DISABLED,
      maxPayloadLength: SOCKET_PAYLOAD_BYTES,
      maxBackpressure: BACKPRESSURE_BUFFERS * Math.max(sockets.logs.bufferBytes, sockets.events.bufferBytes),
      closeOnBackpressureLimit: true,
      // The front pings, and tells a slow peer from one that has gone.
      idleTimeout: 0,
      sendPingsAutomatically: false,
      upgrade: (response, request, context) => this.#upgrade(response, request, context),
      open: (socket) => {
        const { peer, found, request } = socket.getUserData();
        peer.opened(socket);
        this.#front.serve(found, request, peer);
      },
      drain: (socket) => socket.getUserData().peer.drained(),
      pong: (socket) => socket.getUserData().peer.answered(),
      close: (socket) => {
        // As HTTP it was counted when it opened, and it never closed as HTTP.
        this.#connections -= 1;
        socket.getUserData().peer.closed();
      },
    });
    return app.any('/*', (response, request) => this.#answer(response, request));
  }

  #answer(response: UwsResponse, request: UwsRequest): void {
    const exchange = this.#exchange(response, request);
    const fault = this.#fault(exchange);
    if (fault !== undefined) {
      this.#refuse(exchange, fault);
      return;
    }
    this.#front.accept(exchange);
    exchange.detach();
  }

  #refuse(exchange: UwsExchange, error: NodeError): void {
    exchange.last = true;
    this.#front.refuse(exchange, error);
    exchange.detach();
  }

  #exchange(response: UwsResponse, request: UwsRequest): UwsExchange {
    return new UwsExchange(this.#front, response, request, {
      id: this.#front.requestId(request.getHeader('x-request-id')),
      method: request.getCaseSensitiveMethod(),
      path: request.getUrl(),
      search: request.getQuery() ?? '',
    });
  }

  /** What uWebSockets.js lets pass, and no HTTP server should. */
  #fault(exchange: UwsExchange): NodeError | undefined {
    if (!KNOWN_METHODS.has(exchange.method)) {
      return new NodeError('MalformedRequest', `this is no HTTP method: "${exchange.method}"`);
    }
    const wantsSocket = exchange.method === 'GET' && isWebSocket(exchange.header('upgrade'));
    if (!wantsSocket || this.#front.socketRoute(exchange.path) === undefined) return undefined;
    return new NodeError(
      'MalformedRequest',
      'this is no WebSocket handshake: Sec-WebSocket-Key must be 16 bytes in base64, Sec-WebSocket-Version 13',
    );
  }

  #upgrade(response: UwsResponse, request: UwsRequest, context: UwsContext): void {
    const path = request.getUrl();
    const key = request.getHeader('sec-websocket-key');
    const found = isWebSocket(request.getHeader('upgrade')) ? this.#front.socketRoute(path) : undefined;
    const version = request.getHeader('sec-websocket-version');
    if (found === undefined || version !== HANDSHAKE_VERSION || !HANDSHAKE_KEY.test(key)) {
      this.#answer(response, request);
      return;
    }
    const remoteAddress = addressOf(response.getRemoteAddressAsText());
    const refusal = this.#front.socketRefusal(found.route.kind, remoteAddress);
    if (refusal !== undefined) {
      this.#refuse(this.#exchange(response, request), refusal);
      return;
    }
    const headers = new Map<string, string>();
    request.forEach((name, value) => headers.set(name, value));
    const offered = (headers.get('sec-websocket-protocol') ?? '').split(',').map((name) => name.trim());
    const protocol = agreedProtocol(offered, found.route);
    const peer = new UwsSocket(protocol, this.#options.sockets[found.route.kind].bufferBytes);
    const head = {
      id: this.#front.requestId(request.getHeader('x-request-id')),
      path,
      search: request.getQuery() ?? '',
      remoteAddress,
      header: (name: string): string => headers.get(name) ?? '',
    };
    const upgrade: Upgrade = {
      peer,
      found,
      request: new UpgradeRequest(head, found.match.params, peer.signal),
    };
    response.writeStatus('101 Switching Protocols');
    for (const [name, value] of this.#options.headers) response.writeHeader(name, value);
    response.upgrade(upgrade, key, protocol, '', context);
  }
}

function seconds(ms: number): number {
  return Math.ceil(ms / 1000) + TICK_SECONDS;
}

function isWebSocket(upgrade: string): boolean {
  return upgrade.toLowerCase() === 'websocket';
}
