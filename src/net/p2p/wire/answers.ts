import type { Clock, Timer } from '../../../core/clock.ts';
import type { ErrorData } from '../../../core/errors.ts';
import type { Batch, Nack } from './frames.ts';
import type { WireLimits } from './limits.ts';

/** So many acknowledgements make a frame worth its cost: encrypted, written, read, and both ends woken for it. */
const ACKS_AT_ONCE = 64;
/** Refusals of one frame: they have text. */
const NACKS_OF_A_FRAME = 64;

/**
 * Answers to a peer's messages, until a frame takes them. An acknowledgement frees memory of the sender and moves
 * nothing, so it waits a little for a frame that goes anyway; a refusal does not.
 */
export class Answers {
  readonly #limits: Pick<WireLimits, 'acknowledgeMs' | 'frameAnswers'>;
  readonly #clock: Clock;
  readonly #onDue: () => void;
  #acks: number[] = [];
  #nacks: Nack[] = [];
  #timer: Timer | undefined;

  /** `onDue` is called when the answers that wait should have a frame. */
  constructor(
    limits: Pick<WireLimits, 'acknowledgeMs' | 'frameAnswers'>,
    modules: { readonly clock: Clock; readonly onDue: () => void },
  ) {
    this.#limits = limits;
    this.#clock = modules.clock;
    this.#onDue = modules.onDue;
  }

  add(id: number, error: ErrorData | undefined): void {
    if (error !== undefined) this.#nacks.push({ id, error });
    else if (this.#acks.push(id) < ACKS_AT_ONCE) {
      this.#timer ??= this.#clock.at(this.#clock.nowMs() + this.#limits.acknowledgeMs, () => {
        this.#timer = undefined;
        this.#onDue();
      });
      return;
    }
    this.#onDue();
  }

  /** As many as one frame may have. */
  take(): Pick<Batch, 'acks' | 'nacks'> {
    const { frameAnswers } = this.#limits;
    const nacks = this.#nacks.splice(0, NACKS_OF_A_FRAME);
    if (this.#acks.length > frameAnswers) return { acks: this.#acks.splice(0, frameAnswers), nacks };
    const acks = this.#acks;
    this.#acks = [];
    this.stop();
    return { acks, nacks };
  }

  /** Calls no more. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
