import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { StringDecoder } from 'node:string_decoder';
import type { LogChunk, LogOptions } from '../core/ports.ts';
import type { Item } from './item.ts';

/** Read at once from each stream: what one slow reader costs in memory. */
const CHUNK_BYTES = 65_536;

/** Engines tell of new output; this is for those that tell of it before it can be read. */
const LOOK_AGAIN_MS = 250;

const STREAMS = ['stdout', 'stderr'] as const;
const NOTHING: Buffer = Buffer.alloc(0);

/** Reads under way, by stream and position: those who follow a job wake together and want the same bytes. */
const underWay = new WeakMap<Item, Map<string, Promise<Buffer>>>();

function readShared(item: Item, key: string, read: () => Promise<Buffer>): Promise<Buffer> {
  const reads = underWay.get(item) ?? new Map<string, Promise<Buffer>>();
  underWay.set(item, reads);
  const known = reads.get(key);
  if (known !== undefined) return known;
  const made = read().finally(() => reads.delete(key));
  reads.set(key, made);
  return made;
}

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

  /** The text of what is new, "" where nothing is, and whether there may be more already. */
  async read(): Promise<{ readonly text: string; readonly more: boolean }> {
    const inMemory = this.#inMemory(this.#position);
    const bytes = inMemory ?? (await this.#readFile());
    this.#position += bytes.length;
    return { text: this.#decoder.write(bytes), more: inMemory === undefined && bytes.length === CHUNK_BYTES };
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

  async #readFile(): Promise<Buffer> {
    if (!(await this.#opened())) return NOTHING;
    const file = this.#file;
    const position = this.#position;
    return readShared(this.#item, `${this.stream} ${position}`, async () => {
      const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
      const read = await file?.read(buffer, 0, CHUNK_BYTES, position);
      return buffer.subarray(0, read?.bytesRead ?? 0);
    });
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
  try {
    if (options.tail) for (const reader of readers) await reader.skipToEnd();
    for (;;) {
      // Both before the read: what comes during it is found by the next round.
      const ended = item.station === 'settling' || !options.follow;
      const output = new NextOutput(item, signal);
      let more = false;
      try {
        for (const reader of readers) {
          const read = await reader.read();
          more ||= read.more;
          if (read.text !== '') yield { stream: reader.stream, text: read.text };
        }
        if (signal.aborted) return;
        if (more) continue;
        if (ended) break;
        await output.come;
      } finally {
        output.forget();
      }
    }
    for (const reader of readers) {
      const text = reader.rest();
      if (text !== '') yield { stream: reader.stream, text };
    }
  } finally {
    for (const reader of readers) await reader.close();
  }
}

/** Resolves with the next word of output, or after a while. */
class NextOutput {
  readonly come: Promise<void>;
  readonly forget: () => void;

  constructor(item: Item, signal: AbortSignal) {
    const { promise, resolve: done } = Promise.withResolvers<void>();
    const resolve = (): void => done();
    item.slot?.watch();
    const timer = setTimeout(resolve, LOOK_AGAIN_MS);
    item.watchers ??= new Set();
    item.watchers.add(resolve);
    signal.addEventListener('abort', resolve);
    this.come = promise;
    this.forget = () => {
      clearTimeout(timer);
      item.watchers?.delete(resolve);
      signal.removeEventListener('abort', resolve);
    };
  }
}
