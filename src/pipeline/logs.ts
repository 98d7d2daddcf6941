import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { StringDecoder } from 'node:string_decoder';
import type { RunCommandResult } from '../core/job.ts';
import type { LogChunk, LogOptions } from '../core/ports.ts';
import type { Item } from './item.ts';

/** Read at once from each stream: what one slow reader costs in memory. */
const CHUNK_BYTES = 65_536;

/** Engines tell of new output; this is for output told of before the reader watched. */
const LOOK_AGAIN_MS = 250;

const STREAMS = ['stdout', 'stderr'] as const;

/** One stream, read from where the last read ended: from memory while it is little of a run without files. */
class StreamReader {
  readonly stream: 'stdout' | 'stderr';
  readonly #item: Item;
  readonly #path: string;
  readonly #decoder = new StringDecoder('utf8');
  #file: FileHandle | undefined;
  #position = 0;

  constructor(item: Item, directory: string, stream: 'stdout' | 'stderr') {
    this.stream = stream;
    this.#item = item;
    this.#path = join(directory, stream);
  }

  /** "" when there is nothing new, or no file yet. */
  async read(buffer: Uint8Array): Promise<string> {
    const inMemory = this.#inMemory(this.#position);
    if (inMemory !== undefined) {
      this.#position += inMemory.length;
      return this.#decoder.write(inMemory);
    }
    if (!(await this.#opened())) return '';
    const { bytesRead } = (await this.#file?.read(buffer, 0, buffer.length, this.#position)) ?? {
      bytesRead: 0,
    };
    this.#position += bytesRead;
    return this.#decoder.write(Buffer.from(buffer.subarray(0, bytesRead)));
  }

  async skipToEnd(): Promise<void> {
    const inMemory = this.#inMemory(0);
    if (inMemory !== undefined) this.#position = inMemory.length;
    else if (await this.#opened()) this.#position = (await this.#file?.stat())?.size ?? 0;
  }

  /** What was left of a cut character. */
  rest(): string {
    return this.#decoder.end();
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }

  /** Undefined where the stream is in its file. */
  #inMemory(position: number): Buffer | undefined {
    const { header, slot } = this.#item;
    return header.fileless ? slot?.read(this.stream, position) : undefined;
  }

  async #opened(): Promise<boolean> {
    if (this.#file !== undefined) return true;
    try {
      this.#file = await open(this.#path, 'r');
      return true;
    } catch {
      return false;
    }
  }
}

/**
 * Output of an execution that has not ended, from its files: any number of readers, each with its own position,
 * nothing buffered for a slow one. With `follow` it ends when the execution does.
 */
export async function* readLiveLog(
  item: Item,
  directory: string,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<LogChunk> {
  const readers = STREAMS.map((stream) => new StreamReader(item, directory, stream));
  const buffer = new Uint8Array(CHUNK_BYTES);
  try {
    if (options.tail) for (const reader of readers) await reader.skipToEnd();
    for (;;) {
      // Asked before the read: what comes between the two is found by the next round.
      const ended = item.station === 'settling' || !options.follow;
      let found = false;
      for (const reader of readers) {
        const text = await reader.read(buffer);
        if (text === '') continue;
        found = true;
        yield { stream: reader.stream, text };
      }
      if (signal.aborted) return;
      if (found) continue;
      if (ended) break;
      await nextOutput(item, signal);
    }
    for (const reader of readers) {
      const text = reader.rest();
      if (text !== '') yield { stream: reader.stream, text };
    }
  } finally {
    for (const reader of readers) await reader.close();
  }
}

/** Output of an ended execution: what its result kept. */
export function* readResultLog(result: RunCommandResult): Generator<LogChunk> {
  if (result.Stdout !== '') yield { stream: 'stdout', text: result.Stdout };
  if (result.stderr !== '') yield { stream: 'stderr', text: result.stderr };
}

function nextOutput(item: Item, signal: AbortSignal): Promise<void> {
  item.slot?.watch();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      item.watchers.delete(done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, LOOK_AGAIN_MS);
    item.watchers.add(done);
    signal.addEventListener('abort', done);
  });
}
