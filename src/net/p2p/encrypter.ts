import { type NoiseComponents, noise } from '@chainsafe/libp2p-noise';
import type { ConnectionEncrypter } from '@libp2p/interface';

/** Bytes before an encrypted message: its length. */
const LENGTH_BYTES = 2;
const EMPTY: Uint8Array = new Uint8Array(0);

/** A chunk as libp2p hands it over: bytes, or a list of them. */
type Chunk = Uint8Array | { subarray(): Uint8Array };

/**
 * Cuts what arrives into noise messages. One that lies in one chunk is a view of it; one that does not is copied
 * together once. js-libp2p's own decoder ends every chunk with an error that it catches, whose stack costs more than
 * the decryption of a small message.
 */
export class NoiseMessages {
  /** What has come of the next message's length, or nothing. */
  #head: Uint8Array = EMPTY;
  /** A message of which a part has come. */
  #partial: Uint8Array | undefined;
  #filled = 0;

  /** Messages that are complete with this chunk. */
  decode(chunk: Chunk): Uint8Array[] {
    let bytes = chunk instanceof Uint8Array ? chunk : chunk.subarray();
    const messages: Uint8Array[] = [];
    if (this.#partial !== undefined) {
      bytes = this.#fill(this.#partial, bytes);
      if (this.#filled < this.#partial.length) return messages;
      messages.push(this.#partial);
      this.#partial = undefined;
    } else if (this.#head.length > 0) {
      bytes = Buffer.concat([this.#head, bytes]);
      this.#head = EMPTY;
    }
    while (bytes.length >= LENGTH_BYTES) {
      const end = LENGTH_BYTES + (bytes[0] ?? 0) * 0x100 + (bytes[1] ?? 0);
      if (bytes.length < end) {
        this.#partial = new Uint8Array(end - LENGTH_BYTES);
        this.#filled = 0;
        this.#fill(this.#partial, bytes.subarray(LENGTH_BYTES));
        return messages;
      }
      if (end > LENGTH_BYTES) messages.push(bytes.subarray(LENGTH_BYTES, end));
      bytes = bytes.subarray(end);
    }
    this.#head = bytes.length === 0 ? EMPTY : bytes;
    return messages;
  }

  /** What is left of `bytes`. */
  #fill(partial: Uint8Array, bytes: Uint8Array): Uint8Array {
    const taken = Math.min(partial.length - this.#filled, bytes.length);
    partial.set(taken === bytes.length ? bytes : bytes.subarray(0, taken), this.#filled);
    this.#filled += taken;
    return bytes.subarray(taken);
  }
}

/** Noise whose connections are read without errors that nobody sees. */
export function frugalNoise(): (components: NoiseComponents) => ConnectionEncrypter {
  const create = noise();
  return (components) => {
    const encrypter = create(components);
    const { secureInbound, secureOutbound } = encrypter;
    encrypter.secureInbound = async (...given) => frugal(await secureInbound.apply(encrypter, given));
    encrypter.secureOutbound = async (...given) => frugal(await secureOutbound.apply(encrypter, given));
    return encrypter;
  };
}

function frugal<T extends { readonly connection: object }>(secured: T): T {
  const { connection } = secured;
  if ('decoder' in connection) connection.decoder = new NoiseMessages();
  return secured;
}
