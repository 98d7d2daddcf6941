import { NO_BODY } from './exchange.ts';

/** Least memory of a body that comes in more than one piece. */
const LEAST_BYTES = 4096;

/** A body in one piece of memory: pieces of one byte each cost no more than that byte. */
export class BodyBytes {
  #memory: Uint8Array = NO_BODY;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** The first piece is kept as it is; later ones are copied. */
  append(piece: Uint8Array): void {
    if (this.#length === 0) {
      this.#memory = piece;
      this.#length = piece.byteLength;
      return;
    }
    const length = this.#length + piece.byteLength;
    if (length > this.#memory.byteLength) {
      const memory = Buffer.allocUnsafeSlow(Math.max(LEAST_BYTES, 2 * this.#memory.byteLength, length));
      memory.set(this.#memory.subarray(0, this.#length));
      this.#memory = memory;
    }
    this.#memory.set(piece, this.#length);
    this.#length = length;
  }

  /** All of it so far. */
  whole(): Uint8Array {
    return this.#memory.subarray(0, this.#length);
  }
}
