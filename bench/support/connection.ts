import { connect, type Socket } from 'node:net';

/** Most bytes of one answer: a page of metrics is the largest. */
const ANSWER_BYTES = 1_048_576;
const HEADER_END = Buffer.from('\r\n\r\n');
const LENGTH = Buffer.from('Content-Length: ');

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

/** The bytes of a request, made once and sent any number of times. */
export function requestBytes(method: string, path: string, body = ''): Buffer {
  const about =
    body === '' ? '' : `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`;
  return Buffer.from(`${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${about}\r\n${body}`);
}

/**
 * A kept connection with one request at a time, made of as little as can be: what the load costs is taken from the
 * server where both share the cores. It reads answers with a length only.
 */
export class Connection {
  readonly #socket: Socket;
  readonly #buffer = Buffer.allocUnsafe(ANSWER_BYTES);
  #filled = 0;
  #waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | undefined;

  private constructor(socket: Socket, listen: (onChunk: (chunk: Uint8Array) => void) => void) {
    this.#socket = socket;
    listen((chunk) => this.#received(chunk));
    socket.on('error', (error) => this.#ended(error));
    socket.on('close', () => this.#ended(new Error('the server closed the connection')));
  }

  static open(origin: string): Promise<Connection> {
    const { hostname, port } = new URL(origin);
    let received: (chunk: Uint8Array) => void = () => undefined;
    return new Promise((resolve, reject) => {
      const socket = connect({
        host: hostname,
        port: Number(port),
        noDelay: true,
        onread: {
          buffer: Buffer.allocUnsafe(16_384),
          callback: (bytes, buffer) => {
            received(buffer.subarray(0, bytes));
            return true;
          },
        },
      });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(
          new Connection(socket, (onChunk) => {
            received = onChunk;
          }),
        );
      });
    });
  }

  send(request: Uint8Array): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #received(chunk: Uint8Array): void {
    if (this.#filled + chunk.length > ANSWER_BYTES) throw new Error('the answer is too long');
    this.#buffer.set(chunk, this.#filled);
    this.#filled += chunk.length;
    const filled = this.#buffer.subarray(0, this.#filled);
    const end = filled.indexOf(HEADER_END);
    if (end < 0) return;
    const at = filled.indexOf(LENGTH);
    if (at < 0 || at > end) throw new Error('the answer has no length');
    const bodyAt = end + HEADER_END.length;
    const length = Number.parseInt(
      filled.toString('latin1', at + LENGTH.length, at + LENGTH.length + 10),
      10,
    );
    if (this.#filled < bodyAt + length) return;
    this.#filled = 0;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve({
      status: Number(filled.toString('latin1', 9, 12)),
      body: Buffer.from(filled.subarray(bodyAt, bodyAt + length)),
    });
  }

  #ended(error: Error): void {
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }
}
