import { setTimeout as delay } from 'node:timers/promises';
import { NodeError } from '../core/errors.ts';
import type { ApiClient, Query } from './client.ts';
import { parseJson } from './json.ts';
import { SocketClosed } from './socket-frames.ts';
import { type Wire, wire, wireItems, wireNumber, wireText } from './wire.ts';

const PATH = '/api/v1/events';
const PROTOCOL = 'bacalhau.events.v1+json';
/** The node says something every 15 s, whatever happens. */
const SILENCE_MS = 50_000;
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 15_000;
/** The node refuses for good: a bad filter, or not for this client. */
const REFUSED: ReadonlySet<number> = new Set([4400, 4403]);
/** The node does not know the seq that it is to go on from. */
const BEYOND = 4416;

/** Where a stream begins. */
export interface EventStart {
  readonly from?: number;
  readonly since?: string;
}

export interface EventStreamOptions {
  readonly filter: Query;
  readonly start: EventStart;
  readonly follow: boolean;
}

export interface EventStreamModules {
  readonly client: ApiClient;
  readonly signal: AbortSignal;
  /** Told what goes on with the connection. */
  readonly note: (text: string) => void;
}

/** One element of a frame: an event, or a gap. */
export type EventElement =
  | { readonly kind: 'event'; readonly seq: number; readonly value: Wire }
  | { readonly kind: 'gap'; readonly value: Wire };

/**
 * The node's events, over as many connections as it takes: one that is lost is made again, behind the last event.
 * @throws NodeError when the first connection can not be made, or the node refuses what is asked for
 */
export async function* eventStream(
  options: EventStreamOptions,
  modules: EventStreamModules,
): AsyncGenerator<EventElement> {
  const { client, signal, note } = modules;
  let start: EventStart = options.start;
  let isLost = false;
  let waitMs = FIRST_WAIT_MS;
  let refusal = '';
  while (!signal.aborted) {
    try {
      const query = { ...options.filter, ...start, follow: String(options.follow) };
      const frames = client.frames(PATH, query, { protocols: [PROTOCOL], silenceMs: SILENCE_MS });
      for await (const frame of frames) {
        if (isLost) note('Connected again.');
        isLost = false;
        waitMs = FIRST_WAIT_MS;
        for (const element of wireItems(parseJson(frame))) {
          const seq = wireNumber(element['seq']);
          const at = wireNumber(element['at']);
          if (seq > 0) yield { kind: 'event', seq, value: element };
          else if (element['gap'] !== undefined) yield { kind: 'gap', value: wire(element['gap']) };
          else if (element['error'] !== undefined) refusal = wireText(wire(element['error'])['message']);
          if (seq > 0 || at > 0) start = { from: Math.max(seq, at) + 1 };
        }
      }
      return;
    } catch (thrown) {
      if (signal.aborted) return;
      const isClosed = thrown instanceof SocketClosed;
      if (isClosed && REFUSED.has(thrown.code)) {
        throw new NodeError('RequestFailed', refusal === '' ? thrown.reason : refusal);
      }
      const isUnknown = isClosed && thrown.code === BEYOND;
      if (isUnknown && start.from === options.start.from) throw new NodeError('RequestFailed', refusal);
      // Nothing was ever there to be lost.
      if (!isLost && !isClosed && start === options.start) throw thrown;
      if (isUnknown) {
        note(`The node has other events now: ${refusal}. All that it has follow.`);
        start = { from: 1 };
      }
      isLost = true;
      note(`Connection lost (${reasonOf(thrown)}); trying again in ${waitMs / 1000} s.`);
      await delay(waitMs, undefined, { signal }).catch(() => undefined);
      waitMs = Math.min(LONGEST_WAIT_MS, waitMs * 2);
    }
  }
}

function reasonOf(thrown: unknown): string {
  if (thrown instanceof SocketClosed && thrown.code === 1006) return 'cut off';
  return thrown instanceof Error ? thrown.message : String(thrown);
}
