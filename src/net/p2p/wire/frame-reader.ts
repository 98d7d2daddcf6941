import { WireFault } from './fault.ts';
import { LENGTH_BYTES } from './frames.ts';

/** What a frame's buffer begins with; it doubles while bytes come, so that a claimed length alone takes little. */
const FIRST_BYTES = 65_536;
const EMPTY: Uint8Array = new Uint8Array(0);

/**
 * Cuts a byte stream into length-prefixed frames, however it arrives. A frame that lies in one chunk is a view of
 * it; one that does not is copied together once.
 */
export class FrameReader {
  readonly #maxBytes: number;
  /** What has come and is not part of a frame yet. */
  #chunk: Uint8Array = EMPTY;
  /** A frame of which a part has come. */
  #partial: Buffer | undefined;
  #filled = 0;
  #length = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** True when the stream may end here. */
  get isEmpty(): boolean {
    return this.#chunk.length === 0 && this.#partial === undefined;
  }

  /** Bytes that have come. Everything complete must have been taken by `next` before. */
  push(chunk: Uint8Array): void {
    this.#chunk = this.#chunk.length === 0 ? chunk : Buffer.concat([this.#chunk, chunk]);
  }

  /** The next complete frame without its length. @throws WireFault oversized, malformed */
  next(): Uint8Array | undefined {
    if (this.#partial !== undefined) return this.#fill(this.#partial);
    const chunk = this.#chunk;
    if (chunk.length < LENGTH_BYTES) return undefined;
    const length =
      (chunk[0] ?? 0) * 0x100_0000 + (chunk[1] ?? 0) * 0x1_0000 + (chunk[2] ?? 0) * 0x100 + (chunk[3] ?? 0);
    if (length > this.#maxBytes) {
      throw new WireFault('oversized', `a frame of ${length} bytes; ${this.#maxBytes} are allowed`);
    }
    if (length === 0) throw new WireFault('malformed', 'a frame of 0 bytes');
    const end = LENGTH_BYTES + length;
    if (chunk.length >= end) {
      this.#chunk = chunk.subarray(end);
      return chunk.subarray(LENGTH_BYTES, end);
    }
    this.#length = length;
    this.#filled = 0;
    this.#chunk = chunk.subarray(LENGTH_BYTES);
    this.#partial = Buffer.allocUnsafe(Math.min(length, Math.max(FIRST_BYTES, this.#chunk.length)));
    return this.#fill(this.#partial);
  }

  /** Everything that came and was not taken, as it came: what follows a header may be no frame. */
  rest(): Uint8Array {
    const rest = this.#chunk;
    this.#chunk = EMPTY;
    return rest;
  }

  #fill(partial: Buffer): Uint8Array | undefined {
    const taken = Math.min(this.#length - this.#filled, this.#chunk.length);
    let buffer = partial;
    if (this.#filled + taken > buffer.length) {
      const size = Math.min(this.#length, Math.max(buffer.length * 2, this.#filled + taken));
      buffer = Buffer.allocUnsafe(size);
      partial.copy(buffer, 0, 0, this.#filled);
      this.#partial = buffer;
    }
    buffer.set(this.#chunk.subarray(0, taken), this.#filled);
    this.#filled += taken;
    this.#chunk = this.#chunk.subarray(taken);
    if (this.#filled < this.#length) return undefined;
    this.#partial = undefined;
    return buffer.subarray(0, this.#length);
  }
}
