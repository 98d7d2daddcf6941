import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { NodeError } from '../../core/errors.ts';
import { RUN_OUTPUT_BYTES } from '../../core/job.ts';
import { formatBytes } from '../../core/resources.ts';

/** Least time between two reports of new output. */
const REPORT_EVERY_MS = 100;

export interface OutputStreamOptions {
  /** For messages. */
  readonly name: string;
  readonly path: string;
  /** Bytes. */
  readonly limit: number;
  readonly onOutput: () => void;
  /** The file is made only when there is more output than a result keeps; what comes before that is told to `live`. */
  readonly lazily?: { readonly append: (output: Uint8Array) => void; readonly moveToFile: () => void };
}

/**
 * One of a run's output streams: what the guest writes is in its file when the call returns, or in memory while it is
 * little and the run is to leave no files.
 */
export class OutputStream {
  readonly #options: OutputStreamOptions;
  #fd: number | undefined;
  readonly #head: Uint8Array[] = [];
  #headBytes = 0;
  #bytes = 0;

  constructor(options: OutputStreamOptions) {
    this.#options = options;
    if (options.lazily === undefined) this.#fd = open(options.path);
  }

  /**
   * Writes all buffers, as far as the limit goes.
   * @throws NodeError OutputTooLarge
   */
  write(buffers: readonly Uint8Array[]): void {
    const { name, limit, onOutput } = this.#options;
    for (const buffer of buffers) {
      const part = buffer.subarray(0, Math.min(buffer.length, limit - this.#bytes));
      if (this.#fd === undefined && this.#bytes + part.length > RUN_OUTPUT_BYTES) this.#moveToFile();
      this.#remember(part);
      this.#bytes += part.length;
      if (this.#fd !== undefined) writeAll(this.#fd, part);
      if (part.length < buffer.length) {
        throw new NodeError(
          'OutputTooLarge',
          `the job wrote more than ${formatBytes(limit)} to ${name} (expected less; write to a result path instead)`,
        );
      }
    }
    onOutput();
  }

  /** The first bytes as text, cut between characters, and whether there was more. */
  head(): { text: string; truncated: boolean } {
    const all = Buffer.concat(this.#head);
    const truncated = this.#bytes > all.length;
    return { text: (truncated ? wholeCharacters(all) : all).toString('utf8'), truncated };
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
  }

  #moveToFile(): void {
    const { path, lazily } = this.#options;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    this.#fd = open(path);
    for (const written of this.#head) writeAll(this.#fd, written);
    lazily?.moveToFile();
  }

  #remember(part: Uint8Array): void {
    const room = RUN_OUTPUT_BYTES - this.#headBytes;
    if (room <= 0 || part.length === 0) return;
    // A copy: the bytes are the guest's memory.
    const copy = Buffer.from(part.subarray(0, room));
    this.#head.push(copy);
    this.#headBytes += copy.length;
    if (this.#fd === undefined) this.#options.lazily?.append(copy);
  }
}

function open(path: string): number {
  return openSync(path, 'w', 0o644);
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
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
