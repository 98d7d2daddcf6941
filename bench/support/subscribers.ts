import { once } from 'node:events';
import { WebSocket } from 'ws';
import { FAN_OUT_PATH } from './fan-out-protocol.ts';

/** Reads as little of each frame as tells what was delivered: one process reads for all. */
export class Subscriber {
  /** Seq of the last event it has; 0 before the first. */
  last = 0;
  readonly socket: WebSocket;

  constructor(url: string, onFrame: (subscriber: Subscriber, data: Buffer) => void) {
    this.socket = new WebSocket(url, { perMessageDeflate: false });
    // Of the end, when its server is killed.
    this.socket.on('error', () => undefined);
    this.socket.on('message', (data: Buffer) => {
      const at = data.lastIndexOf('{"seq":');
      if (at < 0) return;
      this.last = Number.parseInt(data.toString('latin1', at + 7, at + 23), 10);
      onFrame(this, data);
    });
  }
}

/** So many subscribers to all events of a node, when all are there. @param origin "http://127.0.0.1:port" */
export async function subscribe(
  origin: string,
  count: number,
  onFrame: (subscriber: Subscriber, data: Buffer) => void = () => undefined,
): Promise<readonly Subscriber[]> {
  const url = `${origin.replace(/^http/, 'ws')}${FAN_OUT_PATH}`;
  const subscribers = Array.from({ length: count }, () => new Subscriber(url, onFrame));
  await Promise.all(subscribers.map(({ socket }) => once(socket, 'open')));
  return subscribers;
}
