import type { WebSocket as Socket } from 'ws';
import { NodeError } from '../../core/errors.ts';
import { type Wire, wire, wireText } from '../wire.ts';
import type { BenchTarget } from './bench-http.ts';

const EVENTS_PATH = '/api/v1/events';
const OPEN_MS = 10_000;

export interface EventSubscriberModules {
  /** Events of one frame, and when it came (performance.now). */
  readonly onEvents: (events: readonly Wire[], atMs: number) => void;
  /** The stream has ended although nobody here ended it. */
  readonly onLost: (error: NodeError) => void;
}

/**
 * One subscriber to a node's events, from the moment it was let in. It tells when each frame came, does little else, and
 * is not connected again when it is lost: what is measured is one stream.
 */
export class EventSubscriber {
  readonly #socket: Socket;
  #isClosed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** @throws NodeError NodeUnreachable, RequestFailed */
  static async open(
    node: BenchTarget,
    query: string,
    modules: EventSubscriberModules,
  ): Promise<EventSubscriber> {
    const { WebSocket } = await import('ws');
    const url = `${node.baseUrl.replace(/^http/, 'ws')}${EVENTS_PATH}${query}`;
    const socket = new WebSocket(url, { ...node.tls, handshakeTimeout: OPEN_MS });
    const stream = new EventSubscriber(socket);
    const opened = Promise.withResolvers<EventSubscriber>();
    socket.on('open', () => opened.resolve(stream));
    socket.on('error', (error) => {
      opened.reject(new NodeError('NodeUnreachable', `${url}: ${error.message}`));
    });
    socket.on('message', (data) => {
      const atMs = performance.now();
      const events: Wire[] = [];
      for (const item of JSON.parse(String(data)) as readonly unknown[]) {
        const fields = wire(item);
        if (typeof fields['seq'] === 'number') events.push(fields);
      }
      if (events.length > 0) modules.onEvents(events, atMs);
    });
    socket.on('close', (code, reason) => {
      if (stream.#isClosed) return;
      modules.onLost(new NodeError('RequestFailed', `the events ended (${code}): ${String(reason)}`));
    });
    return opened.promise;
  }

  close(): void {
    this.#isClosed = true;
    this.#socket.close(1000);
    // A node that does not answer must not keep the program.
    setTimeout(() => this.#socket.terminate(), OPEN_MS).unref();
  }
}

/** Milliseconds since the epoch of an event's time, to the microsecond. */
export function eventTimeMs(event: Wire): number {
  const text = wireText(event['time']);
  return Date.parse(`${text.slice(0, 19)}Z`) + Number(text.slice(19, 26)) * 1000;
}
