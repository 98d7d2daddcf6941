import type { Clock, Timer } from '../../../core/clock.ts';
import { toFault, type WireFault } from './fault.ts';
import { FrameReader } from './frame-reader.ts';
import { decodeFrame, type Frame } from './frames.ts';
import type { WireLimits } from './limits.ts';
import type { Port } from './port.ts';

export type LinkReaderLimits = Pick<
  WireLimits,
  'frameBytes' | 'frameMessages' | 'frameAnswers' | 'turnMessages'
>;

export interface LinkReaderModules {
  readonly port: Pick<Port, 'pause' | 'resume'>;
  readonly clock: Clock;
  /** Handles a frame; how much work it was, in messages. @throws WireFault */
  readonly onFrame: (frame: Frame) => number;
  /** True when as much is being handled as should be. */
  readonly isFull: () => boolean;
  readonly onFault: (fault: WireFault) => void;
}

/** Frames of one link, as fast as they may be handled: beyond that, nothing is read. */
export class LinkReader {
  readonly #limits: LinkReaderLimits;
  readonly #modules: LinkReaderModules;
  readonly #frames: FrameReader;
  #isHeld = false;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(limits: LinkReaderLimits, modules: LinkReaderModules) {
    this.#limits = limits;
    this.#modules = modules;
    this.#frames = new FrameReader(limits.frameBytes);
  }

  /** True while nothing is read for reasons of this side. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** True when the stream may end here. */
  get isComplete(): boolean {
    return this.#frames.isEmpty;
  }

  /** Bytes came. */
  push(chunk: Uint8Array): void {
    if (this.#isStopped) return;
    this.#frames.push(chunk);
    this.#read();
  }

  /** Reads nothing for so long. False when that is so already. */
  holdFor(ms: number): boolean {
    if (this.#timer !== undefined) return false;
    const { clock } = this.#modules;
    this.#hold();
    this.#timer = clock.at(clock.nowMs() + ms, () => {
      this.#timer = undefined;
      this.readOn();
    });
    return true;
  }

  /** Goes on after a hold whose reason has passed: first with what has come already, then with the stream. */
  readOn(): void {
    if (!this.#isHeld || this.#isStopped || this.#timer !== undefined || this.#modules.isFull()) return;
    this.#isHeld = false;
    this.#read();
    if (!this.#isHeld && !this.#isStopped) this.#modules.port.resume();
  }

  /** Nothing is handled any more. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #read(): void {
    const { onFrame, isFull, onFault } = this.#modules;
    let handled = 0;
    try {
      while (!this.#isStopped && !this.#isHeld) {
        const bytes = this.#frames.next();
        if (bytes === undefined) return;
        handled += onFrame(decodeFrame(bytes, this.#limits));
        if (isFull()) this.#hold();
        else if (handled >= this.#limits.turnMessages) {
          // Other connections have their turn first.
          this.#hold();
          setImmediate(() => this.readOn());
        }
      }
    } catch (thrown) {
      onFault(toFault(thrown));
    }
  }

  #hold(): void {
    this.#isHeld = true;
    this.#modules.port.pause();
  }
}
