import { get, type IncomingMessage } from 'node:http';
import { unpack } from 'msgpackr';
import { WebSocket } from 'ws';
import type { Gap, NodeEvent } from '../../src/events/event.ts';

export type ClientEncoding = 'json' | 'msgpack' | 'sse';

type Element = Partial<NodeEvent> & { readonly gap?: Gap; readonly at?: number; readonly error?: unknown };

export interface EventClientOptions {
  /** Asked for every connection: a node that was restarted may have another. */
  readonly origin: () => string;
  readonly encoding: ClientEncoding;
  /** "job=…&type=…" without the place to begin. */
  readonly search?: string;
  /** Where the first connection begins. */
  readonly from: number;
  readonly onEvents?: (events: readonly NodeEvent[]) => void;
}

const AGAIN_MS = 20;

/** A subscriber that comes again behind what it has got, whenever its connection ends. */
export class EventClient {
  readonly events: NodeEvent[] = [];
  readonly gaps: Gap[] = [];
  /** Error elements, and what else should not be. */
  readonly faults: unknown[] = [];
  /** Connections that were opened. */
  connections = 0;
  readonly #options: EventClientOptions;
  #next: number;
  #cut: () => void = () => undefined;
  #stopped = false;
  #again: NodeJS.Timeout | undefined;

  constructor(options: EventClientOptions) {
    this.#options = options;
    this.#next = options.from;
    this.#connect();
  }

  /** Where it would go on. */
  get next(): number {
    return this.#next;
  }

  /** Breaks the connection without a word; it comes again by itself. */
  cut(): void {
    this.#cut();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#again);
    this.#cut();
  }

  #connect(): void {
    const { origin, encoding, search = '' } = this.#options;
    this.connections += 1;
    const base = `${origin()}/api/v1/events?${search}`;
    if (encoding === 'sse') this.#stream(base);
    else this.#socket(`${base.replace(/^http/, 'ws')}&from=${this.#next}`, encoding);
  }

  #ended(): void {
    this.#cut = () => undefined;
    if (!this.#stopped) this.#again = setTimeout(() => this.#connect(), AGAIN_MS);
  }

  #socket(url: string, encoding: 'json' | 'msgpack'): void {
    const socket = new WebSocket(url, [`bacalhau.events.v1+${encoding}`]);
    let isCut = false;
    this.#cut = () => {
      isCut = true;
      socket.terminate();
    };
    socket.on('message', (data: Buffer, binary) => {
      // What comes after the cut was never read.
      if (!isCut) this.#take((binary ? unpack(data) : JSON.parse(data.toString())) as Element[]);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => this.#ended());
  }

  #stream(url: string): void {
    const headers = { 'last-event-id': String(this.#next - 1) };
    const sent = get(url, { headers, agent: false }, (reply: IncomingMessage) => {
      let text = '';
      reply.setEncoding('utf8');
      reply.on('data', (chunk: string) => {
        text += chunk;
        const blocks = text.split('\n\n');
        text = blocks.pop() ?? '';
        this.#take(blocks.flatMap(elementOf));
      });
      reply.on('error', () => undefined);
    });
    sent.on('error', () => undefined);
    sent.on('close', () => this.#ended());
    this.#cut = () => sent.destroy();
  }

  #take(elements: readonly Element[]): void {
    const events: NodeEvent[] = [];
    for (const element of elements) {
      if (element.gap !== undefined) this.gaps.push(element.gap);
      else if (element.at !== undefined) this.#next = element.at + 1;
      else if (element.seq === undefined) this.faults.push(element);
      else {
        events.push(element as NodeEvent);
        this.#next = element.seq + 1;
      }
    }
    this.events.push(...events);
    if (events.length > 0) this.#options.onEvents?.(events);
  }
}

/** The element of one block of a Server-Sent Events stream. */
function elementOf(block: string): Element[] {
  const fields = new Map(
    block.split('\n').map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1).trimStart()] as const;
    }),
  );
  const data = fields.get('data');
  const id = fields.get('id');
  if (data === undefined) return id === undefined ? [] : [{ at: Number(id) }];
  const value = JSON.parse(data) as Element;
  if (fields.get('event') === 'gap') return [{ gap: value as unknown as Gap }];
  return id === undefined ? [{ error: value }] : [value];
}

/** Everything that the node has stored, by a subscription of its own. */
export async function storedEvents(origin: string, search = ''): Promise<NodeEvent[]> {
  const url = `${origin.replace(/^http/, 'ws')}/api/v1/events?from=1&follow=false&${search}`;
  const socket = new WebSocket(url);
  const events: NodeEvent[] = [];
  socket.on('message', (data: Buffer) => {
    const elements = JSON.parse(data.toString()) as Element[];
    events.push(...elements.filter((element): element is NodeEvent => element.seq !== undefined));
  });
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', (code, reason) => {
      if (code === 1000) resolve();
      else reject(new Error(`closed with ${code} ${reason.toString()}`));
    });
  });
  return events;
}
