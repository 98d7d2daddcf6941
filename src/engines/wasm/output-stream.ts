import { closeSync, openSync, writeSync } from 'node:fs';
import { NodeError } from '../../core/errors.ts';
import { RUN_OUTPUT_BYTES } from '../../core/job.ts';
import { formatBytes } from '../../core/resources.ts';

/** Least time between two reports of new output. */
const REPORT_EVERY_MS = 100;

/** One of a run's output streams: what the guest writes is in its file when the call returns. */
export class OutputStream {
  readonly #name: string;
  readonly #fd: number;
  readonly #limit: number;
  readonly #onOutput: () => void;
  readonly #head: Uint8Array[] = [];
  #headBytes = 0;
  #bytes = 0;

  /** Makes the file at `path`; `name` is for messages, `limit` in bytes. */
  constructor(options: { name: string; path: string; limit: number; onOutput: () => void }) {
    this.#name = options.name;
    this.#fd = openSync(options.path, 'w', 0o644);
    this.#limit = options.limit;
    this.#onOutput = options.onOutput;
  }

  /**
   * Writes all buffers, as far as the limit goes.
   * @throws NodeError OutputTooLarge
   */
  write(buffers: readonly Uint8Array[]): void {
    for (const buffer of buffers) {
      const part = buffer.subarray(0, Math.min(buffer.length, this.#limit - this.#bytes));
      this.#remember(part);
      this.#bytes += part.length;
      for (let at = 0; at < part.length; ) at += writeSync(this.#fd, part, at);
      if (part.length < buffer.length) {
        throw new NodeError(
          'OutputTooLarge',
          `the job wrote more than ${formatBytes(this.#limit)} to ${this.#name} (expected less; write to a result path instead)`,
        );
      }
    }
    this.#onOutput();
  }

  /** The first bytes as text, cut between characters, and whether there was more. */
  head(): { text: string; truncated: boolean } {
    const all = Buffer.concat(this.#head);
    const truncated = this.#bytes > all.length;
    return { text: (truncated ? wholeCharacters(all) : all).toString('utf8'), truncated };
  }

  close(): void {
    closeSync(this.#fd);
  }

  #remember(part: Uint8Array): void {
    const room = RUN_OUTPUT_BYTES - this.#headBytes;
    if (room <= 0 || part.length === 0) return;
    // A copy: the bytes are the guest's memory.
    const copy = Buffer.from(part.subarray(0, room));
    this.#head.push(copy);
    this.#headBytes += copy.length;
  }
}

/** `bytes` without the start of a UTF-8 character at their end. */
function wholeCharacters(bytes: Buffer): Buffer {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? bytes.subarray(0, bytes.length - back) : bytes;
  }
  return bytes;
}

/** Calls `report` at once, then at most once every 100 ms. */
export function throttled(report: () => void): () => void {
  let last = -Infinity;
  return () => {
    const now = performance.now();
    if (now - last < REPORT_EVERY_MS) return;
    last = now;
    report();
  };
}
