import type { Stream } from '@libp2p/interface';
import { WireFault } from './fault.ts';
import { FlowWindow } from './flow-window.ts';
import { FrameReader } from './frame-reader.ts';
import { withLength } from './frames.ts';
import { MsgpackReader, pack } from './msgpack.ts';
import { Port } from './port.ts';

/** A frame that says how many bytes have been taken. */
const TAKEN_BYTES = 32;
/** Between two pieces, where messages pass too: without it encryption takes all the time both ends have. */
const POLITE_MS = 1;

export interface PacedWriterOptions {
  /** A reader that takes nothing for so long is given up. */
  readonly idleMs: number;
  /** Bytes of the reader; those that say what it has taken belong into `taken`. */
  readonly onData: (chunk: Uint8Array) => void;
  /** True while messages pass over the same connection. */
  readonly isShared: () => boolean;
  readonly onClosed?: (error: Error | undefined) => void;
}

/** What the reader of a large transfer says: so many of its bytes have been taken. */
export function takenFrame(total: number): Uint8Array {
  return withLength(pack([total]));
}

/**
 * Writes a large transfer piece by piece, each in a turn of the loop of its own, with a pause where messages pass
 * over the same connection, and only as much ahead of its reader as keeps queues short.
 */
export class PacedWriter {
  readonly port: Port;
  readonly #idleMs: number;
  readonly #isShared: () => boolean;
  readonly #flow = new FlowWindow();
  readonly #reader = new FrameReader(TAKEN_BYTES);
  #isBlocked = false;
  #wake: (() => void) | undefined;
  #error: Error | undefined;
  #isEnding = false;

  constructor(stream: Stream, options: PacedWriterOptions) {
    this.#idleMs = options.idleMs;
    this.#isShared = options.isShared;
    this.port = new Port(stream, {
      data: options.onData,
      drained: () => {
        this.#isBlocked = false;
        this.#wake?.();
      },
      ended: () => undefined,
      closed: (error) => {
        if (error !== undefined || !this.#isEnding)
          this.#error ??= error ?? new Error('the stream was closed');
        this.#wake?.();
        options.onClosed?.(error);
      },
    });
  }

  /** Bytes of the reader that say how much it has taken. @throws WireFault */
  taken(chunk: Uint8Array): void {
    this.#reader.push(chunk);
    for (let bytes = this.#reader.next(); bytes !== undefined; bytes = this.#reader.next()) {
      const reader = new MsgpackReader(bytes);
      if (reader.array('taken') < 1) throw new WireFault('malformed', 'taken: a number was expected');
      this.#flow.taken(reader.uint('taken'), performance.now());
    }
    this.#wake?.();
  }

  /** Resolves when more may be written. Rejects when the stream is closed, or its reader stalls. */
  async write(bytes: Uint8Array): Promise<void> {
    while (this.#isBlocked || this.#flow.isFull) await this.#woken();
    this.#check();
    this.#isBlocked = !this.port.send(bytes);
    this.#flow.sent(bytes.length, performance.now());
    await new Promise((resolve) => {
      if (this.#isShared()) setTimeout(resolve, POLITE_MS);
      else setImmediate(resolve);
    });
    this.#check();
  }

  /** Resolves when the reader has taken everything. Rejects when it has not. */
  async end(ms: number): Promise<void> {
    while (!this.#flow.isEmpty) await this.#woken();
    this.#isEnding = true;
    await this.port.endWriting(ms);
    this.#check();
  }

  abort(error: Error): void {
    this.#error ??= error;
    this.port.abort(error);
    this.#wake?.();
  }

  async #woken(): Promise<void> {
    this.#check();
    const timer = setTimeout(() => {
      this.abort(new Error(`nothing was read for ${this.#idleMs} ms`));
    }, this.#idleMs);
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    clearTimeout(timer);
    this.#wake = undefined;
    this.#check();
  }

  #check(): void {
    if (this.#error !== undefined) throw this.#error;
  }
}
