import { STATUS_CODES } from 'node:http';
import { SocketAddress } from 'node:net';
import { Readable } from 'node:stream';
import { NodeError } from '../../core/errors.ts';
import { BodyCollector } from './body-collector.ts';
import {
  clientGone,
  discard,
  Exchange,
  type ExchangeHost,
  NO_BODY,
  type RequestLine,
  type StreamBody,
  tooLarge,
} from './exchange.ts';
import type { UwsRequest, UwsResponse } from './uws.ts';

/**
 * uWebSockets.js gathers what is written in one turn in 16 KiB. Larger pieces go around that buffer, and one of them
 * is lost when the kernel takes nothing at that moment: so no larger one is ever handed over without its offset.
 */
const PIECE_BYTES = 8192;
/** First piece after one that had to wait: whether it waits too tells whether the buffer is empty. */
const PROBE_BYTES = 1;
const EMPTY = new Uint8Array(0);
const NO_HEADERS: readonly string[] = [];

/** One request of uWebSockets.js and its one answer. The only place that touches a response. */
export class UwsExchange extends Exchange {
  /** No other request can follow on its connection: what this one was is not clear, or its rest is not waited for. */
  last = false;
  /** Undefined when it may not be touched any more. */
  #response: UwsResponse | undefined;
  /** Undefined after the handler of uWebSockets.js has returned. */
  #request: UwsRequest | undefined;
  /** Names and values in turn: what a copy costs counts, and few of them are asked for. */
  #headers: readonly string[] = NO_HEADERS;
  #address: string | undefined;
  readonly #body: BodyCollector | undefined;
  readonly #tooLarge: boolean;
  /** Waits for room in the buffer of the kernel; false when the client has gone. */
  #writable: ((open: boolean) => void) | undefined;
  #listening = false;
  #stream: StreamBody | undefined;

