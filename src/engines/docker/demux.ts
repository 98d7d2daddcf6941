import { NodeError } from '../../core/errors.ts';

const HEADER_BYTES = 8;
const STDERR = 2;

/** What one chunk of a log stream held, in order within each stream. */
export interface Demultiplexed {
  readonly stdout: readonly Uint8Array[];
  readonly stderr: readonly Uint8Array[];
}

/**
 * Takes apart Docker's multiplexed log stream: frames of a type byte (0 stdin, 1 stdout, 2 stderr), three zero
 * bytes, a big-endian 32-bit length and so many bytes (Docker Engine API, "Attach to a container").
 * Linear in the bytes whatever the frames' sizes; keeps at most one header between chunks.
 */
export class LogDemuxer {
  readonly #header: Uint8Array = new Uint8Array(HEADER_BYTES);
  #headerFill = 0;
  #payloadLeft = 0;
  #toStderr = false;

  /**
   * The payloads in `chunk`, as views of it.
   * @throws NodeError EngineFailed when the bytes are no such stream
   */
  push(chunk: Uint8Array): Demultiplexed {
    const stdout: Uint8Array[] = [];
    const stderr: Uint8Array[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#payloadLeft === 0) {
        const taken = Math.min(HEADER_BYTES - this.#headerFill, chunk.length - at);
        this.#header.set(chunk.subarray(at, at + taken), this.#headerFill);
        this.#headerFill += taken;
        at += taken;
        if (this.#headerFill < HEADER_BYTES) break;
        this.#readHeader();
        continue;
      }
      const end = Math.min(at + this.#payloadLeft, chunk.length);
      (this.#toStderr ? stderr : stdout).push(chunk.subarray(at, end));
      this.#payloadLeft -= end - at;
      at = end;
    }
    return { stdout, stderr };
  }

  /** True when the stream may end here: not within a frame. */
  get atBoundary(): boolean {
    return this.#payloadLeft === 0 && this.#headerFill === 0;
  }

  #readHeader(): void {
    const [type = 0, a = 0, b = 0, c = 0, l3 = 0, l2 = 0, l1 = 0, l0 = 0] = this.#header;
    this.#headerFill = 0;
    if (type > STDERR || a !== 0 || b !== 0 || c !== 0) {
      throw new NodeError(
        'EngineFailed',
        `Docker's log stream has a frame of type ${type} (expected 0, 1 or 2, then three zero bytes)`,
      );
    }
    this.#toStderr = type === STDERR;
    this.#payloadLeft = l3 * 0x1000000 + (l2 << 16) + (l1 << 8) + l0;
  }
}
