import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BodyBytes } from './body-bytes.ts';
import {
  clientGone,
  discard,
  Exchange,
  type ExchangeHost,
  NO_BODY,
  type StreamBody,
  splitTarget,
  tooLarge,
} from './exchange.ts';

/** One request of node:http and its one answer. */
export class NodeExchange extends Exchange {
  readonly raw: IncomingMessage;
  readonly #response: ServerResponse;

  constructor(host: ExchangeHost, raw: IncomingMessage, response: ServerResponse, id: string) {
    super(host, { id, method: raw.method ?? '', ...splitTarget(raw.url ?? '/') });
    this.raw = raw;
    this.#response = response;
  }

  get remoteAddress(): string {
    return this.raw.socket.remoteAddress ?? '';
  }

  header(name: string): string {
    const value = this.raw.headers[name];
    if (value === undefined) return '';
    return typeof value === 'string' ? value : value.join(', ');
  }

  body(): Promise<Uint8Array> {
    const { raw } = this;
    const { bodyBytes } = this.host;
    const declared = raw.headers['content-length'];
    if (declared === undefined && raw.headers['transfer-encoding'] === undefined)
      return Promise.resolve(NO_BODY);
    if (declared !== undefined && Number(declared) > bodyBytes) return Promise.reject(tooLarge(bodyBytes));
    return new Promise((resolve, reject) => {
      const bytes = new BodyBytes();
      let refused = false;
      let ended = false;
      raw.on('data', (chunk: Buffer) => {
        // The rest is read and thrown away, so that the answer is not lost to a reset; requestTimeoutMs bounds it.
        if (refused) return;
        refused = bytes.length + chunk.length > bodyBytes;
        if (refused) reject(tooLarge(bodyBytes));
        else bytes.append(chunk);
      });
      raw.on('end', () => {
        ended = true;
        resolve(bytes.whole());
      });
      raw.on('error', () => reject(clientGone()));
      // It comes after the end too.
      raw.on('close', () => {
        if (!ended) reject(clientGone());
      });
    });
  }

  /** The connection may be silent as long. */
  override extend(deadlineMs: number): void {
    super.extend(deadlineMs);
    this.raw.socket.setTimeout(Math.max(deadlineMs, this.host.idleTimeoutMs));
  }

  cut(): void {
    this.raw.socket.destroy();
  }

  protected get over(): boolean {
    // An answer that streams is chosen, and not ended.
    return this.#response.writableEnded || this.#response.destroyed;
  }

  protected watch(): void {
    this.#response.once('close', () => {
      if (!this.#response.writableFinished) this.gone();
    });
  }

  protected writeWhole(status: number, headers: string[], body: string | Uint8Array): void {
    const response = this.#response;
    if (this.host.stopping) headers.push('Connection', 'close');
    // 204 and 304 must not carry a length (RFC 9110, 8.6).
    if (status !== 204) {
      const length = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength;
      headers.push('Content-Length', String(length));
    }
    response.writeHead(status, headers);
    if (this.method === 'HEAD') response.end();
    else response.end(body);
    this.answered(status);
  }

  protected writeStream(status: number, headers: string[], body: StreamBody): void {
    const response = this.#response;
    if (this.host.stopping) headers.push('Connection', 'close');
    response.writeHead(status, headers);
    if (this.method === 'HEAD') {
      response.end();
      discard(body);
      this.answered(status);
      return;
    }
    this.raw.socket.setTimeout(this.host.idleTimeoutMs);
    // pipeline destroys the connection when the source fails: the length was promised already, so a connection
    // cut short is the only way left to say that something is missing.
    pipeline(body instanceof Readable ? body : Readable.from(body), response)
      .catch(ignore)
      .finally(() => {
        // Its head promised to keep the connection: a stop began later.
        if (this.host.stopping) this.raw.socket.end();
        this.answered(status);
      });
  }
}

function ignore(): void {}