  constructor(host: ExchangeHost, response: UwsResponse, request: UwsRequest, line: RequestLine) {
    super(host, line);
    this.#response = response;
    this.#request = request;
    response.onAborted(() => this.#aborted());
    const declared = request.getHeader('content-length');
    this.#tooLarge = Number(declared) > host.bodyBytes;
    // uWebSockets.js knows "close" alone, not as one of several.
    const connection = request.getHeader('connection');
    if (connection.includes(',') && /\bclose\b/i.test(connection)) this.last = true;
    // A client that asks first does not send the body it was refused.
    if (this.#tooLarge && request.getHeader('expect') !== '') this.last = true;
    if (
      (declared !== '' && declared !== '0' && !this.#tooLarge) ||
      request.getHeader('transfer-encoding') !== ''
    ) {
      const body = new BodyCollector(host.bodyBytes);
      this.#body = body;
      response.onData((chunk, last) => body.take(chunk, last));
    }
  }

  /** The handler of uWebSockets.js returns: what an answer may still need of the request is copied. */
  detach(): void {
    const request = this.#request;
    this.#request = undefined;
    if (this.done || request === undefined) return;
    const headers: string[] = [];
    request.forEach((name, value) => {
      headers.push(name, value);
    });
    this.#headers = headers;
  }

  /** As long as there is somebody to answer; "" afterwards. */
  get remoteAddress(): string {
    if (this.#response === undefined) return this.#address ?? '';
    this.#address ??= addressOf(this.#response.getRemoteAddressAsText());
    return this.#address;
  }

  header(name: string): string {
    if (this.#request !== undefined) return this.#request.getHeader(name);
    const headers = this.#headers;
    let found = '';
    for (let index = 0; index + 1 < headers.length; index += 2) {
      if (headers[index] !== name) continue;
      const value = headers[index + 1] ?? '';
      found = found === '' ? value : `${found}, ${value}`;
    }
    return found;
  }

  body(): Promise<Uint8Array> {
    if (this.#tooLarge) return Promise.reject(tooLarge(this.host.bodyBytes));
    return this.#body?.whole() ?? Promise.resolve(NO_BODY);
  }

  override overdue(now: number): NodeError | undefined {
    const { requestTimeoutMs } = this.host;
    if (!this.done && this.#body?.complete === false && now - this.startedAt >= requestTimeoutMs) {
      this.last = true;
      return new NodeError('RequestTooSlow', `the request was not complete in ${requestTimeoutMs} ms`);
    }
    return super.overdue(now);
  }

  cut(): void {
    this.#response?.close();
  }

  protected get over(): boolean {
    return this.#response === undefined;
  }

  /** `onAborted` watches from the start. */
  protected watch(): void {}

  protected writeWhole(status: number, headers: string[], body: string | Uint8Array): void {
    const response = this.#response;
    if (response === undefined) return;
    const close = this.host.stopping || this.last;
    const length = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength;
    if (this.method === 'HEAD' || status === 204 || length <= PIECE_BYTES) {
      response.cork(() => {
        writeHead(response, status, headers);
        // 204 must not carry a length (RFC 9110, 8.6).
        if (status === 204) response.endWithoutBody(undefined, close);
        else if (this.method === 'HEAD') response.endWithoutBody(length, close);
        else response.end(body, close);
      });
      this.#complete(status);
      return;
    }
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    if (close) headers.push('Connection', 'close');
    response.cork(() => writeHead(response, status, headers));
    this.#send(status, only(bytes), length);
  }

  protected writeStream(status: number, headers: string[], body: StreamBody): void {
    const response = this.#response;
    if (response === undefined) return;
    const length = takeLength(headers);
    if (this.method === 'HEAD') {
      discard(body);
      response.cork(() => {
        writeHead(response, status, headers);
        response.endWithoutBody(length, this.host.stopping);
      });
      this.#complete(status);
      return;
    }
    response.cork(() => writeHead(response, status, headers));
    this.#stream = body;
    this.#send(status, body, length);
  }

  #send(status: number, body: StreamBody, length: number | undefined): void {
    (length === undefined ? this.#sendChunked(body) : this.#sendLength(body, length))
      .catch(() => {})
      .finally(() => {
        this.#stream = undefined;
        discard(body);
        // Cut short: what was promised is not coming.
        this.cut();
        this.answered(status);
      });
  }

  async #sendLength(body: StreamBody, length: number): Promise<void> {
    if (length === 0) {
      this.#response?.cork(() => this.#response?.end('', this.host.stopping));
      this.#response = undefined;
      return;
    }
    for await (const chunk of body) {
      if (!(await this.#sendPiece(chunk, length))) return;
    }
  }

  /** Resolves when the kernel has the piece; to false when nothing more is wanted. */
  async #sendPiece(piece: Uint8Array, length: number): Promise<boolean> {
    let rest = piece;
    while (rest.byteLength > 0) {
      const response = this.#response;
      if (response === undefined) return false;
      const before = response.getWriteOffset();
      let taken = false;
      let complete = false;
      rest = rest.subarray(0, length - before);
      response.cork(() => {
        [taken, complete] = response.tryEnd(rest, length);
      });
      if (complete) {
        this.#response = undefined;
        return false;
      }
      if (taken) return true;
      rest = rest.subarray(response.getWriteOffset() - before);
      if (!(await this.#room())) return false;
    }
    return true;
  }

  async #sendChunked(body: StreamBody): Promise<void> {
    let waited = false;
    for await (const chunk of body) {
      let rest = chunk;
      while (rest.byteLength > 0) {
        const response = this.#response;
        if (response === undefined) return;
        const piece = rest.subarray(0, waited ? PROBE_BYTES : PIECE_BYTES);
        rest = rest.subarray(piece.byteLength);
        response.cork(() => {
          waited = !response.write(piece);
        });
        if (waited && !(await this.#room())) return;
      }
    }
    // Without a word on the connection: uWebSockets.js would write that header here, behind the last chunk.
    this.#response?.cork(() => this.#response?.end(EMPTY));
    this.#response = undefined;
  }

  #room(): Promise<boolean> {
    const response = this.#response;
    if (response === undefined) return Promise.resolve(false);
    if (!this.#listening) {
      this.#listening = true;
      response.onWritable(() => {
        // With a handler of ours, nobody else sends what waits.
        response.cork(() => {});
        this.#release(true);
        return true;
      });
    }
    return new Promise((resolve) => {
      this.#writable = resolve;
    });
  }

  #release(open: boolean): void {
    this.#writable?.(open);
    this.#writable = undefined;
  }

  #complete(status: number): void {
    this.#response = undefined;
    this.answered(status);
  }

  #aborted(): void {
    this.#response = undefined;
    this.#request = undefined;
    this.#body?.fail(clientGone());
    this.#release(false);
    if (this.#stream instanceof Readable) this.#stream.destroy();
    this.gone();
  }
}

function writeHead(response: UwsResponse, status: number, headers: readonly string[]): void {
  response.writeStatus(`${status} ${STATUS_CODES[status] ?? ''}`);
  for (let index = 0; index + 1 < headers.length; index += 2) {
    response.writeHeader(headers[index] ?? '', headers[index + 1] ?? '');
  }
}

/** Removes a Content-Length, which uWebSockets.js writes itself. */
function takeLength(headers: string[]): number | undefined {
  const index = headers.findIndex((name, at) => at % 2 === 0 && name.toLowerCase() === 'content-length');
  if (index < 0) return undefined;
  const [, value] = headers.splice(index, 2);
  return Number(value);
}

async function* only(bytes: Uint8Array): StreamBody {
  yield bytes;
}

/** As node:net writes addresses. */
export function addressOf(text: ArrayBuffer): string {
  const address = String.fromCharCode(...new Uint8Array(text));
  if (!address.includes(':')) return address;
  return new SocketAddress({ address, family: 'ipv6' }).address;
}
