import type { ClientRequest, IncomingMessage } from 'node:http';
import type { TlsOptions } from './transport.ts';

/** How the server ended a WebSocket. */
export class SocketClosed extends Error {
  readonly code: number;
  readonly reason: string;

  constructor(code: number, reason: string) {
    super(`closed with code ${code}${reason === '' ? '' : `: ${reason}`}`);
    this.name = 'SocketClosed';
    this.code = code;
    this.reason = reason;
  }
}

/** The server answered the handshake with something else. */
export class UpgradeRefused extends Error {
  readonly status: number;
  readonly body: string;

  constructor(status: number, body: string) {
    super(`the server answered with HTTP status ${status}`);
    this.name = 'UpgradeRefused';
    this.status = status;
    this.body = body;
  }
}

export interface FrameOptions {
  readonly handshakeMs: number;
  readonly protocols?: readonly string[];
  /** How the server's certificate is judged, where it is otherwise than usual. */
  readonly tls?: TlsOptions;
  /** A connection on which nothing comes for so long, not even a ping, is given up. */
  readonly silenceMs?: number;
  /** Ends it, as its reader leaving does. */
  readonly signal: AbortSignal;
}

const REFUSAL_BYTES = 65_536;

/**
 * Text frames of a WebSocket until it is closed with 1000; it is paused while the reader is behind.
 * @throws SocketClosed for any other code, UpgradeRefused, and what Node says of a connection that cannot be made
 */
export async function* socketFrames(url: string, options: FrameOptions): AsyncGenerator<string> {
  const { WebSocket } = await import('ws');
  const socket = new WebSocket(url, [...(options.protocols ?? [])], {
    handshakeTimeout: options.handshakeMs,
    ...options.tls,
  });
  const queue: string[] = [];
  let ended = false;
  let failure: Error | undefined;
  let wake = (): void => undefined;
  const end = (error?: Error): void => {
    failure ??= error;
    ended = true;
    wake();
  };
  const silence =
    options.silenceMs === undefined
      ? undefined
      : setTimeout(() => {
          end(new Error(`nothing has come for ${(options.silenceMs ?? 0) / 1000} s`));
          socket.terminate();
        }, options.silenceMs);
  const heard = (): void => void silence?.refresh();
  socket.on('ping', heard);
  socket.on('message', (data: Buffer) => {
    heard();
    queue.push(data.toString('utf8'));
    socket.pause();
    wake();
  });
  socket.on('unexpected-response', (request: ClientRequest, reply: IncomingMessage) => {
    let body = '';
    reply.setEncoding('utf8').on('data', (text: string) => {
      body += text;
      if (body.length > REFUSAL_BYTES) request.destroy();
    });
    reply.on('close', () => end(new UpgradeRefused(reply.statusCode ?? 0, body)));
  });
  socket.on('close', (code, reason) => {
    const isFine = code === 1000 || code === 1005;
    end(isFine ? undefined : new SocketClosed(code, reason.toString()));
  });
  socket.on('error', end);
  const abort = (): void => socket.close(1000);
  options.signal.addEventListener('abort', abort, { once: true });
  try {
    for (;;) {
      for (let frame = queue.shift(); frame !== undefined; frame = queue.shift()) yield frame;
      if (options.signal.aborted) return;
      if (failure !== undefined) throw failure;
      if (ended) return;
      const waiting = new Promise<void>((resolve) => {
        wake = resolve;
      });
      if (socket.isPaused) socket.resume();
      await waiting;
    }
  } finally {
    clearTimeout(silence);
    options.signal.removeEventListener('abort', abort);
    socket.close(1000);
  }
}
