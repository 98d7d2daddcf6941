import type { PeerSocket } from './front.ts';
import { Heartbeat } from './heartbeat.ts';
import type { UwsWebSocket } from './uws.ts';

/** One WebSocket of uWebSockets.js. */
export class UwsSocket implements PeerSocket {
  readonly protocol: string;
  readonly signal: AbortSignal;
  readonly #bufferBytes: number;
  readonly #controller: AbortController = new AbortController();
  readonly #heartbeat: Heartbeat = new Heartbeat();
  /** Callers of `send` that wait for room. */
  #waiting: ((open: boolean) => void)[] = [];
  /** Undefined before it is open and after it is closed: it may not be touched then. */
  #socket: UwsWebSocket<unknown> | undefined;
  #ending: { readonly code: number; readonly reason: string } | undefined;

  /** @param bufferBytes what may be unsent before `send` waits for the peer */
  constructor(protocol: string, bufferBytes: number) {
    this.protocol = protocol;
    this.#bufferBytes = bufferBytes;
    this.signal = this.#controller.signal;
  }

  get buffered(): number {
    return this.#socket?.getBufferedAmount() ?? 0;
  }

  send(data: string | Uint8Array, as?: 'text'): Promise<boolean> {
    const socket = this.#socket;
    if (socket === undefined || this.#ending !== undefined) return Promise.resolve(false);
    // 2: more waits than any patient caller leaves, and the connection is being closed for it.
    if (socket.send(data, typeof data !== 'string' && as !== 'text') === 2) return Promise.resolve(false);
    if (socket.getBufferedAmount() < this.#bufferBytes) return Promise.resolve(true);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  close(code: number, reason: string): void {
    if (this.#ending !== undefined) return;
    this.#ending = { code, reason };
    this.#release(false);
    this.#end();
  }

  ping(): void {
    const next = this.#heartbeat.next(this.buffered);
    if (next === 'gone') this.terminate();
    else if (next === 'ping') this.#socket?.ping();
  }

  terminate(): void {
    this.#socket?.close();
  }

  /** The handshake is done. */
  opened(socket: UwsWebSocket<unknown>): void {
    this.#socket = socket;
  }

  /** The peer answered a ping. */
  answered(): void {
    this.#heartbeat.alive();
  }

  /** The peer took some of what waited. */
  drained(): void {
    this.#heartbeat.alive();
    if (this.#ending !== undefined) this.#end();
    else if (this.buffered < this.#bufferBytes) this.#release(true);
  }

  /** It is closed, by whichever side. */
  closed(): void {
    this.#socket = undefined;
    this.#release(false);
    this.#controller.abort();
  }

  /** Once nothing waits any more: uWebSockets.js forgets a peer that it has said goodbye to, and whether it takes it. */
  #end(): void {
    if (this.#ending === undefined || this.buffered > 0) return;
    this.#socket?.end(this.#ending.code, this.#ending.reason);
  }

  #release(open: boolean): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve(open);
  }
}
