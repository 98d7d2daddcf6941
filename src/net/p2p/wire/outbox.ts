import { NodeError } from '../../../core/errors.ts';
import type { ByteBudget } from './budget.ts';
import { Fifo } from './fifo.ts';
import type { Envelope } from './frames.ts';
import type { MessageType } from './messages.ts';

/** How a message ended: nothing, or the error. */
export type Settle = (error: NodeError | undefined) => void;

/** A message that has been encoded and not been sent. */
export interface Outgoing {
  readonly type: MessageType;
  readonly code: number;
  readonly payload: Uint8Array | number;
  readonly attachment: Uint8Array | number | undefined;
  /** Absent where no answer is wanted. */
  readonly settle: Settle | undefined;
}

interface Sent {
  readonly settle: Settle;
  readonly bytes: number;
  readonly sentMs: number;
}

export interface OutboxBounds {
  readonly outboxMessages: number;
  readonly outboxBytes: number;
  readonly frameMessages: number;
  readonly frameTargetBytes: number;
}

/** What the receiver accepts without an answer. */
export interface Window {
  readonly windowMessages: number;
  readonly windowBytes: number;
}

/** Asks are many and large; what stops, accepts or ends an execution must not wait behind them, or for their room. */
const ASKS_SHARE = 1 / 2;

/**
 * Messages to one peer: those that wait, and those sent and not answered. Bounded by count and by bytes. Asks are
 * sent when nothing else waits, and leave half of every bound to the others.
 */
export class LinkOutbox {
  readonly #bounds: OutboxBounds;
  readonly #budget: ByteBudget;
  readonly #urgent = new Fifo<Outgoing>();
  readonly #asks = new Fifo<Outgoing>();
  #waitingBytes = 0;
  readonly #sent = new Map<number, Sent>();
  #sentBytes = 0;
  #lastId = 0;
  #sequence = 0;

  /** `budget` is what waits for all peers together. */
  constructor(bounds: OutboxBounds, budget: ByteBudget) {
    this.#bounds = bounds;
    this.#budget = budget;
  }

  /** Messages that wait. */
  get waiting(): number {
    return this.#urgent.length + this.#asks.length;
  }

  /** Messages sent and not answered. */
  get unanswered(): number {
    return this.#sent.size;
  }

  /** False when there is no room. */
  tryPush(message: Outgoing): boolean {
    const bytes = bytesOf(message);
    const isAsk = message.type === 'AskForBid';
    const share = isAsk ? ASKS_SHARE : 1;
    const { outboxMessages, outboxBytes } = this.#bounds;
    if (this.waiting >= outboxMessages * share || this.#waitingBytes + bytes > outboxBytes * share)
      return false;
    if (!this.#budget.tryTake(bytes)) return false;
    (isAsk ? this.#asks : this.#urgent).push(message);
    this.#waitingBytes += bytes;
    return true;
  }

  /** As many as fit a frame and the receiver's window, numbered. Empty when the window is full. */
  take(window: Window, nowMs: number, onSent: (type: MessageType) => void): Envelope[] {
    const { frameMessages, frameTargetBytes } = this.#bounds;
    const taken: Envelope[] = [];
    let frameBytes = 0;
    while (taken.length < frameMessages) {
      const lane = this.#urgent.length > 0 ? this.#urgent : this.#asks;
      const message = lane.peek();
      if (message === undefined) break;
      const bytes = bytesOf(message);
      if (taken.length > 0 && frameBytes + bytes > frameTargetBytes) break;
      const { type, code, payload, attachment, settle } = message;
      if (settle !== undefined && !this.#fits(bytes, window, lane === this.#asks ? ASKS_SHARE : 1)) break;
      lane.shift();
      this.#waitingBytes -= bytes;
      frameBytes += bytes;
      this.#sequence += 1;
      let id = 0;
      if (settle !== undefined) {
        this.#lastId += 1;
        id = this.#lastId;
        this.#sent.set(id, { settle, bytes, sentMs: nowMs });
        this.#sentBytes += bytes;
      }
      onSent(type);
      taken.push({ type: code, id, sequence: this.#sequence, payload, attachment, sender: undefined });
    }
    this.#budget.give(frameBytes);
    return taken;
  }

  /** The receiver has answered. The time the message was sent, or undefined where none waits for that answer. */
  answered(id: number, error: NodeError | undefined): number | undefined {
    const sent = this.#sent.get(id);
    if (sent === undefined) return undefined;
    this.#sent.delete(id);
    this.#sentBytes -= sent.bytes;
    sent.settle(error);
    return sent.sentMs;
  }

  /** The link is gone: whatever was not answered may have arrived or not. */
  fail(error: NodeError): void {
    this.#budget.give(this.#waitingBytes);
    this.#waitingBytes = 0;
    const sent = [...this.#sent.values()];
    this.#sent.clear();
    this.#sentBytes = 0;
    for (const { settle } of sent) settle(error);
    for (const lane of [this.#urgent, this.#asks]) {
      for (let message = lane.shift(); message !== undefined; message = lane.shift()) message.settle?.(error);
    }
  }

  #fits(bytes: number, { windowMessages, windowBytes }: Window, share: number): boolean {
    // One message always fits, so that nothing waits for ever.
    return (
      this.#sent.size === 0 ||
      (this.#sent.size < windowMessages * share && this.#sentBytes + bytes <= windowBytes * share)
    );
  }
}

function bytesOf({ payload, attachment }: Outgoing): number {
  return (
    (typeof payload === 'object' ? payload.length : 0) +
    (typeof attachment === 'object' ? attachment.length : 0)
  );
}

/** The outbox takes no more. */
export function busy(peer: string): NodeError {
  return new NodeError(
    'Busy',
    `node ${peer} does not take messages as fast as they are sent; try again later`,
  );
}
