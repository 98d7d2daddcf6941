import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { HttpReply } from './adapter.ts';
import type { PeerSocket } from './front.ts';
import { Heartbeat } from './heartbeat.ts';

/** One WebSocket of the `ws` package. */
export class NodeSocket implements PeerSocket {
  readonly signal: AbortSignal;
  readonly #socket: WebSocket;
  readonly #bufferBytes: number;
  readonly #heartbeat: Heartbeat = new Heartbeat();

  /** @param bufferBytes what may be unsent before `send` waits for the peer */
  constructor(socket: WebSocket, bufferBytes: number) {
    this.#socket = socket;
    this.#bufferBytes = bufferBytes;
    const controller = new AbortController();
    this.signal = controller.signal;
    socket.on('close', () => controller.abort());
    // A protocol violation of the peer: `ws` closes the connection itself.
    socket.on('error', () => {});
    socket.on('pong', () => this.#heartbeat.alive());
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
      let waited = false;
      socket.send(data, { binary }, (error) => {
        const sent = error === undefined || error === null;
        if (sent && waited) this.#heartbeat.alive();
        resolve(sent);
      });
      waited = socket.bufferedAmount > 0;
      if (socket.bufferedAmount < this.#bufferBytes) resolve(true);
    });
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  ping(): void {
    const next = this.#heartbeat.next(this.#socket.bufferedAmount);
    if (next === 'gone') this.#socket.terminate();
    else if (next === 'ping' && this.#socket.readyState === this.#socket.OPEN) this.#socket.ping();
  }

  terminate(): void {
    this.#socket.terminate();
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
