import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { NodeError } from '../../core/errors.ts';
import { RUN_OUTPUT_BYTES, type RunCommandResult } from '../../core/job.ts';
import { formatBytes } from '../../core/resources.ts';
import { LogDemuxer } from './demux.ts';
import { dockerLimits } from './limits.ts';

/** The streams of a result, as far as a result keeps them inline. */
export type InlineStreams = Pick<
  RunCommandResult,
  'Stdout' | 'StdoutTruncated' | 'stderr' | 'StderrTruncated'
>;

/** One stream of a run on its way to its file. Keeps its first bytes; takes no more than `maxBytes`. */
class StreamFile {
  readonly #file: FileHandle;
  readonly #name: string;
  readonly #maxBytes: number;
  readonly #head: Uint8Array = new Uint8Array(RUN_OUTPUT_BYTES);
  #bytes = 0;

  constructor(file: FileHandle, name: string, maxBytes: number) {
    this.#file = file;
    this.#name = name;
    this.#maxBytes = maxBytes;
  }

  /** @throws NodeError OutputTooLarge, after what still fitted has been written; DiskFull */
  async write(parts: readonly Uint8Array[]): Promise<void> {
    if (parts.length === 0) return;
    const all = parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
    const taken = all.subarray(0, this.#maxBytes - this.#bytes);
    if (this.#bytes < RUN_OUTPUT_BYTES) {
      this.#head.set(taken.subarray(0, RUN_OUTPUT_BYTES - this.#bytes), this.#bytes);
    }
    await writeAll(this.#file, taken, this.#name);
    this.#bytes += taken.length;
    if (taken.length < all.length) {
      throw new NodeError(
        'OutputTooLarge',
        `${this.#name} of the job exceeds ${formatBytes(this.#maxBytes)} (expected less)`,
      );
    }
  }

  get truncated(): boolean {
    return this.#bytes > RUN_OUTPUT_BYTES;
  }

  get text(): string {
    const bytes = this.#head.subarray(0, Math.min(this.#bytes, RUN_OUTPUT_BYTES));
    // A character cut in half by the limit is left out.
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes, { stream: this.truncated });
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, name: string): Promise<void> {
  let at = 0;
  try {
    while (at < bytes.length) at += (await file.write(bytes, at)).bytesWritten;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new NodeError(
      code === 'ENOSPC' || code === 'EDQUOT' ? 'DiskFull' : 'EngineFailed',
      `${name} of the job could not be written: ${message}`,
      { cause: error },
    );
  }
}

/** The stdout and stderr files of one run. */
export class RunOutput {
  readonly #stdout: StreamFile;
  readonly #stderr: StreamFile;
  readonly #onOutput: () => void;
  #reportedAt = 0;
  #timer: NodeJS.Timeout | undefined;

  private constructor(stdout: StreamFile, stderr: StreamFile, onOutput: () => void) {
    this.#stdout = stdout;
    this.#stderr = stderr;
    this.#onOutput = onOutput;
  }

  /** Creates both files, empty. `onOutput` is called after new bytes are in them, every 100 ms at most. */
  static async create(directory: string, maxStreamBytes: number, onOutput: () => void): Promise<RunOutput> {
    const stdout = await open(join(directory, 'stdout'), 'w');
    try {
      const stderr = await open(join(directory, 'stderr'), 'w');
      return new RunOutput(
        new StreamFile(stdout, 'stdout', maxStreamBytes),
        new StreamFile(stderr, 'stderr', maxStreamBytes),
        onOutput,
      );
    } catch (error) {
      await stdout.close();
      throw error;
    }
  }

  /**
   * Copies a multiplexed log stream into the files until it ends; reads no faster than the disk takes it.
   * @throws NodeError OutputTooLarge, DiskFull, EngineFailed
   */
  async copy(stream: Readable): Promise<void> {
    const demuxer = new LogDemuxer();
    try {
      for await (const chunk of stream) {
        const { stdout, stderr } = demuxer.push(chunk as Uint8Array);
        await Promise.all([this.#stdout.write(stdout), this.#stderr.write(stderr)]);
        this.#report();
      }
    } catch (error) {
      if (error instanceof NodeError) throw error;
      throw new NodeError('EngineFailed', `Docker's log stream broke: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  /** First bytes of both streams so far. */
  inline(): InlineStreams {
    return {
      Stdout: this.#stdout.text,
      StdoutTruncated: this.#stdout.truncated,
      stderr: this.#stderr.text,
      StderrTruncated: this.#stderr.truncated,
    };
  }

  /** Closes the files. Call once `copy` has settled. */
  async close(): Promise<void> {
    if (this.#timer !== undefined) {
      clearTimeout(this.#timer);
      this.#onOutput();
    }
    await Promise.all([this.#stdout.close(), this.#stderr.close()]);
  }

  #report(): void {
    if (this.#timer !== undefined) return;
    const waitMs = this.#reportedAt + dockerLimits.outputReportMs - Date.now();
    const report = (): void => {
      this.#timer = undefined;
      this.#reportedAt = Date.now();
      this.#onOutput();
    };
    if (waitMs <= 0) report();
    else this.#timer = setTimeout(report, waitMs);
  }
}
