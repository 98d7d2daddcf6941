import { WireFault } from './fault.ts';
import type { WireLimits } from './limits.ts';

/** What a link is like at a tick. */
export interface PulseState {
  readonly isGreeting: boolean;
  /** Nothing is read because this side wants it so. */
  readonly isHeld: boolean;
  /** The stream takes nothing more. */
  readonly isBlocked: boolean;
}

/**
 * Signs of life of one link. Counts ticks, not time: a loop that stood still for a while, this one, blames nobody,
 * and a peer that is busy is heard by whatever it sends.
 */
export class Pulse {
  readonly #limits: Pick<WireLimits, 'pingMs' | 'silenceMs' | 'stalledMs' | 'helloMs'>;
  #heard = false;
  #spoke = false;
  #silent = 0;
  #quiet = 0;
  #blocked = 0;
  #ticks = 0;
  #pings = 0;
  #pingedMs = 0;
  #rttMs: number | undefined;

  constructor(limits: Pick<WireLimits, 'pingMs' | 'silenceMs' | 'stalledMs' | 'helloMs'>) {
    this.#limits = limits;
  }

  /** Round trip of the last ping, in milliseconds. */
  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  /** Bytes of the peer came. */
  hear(): void {
    this.#heard = true;
  }

  /** Something was sent. */
  speak(): void {
    this.#spoke = true;
  }

  /** The stream takes more again. */
  drained(): void {
    this.#blocked = 0;
  }

  /** Called every `tickMs`. The number of a ping to send, if one is due. @throws WireFault hello, silent, stalled */
  tick(tickMs: number, { isGreeting, isHeld, isBlocked }: PulseState): number | undefined {
    const { pingMs, silenceMs, stalledMs, helloMs } = this.#limits;
    this.#ticks += 1;
    this.#silent = this.#heard || isHeld ? 0 : this.#silent + 1;
    this.#quiet = this.#spoke ? 0 : this.#quiet + 1;
    this.#blocked = isBlocked ? this.#blocked + 1 : 0;
    this.#heard = false;
    this.#spoke = false;
    if (isGreeting && this.#ticks * tickMs >= helloMs) {
      throw new WireFault('hello', `no hello within ${helloMs} ms`);
    }
    if (this.#silent * tickMs >= silenceMs) {
      throw new WireFault('silent', `no sign of life for ${silenceMs} ms`);
    }
    if (this.#blocked * tickMs >= stalledMs) {
      throw new WireFault('stalled', `the peer has read nothing for ${stalledMs} ms`);
    }
    if (isGreeting || isBlocked || this.#quiet * tickMs < pingMs) return undefined;
    this.#pings += 1;
    this.#pingedMs = performance.now();
    return this.#pings;
  }

  /** The peer has answered a ping. */
  pong(number: number): void {
    if (number === this.#pings) this.#rttMs = performance.now() - this.#pingedMs;
  }
}
