import type { TlsIdentity } from './tls.ts';

/**
 * The HTTP and WebSocket server as the routes see it. Implementations: `server-node.ts` (node:http + ws) and
 * `server-uws.ts` (uWebSockets.js). One contract suite holds for both.
 */
export interface HttpRequest {
  /** Sent back as X-Request-Id, and the `RequestID` of an unexpected error. */
  readonly id: string;
  /** Upper case. */
  readonly method: string;
  /** As it was sent, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Value of a header by lower-case name, "" when absent. */
  header(name: string): string;
  readonly remoteAddress: string;
  /** Path parameters of the matched route, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** Whole body; empty where none was sent. @throws NodeError BodyTooLarge, ClientGone */
  body(): Promise<Uint8Array>;
  /** Aborted when the client is gone, the deadline has passed, or a stop ends an endless reply. */
  readonly signal: AbortSignal;
}

export interface HttpReply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * A stream has no deadline. Each chunk is sent as it comes, with back-pressure, the head with the first one; its
   * iterator is returned when the client goes away.
   */
  readonly body: string | Uint8Array | AsyncIterable<Uint8Array>;
  /** The stream has no end of its own: a stop aborts the request's signal, and it should end then. */
  readonly endless?: boolean;
}

/** What a WebSocket is for; each kind has bounds of its own. */
export type SocketKind = 'logs' | 'events';

/** A WebSocket after its upgrade. What the peer sends is read, bounded and dropped. A peer that answers no ping is closed. */
export interface Socket {
  /** The subprotocol that was agreed on, "" where there is none. */
  readonly protocol: string;
  /** Bytes that wait to be sent; what the kernel has taken is not counted. */
  readonly buffered: number;
  /**
   * Sends one frame: text is a text frame, bytes are a binary one unless they are said to be text in UTF-8 (bytes
   * may be shared by many sockets). Resolves when the socket has room for more, to false when it is closed. Wait for
   * it before the next one: that is what bounds the buffer.
   */
  send(data: string | Uint8Array, as?: 'text'): Promise<boolean>;
  /** Frames that wait are sent first. */
  close(code: number, reason: string): void;
  /** Aborted when the peer is gone. */
  readonly signal: AbortSignal;
}

export interface Route {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** "/api/v1/orchestrator/jobs/:id". */
  readonly path: string;
  /** Needs the role; a node without it answers 404 as for an unknown route. */
  readonly role?: 'requester' | 'compute';
  /** Instead of the server's handlerTimeoutMs, where an answer may rightly take long. */
  readonly deadlineMs?: number;
  readonly handle?: (request: HttpRequest) => Promise<HttpReply> | HttpReply;
  readonly socket?: SocketRoute;
}

export interface SocketRoute {
  readonly kind: SocketKind;
  /**
   * Subprotocols it speaks. The first of the client's that is among them is agreed on; none where none is: a client
   * that insists then closes (RFC 6455, 4.1).
   */
  readonly protocols?: readonly string[];
  /** Upgrades come here, before any validation. */
  readonly open: (request: HttpRequest, socket: Socket) => Promise<void>;
}

export interface ApiServer {
  /** "node:http + ws", for people. */
  readonly name: string;
  /** Port 0 picks one. @throws NodeError PortInUse, naming the address */
  listen(host: string, port: number): Promise<{ host: string; port: number }>;
  /** Takes no new requests; ends when the open ones are answered, or at the deadline (epoch, milliseconds). */
  close(deadlineMs: number): Promise<void>;
}

/** Bounds of a server. Times in milliseconds. */
export interface ServerOptions {
  /** Sent with every answer, in this order. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly bodyBytes: number;
  readonly headerBytes: number;
  readonly maxConnections: number;
  /** From the first byte of a connection, or of a request on it, to the end of the headers. A server may allow `requestTimeoutMs`. */
  readonly headerTimeoutMs: number;
  /** From the first byte of a request to the end of its body. */
  readonly requestTimeoutMs: number;
  /** From the end of the headers to the answer. Streams and WebSockets have none. */
  readonly handlerTimeoutMs: number;
  /** A connection without any traffic is closed after it. */
  readonly idleTimeoutMs: number;
  /** The same, between two requests. */
  readonly keepAliveTimeoutMs: number;
  /** Time between two pings of a WebSocket; a peer that answers none is closed. */
  readonly pingIntervalMs: number;
  /** Requests a second of one remote address; the loopback has none. 0 means no limit. */
  readonly requestsPerSecond: number;
  readonly sockets: Readonly<Record<SocketKind, SocketBounds>>;
  /** Serves https and wss instead of http and ws. */
  readonly tls?: TlsIdentity;
}

/** Bounds of the WebSockets of one kind. */
export interface SocketBounds {
  /** Open at once. */
  readonly count: number;
  /** Bytes one may have unsent before `send` waits. */
  readonly bufferBytes: number;
}
