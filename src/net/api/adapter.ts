/**
 * The HTTP and WebSocket server as the routes see it. Implementations: `server-node.ts` (node:http + ws); a second
 * one over uWebSockets.js follows. One contract suite holds for all.
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
  /** Aborted when the client is gone or the deadline has passed. */
  readonly signal: AbortSignal;
}

export interface HttpReply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** A stream is piped with back-pressure and destroyed when the client goes away. */
  readonly body: string | Uint8Array | AsyncIterable<Uint8Array>;
}

/** A WebSocket after its upgrade. */
export interface Socket {
  /** Resolves when the socket has room for more; false when it is closed. */
  send(text: string): Promise<boolean>;
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
  /** Upgrades come here, before any validation. */
  readonly socket?: (request: HttpRequest, socket: Socket) => Promise<void>;
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
  /** From the first byte of a connection, or of a request on it, to the end of the headers. */
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
  /** WebSockets at once. */
  readonly sockets: number;
  /** Bytes a WebSocket may have unsent before `send` waits. */
  readonly socketBufferBytes: number;
}
