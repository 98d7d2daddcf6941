import { NodeError } from '../../../core/errors.ts';
import type { ByteBudget } from './budget.ts';
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

/** Messages to one peer: those that wait, and those sent and not answered. Bounded by count and by bytes. */
export class LinkOutbox {
  readonly #bounds: OutboxBounds;
  readonly #budget: ByteBudget;
  /** What has been taken leaves a hole, until holes are the most. */
  readonly #waiting: (Outgoing | undefined)[] = [];
  #first = 0;
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
    return this.#waiting.length - this.#first;
  }

  /** Messages sent and not answered. */
  get unanswered(): number {
    return this.#sent.size;
  }

  /** False when there is no room. */
  tryPush(message: Outgoing): boolean {
    const bytes = bytesOf(message);
    const { outboxMessages, outboxBytes } = this.#bounds;
    if (this.waiting >= outboxMessages || this.#waitingBytes + bytes > outboxBytes) return false;
    if (!this.#budget.tryTake(bytes)) return false;
    this.#waiting.push(message);
    this.#waitingBytes += bytes;
    return true;
  }

  /** As many as fit a frame and the receiver's window, numbered. Empty when the window is full. */
  take(window: Window, nowMs: number, onSent: (type: MessageType) => void): Envelope[] {
    const { frameMessages, frameTargetBytes } = this.#bounds;
    const taken: Envelope[] = [];
    let frameBytes = 0;
    while (taken.length < frameMessages) {
      const message = this.#waiting[this.#first];
      if (message === undefined) break;
      const bytes = bytesOf(message);
      if (taken.length > 0 && frameBytes + bytes > frameTargetBytes) break;
      const { settle } = message;
      if (settle !== undefined && !this.#fits(bytes, window)) break;
      this.#waiting[this.#first] = undefined;
      this.#first += 1;
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
      onSent(message.type);
      const { code, payload, attachment } = message;
      taken.push({ type: code, id, sequence: this.#sequence, payload, attachment, sender: undefined });
    }
    this.#budget.give(frameBytes);
    this.#compact();
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
    const waiting = this.#waiting.splice(0).slice(this.#first);
    this.#first = 0;
    this.#budget.give(this.#waitingBytes);
    this.#waitingBytes = 0;
    const sent = [...this.#sent.values()];
    this.#sent.clear();
    this.#sentBytes = 0;
    for (const { settle } of sent) settle(error);
    for (const message of waiting) message?.settle?.(error);
  }

  #fits(bytes: number, { windowMessages, windowBytes }: Window): boolean {
    // One message always fits, so that nothing waits for ever.
    return (
      this.#sent.size === 0 || (this.#sent.size < windowMessages && this.#sentBytes + bytes <= windowBytes)
    );
  }

  /** Drops what has been taken, now and then, so that taking stays cheap. */
  #compact(): void {
    if (this.#first === this.#waiting.length) {
      this.#waiting.length = 0;
      this.#first = 0;
    } else if (this.#first > 1024 && this.#first * 2 > this.#waiting.length) {
      this.#waiting.splice(0, this.#first);
      this.#first = 0;
    }
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
