import type { Stream } from '@libp2p/interface';
import { Port } from './port.ts';

export interface PacedWriterOptions {
  /** A reader that takes nothing for so long is given up. */
  readonly idleMs: number;
  readonly onData: (chunk: Uint8Array) => void;
  readonly onClosed?: (error: Error | undefined) => void;
}

/** Writes to a stream as fast as its reader reads, one piece in one turn of the loop, so that others pass between. */
export class PacedWriter {
  readonly port: Port;
  readonly #idleMs: number;
  #wake: (() => void) | undefined;
  #error: Error | undefined;
  #isEnding = false;
  #onceClosed: (() => void) | undefined;

  constructor(stream: Stream, options: PacedWriterOptions) {
    this.#idleMs = options.idleMs;
    this.port = new Port(stream, {
      data: options.onData,
      drained: () => this.#wake?.(),
      ended: () => undefined,
      closed: (error) => {
        if (error !== undefined || !this.#isEnding)
          this.#error ??= error ?? new Error('the stream was closed');
        this.#wake?.();
        options.onClosed?.(error);
        this.#onceClosed?.();
      },
    });
  }

  /** Resolves when more may be written. Rejects when the stream is closed, or its reader stalls. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#check();
    const isOpen = this.port.send(bytes);
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      if (isOpen) setImmediate(resolve);
      else {
        timer = setTimeout(() => {
          this.abort(new Error(`nothing was read for ${this.#idleMs} ms`));
        }, this.#idleMs);
      }
    });
    clearTimeout(timer);
    this.#wake = undefined;
    this.#check();
  }

  /** All is written. Rejects when that was in vain. */
  async end(ms: number): Promise<void> {
    this.#isEnding = true;
    await this.port.endWriting(ms);
    this.#check();
  }

  #check(): void {
    if (this.#error !== undefined) throw this.#error;
  }

  /** Calls back when the stream is closed. */
  onceClosed(callback: () => void): void {
    if (this.port.isClosed) callback();
    else this.#onceClosed = callback;
  }

  abort(error: Error): void {
    this.#error ??= error;
    this.port.abort(error);
    this.#wake?.();
  }
}
