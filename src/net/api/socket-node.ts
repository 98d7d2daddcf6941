import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { HttpReply, HttpRequest, Socket } from './adapter.ts';
import { splitTarget } from './exchange.ts';

/** One WebSocket of the `ws` package. */
export class NodeSocket implements Socket {
  readonly signal: AbortSignal;
  readonly #socket: WebSocket;
  readonly #bufferBytes: number;
  #answered = true;

  /** @param bufferBytes what may be unsent before `send` waits for the peer */
  constructor(socket: WebSocket, bufferBytes: number) {
    this.#socket = socket;
    this.#bufferBytes = bufferBytes;
    const controller = new AbortController();
    this.signal = controller.signal;
    socket.on('close', () => controller.abort());
    // A protocol violation of the peer: `ws` closes the connection itself.
    socket.on('error', () => {});
    socket.on('pong', () => {
      this.#answered = true;
    });
  }

  get protocol(): string {
    return this.#socket.protocol;
  }

  get buffered(): number {
    return this.#socket.bufferedAmount;
  }

  send(data: string | Uint8Array, as?: 'text'): Promise<boolean> {
    const socket = this.#socket;
    if (socket.readyState !== socket.OPEN) return Promise.resolve(false);
    return new Promise((resolve) => {
      const binary = typeof data !== 'string' && as !== 'text';
      socket.send(data, { binary }, (error) => resolve(error === undefined || error === null));
      if (socket.bufferedAmount < this.#bufferBytes) resolve(true);
    });
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  /** Ends a peer that did not answer the last ping; pings the others. */
  ping(): void {
    if (!this.#answered) {
      this.#socket.terminate();
      return;
    }
    this.#answered = false;
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.ping();
  }

  /** Drops the connection without a word. */
  terminate(): void {
    this.#socket.terminate();
  }
}

/** The request of an upgrade. It has no body. */
export class SocketRequest implements HttpRequest {
  readonly id: string;
  readonly method = 'GET';
  readonly path: string;
  readonly query: URLSearchParams;
  readonly remoteAddress: string;
  readonly params: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly #raw: IncomingMessage;

  constructor(
    raw: IncomingMessage,
    params: Readonly<Record<string, string>>,
    id: string,
    signal: AbortSignal,
  ) {
    const { path, search } = splitTarget(raw.url ?? '/');
    this.id = id;
    this.path = path;
    this.query = new URLSearchParams(search);
    this.remoteAddress = raw.socket.remoteAddress ?? '';
    this.params = params;
    this.signal = signal;
    this.#raw = raw;
  }

  header(name: string): string {
    return String(this.#raw.headers[name] ?? '');
  }

  body(): Promise<Uint8Array> {
    return Promise.resolve(new Uint8Array(0));
  }
}

/** Answers on a connection that has no response object, and closes it. The body must be text. */
export function answerRaw(connection: Duplex, reply: HttpReply, headers: readonly string[]): void {
  const body = typeof reply.body === 'string' ? reply.body : '';
  const lines = [`HTTP/1.1 ${reply.status} ${STATUS_CODES[reply.status] ?? ''}`];
  for (let index = 0; index + 1 < headers.length; index += 2)
    lines.push(`${headers[index]}: ${headers[index + 1]}`);
  for (const [name, value] of Object.entries(reply.headers ?? {})) lines.push(`${name}: ${value}`);
  lines.push(`Content-Length: ${Buffer.byteLength(body)}`, 'Connection: close', '', body);
  connection.end(lines.join('\r\n'), () => connection.destroy());
}
