import type { Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface';

/** What a port tells its owner. */
export interface PortEvents {
  /** Bytes came. Called from within libp2p's reading: it must not throw. */
  data(chunk: Uint8Array): void;
  /** After a `send` that said false: there is room again. */
  drained(): void;
  /** The peer sends no more, and everything it sent has been handed out. */
  ended(): void;
  /** Nothing can be sent or received any more; the error of a reset. Once. */
  closed(error: Error | undefined): void;
}

/**
 * A libp2p stream with back-pressure that holds both ways. Pausing stops yamux's window updates, so the peer
 * stops after at most one window, which is smaller than the read buffer (host.ts).
 */
export class Port {
  readonly #stream: Stream;
  readonly #events: PortEvents;
  #wantsPause = false;
  #isResuming = false;
  #isClosed = false;
  /** The owner waits for `drained`. */
  #isFull = false;

  constructor(stream: Stream, events: PortEvents) {
    this.#stream = stream;
    this.#events = events;
    stream.addEventListener('drain', this.#onRoom);
    stream.addEventListener('idle', this.#onRoom);
    stream.addEventListener('end', this.#onEnd);
    stream.addEventListener('close', this.#onClose);
    stream.addEventListener('message', this.#onMessage);
    if (stream.status !== 'open') queueMicrotask(() => this.#finish(undefined));
  }

  /** False: no more before `drained`. What was given is sent all the same, or lost with the stream. */
  send(bytes: Uint8Array): boolean {
    if (this.#isClosed || this.#stream.writeStatus !== 'writable') return false;
    this.#isFull = !this.#stream.send(bytes);
    return !this.#isFull;
  }

  /** Hands out nothing more until `resume`. */
  pause(): void {
    this.#wantsPause = true;
    // Within resume(): yamux would send window updates all the same, so it is done after it.
    if (!this.#isResuming) this.#pauseStream();
  }

  resume(): void {
    this.#wantsPause = false;
    if (this.#isClosed || this.#isResuming || this.#stream.readStatus !== 'paused') return;
    this.#isResuming = true;
    try {
      this.#stream.resume();
    } finally {
      this.#isResuming = false;
    }
    if (this.#wantsPause) this.#pauseStream();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** True while nothing is handed out because the owner wants it so. */
  get isPaused(): boolean {
    return this.#wantsPause;
  }

  /** Sends what is left and ends the sending half; resets after `ms`. */
  async endWriting(ms: number): Promise<void> {
    if (this.#isClosed) return;
    try {
      await this.#stream.close({ signal: AbortSignal.timeout(ms) });
    } catch (thrown) {
      this.abort(thrown instanceof Error ? thrown : new Error(String(thrown)));
    }
  }

  /** Sends what is left, within `ms`, and ends both halves: a peer that goes on sending is not listened to. */
  async shut(ms: number): Promise<void> {
    await this.endWriting(ms);
    this.abort(new Error('the stream is done'));
  }

  /** Ends both halves at once; the peer sees a reset. */
  abort(error: Error): void {
    if (!this.#isClosed) this.#stream.abort(error);
  }

  #pauseStream(): void {
    const { readStatus } = this.#stream;
    if (!this.#isClosed && readStatus === 'readable') this.#stream.pause();
  }

  readonly #onMessage = (event: StreamMessageEvent): void => {
    const { data } = event;
    this.#events.data(data instanceof Uint8Array ? data : data.subarray());
  };

  /**
   * Every stream of a connection hears that its socket has drained, those with an exhausted window too: only an empty
   * buffer is room. Looked at after the stream has sent what it had.
   */
  readonly #onRoom = (): void => {
    if (!this.#isFull) return;
    queueMicrotask(() => {
      const { writeBufferLength, writableNeedsDrain } = this.#stream;
      if (!this.#isFull || this.#isClosed || writeBufferLength > 0 || writableNeedsDrain) return;
      this.#isFull = false;
      this.#events.drained();
    });
  };

  readonly #onEnd = (): void => this.#events.ended();

  readonly #onClose = (event: StreamCloseEvent): void => this.#finish(event.error);

  #finish(error: Error | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#stream.removeEventListener('message', this.#onMessage);
    this.#stream.removeEventListener('drain', this.#onRoom);
    this.#stream.removeEventListener('idle', this.#onRoom);
    this.#stream.removeEventListener('end', this.#onEnd);
    this.#stream.removeEventListener('close', this.#onClose);
    this.#events.closed(error);
  }
}
