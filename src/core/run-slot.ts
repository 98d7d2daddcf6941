import { RUN_OUTPUT_BYTES, type RunCommandResult } from './job.ts';

const STATE = 0;
const RAN = 1;
const WATCHED = 2;
/** Bytes of stdout and of stderr that can be read here. */
const LENGTHS = { stdout: 3, stderr: 4 } as const;
/** Exit code of a run that is told here, and one more. */
const EXIT = 5;
const WORDS = 6;
const HEAD_BYTES = WORDS * Int32Array.BYTES_PER_ELEMENT;
const OFFSETS = { stdout: HEAD_BYTES, stderr: HEAD_BYTES + RUN_OUTPUT_BYTES } as const;

const FREE = 0;
const TAKEN_BACK = -1;
/** In the place of a length: all of the stream is in its file. */
const IN_FILE = -1;

export type StreamName = 'stdout' | 'stderr';

/**
 * What a thread that is blocked by its job tells of it all the same: a piece of shared memory. Its state is 0 until the
 * thread wins it by its number or the spine takes it back; whoever is first counts. What a job without files prints can be
 * read here until it is more than a result keeps.
 */
export class RunSlot {
  /** Bytes of one slot. */
  static readonly BYTES: number = HEAD_BYTES + 2 * RUN_OUTPUT_BYTES;
  readonly words: Int32Array;
  readonly #bytes: Uint8Array;

  /** @param words a view of `BYTES` bytes of shared memory, zero at first */
  constructor(words: Int32Array) {
    this.words = words;
    this.#bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  }

  /** Calls `use` with each item and a slot of its own; the slots lie in one new piece of memory. */
  static each<T, R>(items: readonly T[], use: (item: T, slot: RunSlot) => R): R[] {
    const words = RunSlot.BYTES / Int32Array.BYTES_PER_ELEMENT;
    const buffer = new SharedArrayBuffer(items.length * RunSlot.BYTES);
    return items.map((item, index) =>
      use(item, new RunSlot(new Int32Array(buffer, index * RunSlot.BYTES, words))),
    );
  }

  /** The thread takes it; false when it was taken back. */
  claim(thread: number): boolean {
    return Atomics.compareExchange(this.words, STATE, FREE, thread) === FREE;
  }

  /** The spine takes it back; false when a thread has begun with it. */
  takeBack(): boolean {
    return Atomics.compareExchange(this.words, STATE, FREE, TAKEN_BACK) === FREE;
  }

  /** The thread is done with it. */
  end(): void {
    // Below -1, so that it can still be told which one it was.
    Atomics.store(this.words, STATE, TAKEN_BACK - this.thread);
  }

  /** The thread that had it; 0 where it is not over. */
  get endedOn(): number {
    return Math.max(0, TAKEN_BACK - Atomics.load(this.words, STATE));
  }

  /** The thread that has it now; 0 for none. */
  get thread(): number {
    return Math.max(0, Atomics.load(this.words, STATE));
  }

  /** The job's own code has started. */
  markRunning(): void {
    Atomics.store(this.words, RAN, 1);
  }

  get hasRun(): boolean {
    return Atomics.load(this.words, RAN) === 1;
  }

  /** All there is to tell of the run is here: what it printed, and this. */
  finish(exitCode: number): void {
    Atomics.store(this.words, EXIT, exitCode + 1);
  }

  /** The result of a run that `finish` was called for; undefined of any other. */
  get result(): RunCommandResult | undefined {
    const exit = Atomics.load(this.words, EXIT);
    if (exit === 0) return undefined;
    const text = (stream: StreamName): string => String(this.read(stream, 0) ?? '');
    return {
      Stdout: text('stdout'),
      StdoutTruncated: false,
      stderr: text('stderr'),
      StderrTruncated: false,
      ExitCode: exit - 1,
      ErrorMsg: '',
    };
  }

  /** Somebody reads the log: from now on new output is told. */
  watch(): void {
    Atomics.store(this.words, WATCHED, 1);
  }

  get isWatched(): boolean {
    return Atomics.load(this.words, WATCHED) === 1;
  }

  /** Output of the job, no more than a result keeps of a stream. */
  append(stream: StreamName, output: Uint8Array): void {
    const length = Atomics.load(this.words, LENGTHS[stream]);
    this.#bytes.set(output, OFFSETS[stream] + length);
    Atomics.store(this.words, LENGTHS[stream], length + output.length);
  }

  /** All of the stream is in its file from now on. */
  moveToFile(stream: StreamName): void {
    Atomics.store(this.words, LENGTHS[stream], IN_FILE);
  }

  /** A copy of the stream from `position` on; undefined when it is in its file. */
  read(stream: StreamName, position: number): Buffer | undefined {
    const length = Atomics.load(this.words, LENGTHS[stream]);
    if (length === IN_FILE) return undefined;
    return Buffer.from(this.#bytes.slice(OFFSETS[stream] + position, OFFSETS[stream] + length));
  }
}
