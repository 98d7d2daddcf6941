import type { EventRole } from './event.ts';
import type { Group } from './group.ts';

/** How a subscription ended. */
export type SubscriptionEnd = 'complete' | 'client' | 'stalled';

/** One frame for one subscriber. */
export interface Frame {
  readonly data: Uint8Array;
  /** Events in it; 0 for a notice. */
  readonly events: number;
}

/** What a subscription asks of its hub. */
export interface SubscriptionHost {
  /** The next step of a cursor: a frame, nothing that passed the filter, or nothing at all yet. */
  step(subscription: Subscription): Frame | undefined | Promise<Frame | undefined> | 'wait';
  ended(subscription: Subscription, how: SubscriptionEnd): void;
}

/** A cursor in the node's events. It holds no events: what it has not asked for is nobody's. */
export class Subscription {
  readonly group: Group;
  /** Everything below it was delivered or did not pass the filter. */
  cursor: number;
  /** Where it ends; infinity where it follows. */
  readonly until: number;
  /** Its reader knows where it began. */
  greeted = false;
  /** Gaps of a role were told up to here. */
  readonly told: Record<EventRole, number> = { requester: 0, compute: 0 };
  /** When the last frame was handed out, and nothing was asked for since; 0 otherwise. Milliseconds of performance.now. */
  handedAt = 0;
  /** When the last frame was handed out. */
  lastAt: number = performance.now();
  readonly #host: SubscriptionHost;
  readonly #onEnd: (how: SubscriptionEnd) => void;
  #wake: ((frame: Frame | undefined) => void) | undefined;
  #end: SubscriptionEnd | undefined;

  constructor(
    options: { readonly group: Group; readonly cursor: number; readonly until: number },
    modules: { readonly host: SubscriptionHost; readonly onEnd?: (how: SubscriptionEnd) => void },
  ) {
    this.group = options.group;
    this.cursor = options.cursor;
    this.until = options.until;
    this.#host = modules.host;
    this.#onEnd = modules.onEnd ?? (() => undefined);
  }

  /** Why it ended; undefined while it goes on. */
  get end(): SubscriptionEnd | undefined {
    return this.#end;
  }

  /** The next frame, when there is one; undefined at the end. One call at a time. */
  async next(): Promise<Frame | undefined> {
    this.handedAt = 0;
    while (this.#end === undefined) {
      if (this.cursor >= this.until) {
        this.close('complete');
        break;
      }
      const step = this.#host.step(this);
      const frame = step === 'wait' ? await this.#wait() : step instanceof Promise ? await step : step;
      if (frame !== undefined) {
        this.lastAt = performance.now();
        this.handedAt = this.lastAt;
        return frame;
      }
    }
    return undefined;
  }

  /** Hands a frame to one that waits; without a frame it looks itself. */
  wake(frame: Frame | undefined): void {
    this.group.waiting.delete(this);
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.(frame);
  }

  /** Ends it. A frame that was handed out may still be on its way. */
  close(how: SubscriptionEnd): void {
    if (this.#end !== undefined) return;
    this.#end = how;
    this.#host.ended(this, how);
    this.wake(undefined);
    this.#onEnd(how);
  }

  #wait(): Promise<Frame | undefined> {
    this.group.waiting.add(this);
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
