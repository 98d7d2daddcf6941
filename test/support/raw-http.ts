import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** An open TCP connection that remembers what came. */
export interface RawConnection {
  readonly socket: Socket;
  /** Everything received so far, as latin-1. */
  received(): string;
  /** Resolves when `pattern` has come; rejects when the peer closes before. */
  until(pattern: RegExp): Promise<string>;
  /** Resolves with everything when the peer has closed. */
  closed(): Promise<string>;
}

/** Connects to the loopback. */
export async function openRaw(port: number): Promise<RawConnection> {
  const socket = connect({ port, host: '127.0.0.1' });
  let text = '';
  let ended = false;
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  socket.on('close', () => {
    ended = true;
  });
  socket.on('error', () => {});
  await once(socket, 'connect');
  return {
    socket,
    received: () => text,
    async until(pattern) {
      while (!pattern.test(text)) {
        if (ended) throw new Error(`closed before ${String(pattern)}: ${JSON.stringify(text)}`);
        await Promise.race([once(socket, 'data'), once(socket, 'close')]);
      }
      return text;
    },
    async closed() {
      if (!ended) await once(socket, 'close');
      return text;
    },
  };
}

/** Sends `text` and resolves with all that comes until the peer closes. */
export async function sendRaw(port: number, text: string): Promise<string> {
  const connection = await openRaw(port);
  connection.socket.write(text, 'latin1');
  return connection.closed();
}
