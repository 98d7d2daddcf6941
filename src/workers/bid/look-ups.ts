import type { InputSource } from '../../core/job.ts';
import type { Storage } from '../../storages/storage.ts';

export interface LookUpOptions {
  /** How long "it is here" is believed: data may be removed. */
  readonly keepHereMs?: number;
  /** How long a size is believed. */
  readonly keepSizeMs?: number;
  /** A look-up serves everybody who asks the same meanwhile, so it has a time limit of its own. */
  readonly deadlineMs?: number;
  /** Answers remembered at once, of each kind. */
  readonly kept?: number;
}

const KEEP_HERE_MS = 10_000;
const KEEP_SIZE_MS = 300_000;
const DEADLINE_MS = 5_000;
const KEPT = 4096;

/** Storages whose look-ups cost a request. An inline input is its own answer, and a directory is a system call. */
const REMEMBERED: ReadonlySet<string> = new Set(['ipfs', 'urldownload']);

/**
 * A storage whose look-ups are remembered for a while and shared by all who ask the same at once. What is not
 * known, not here or failed is looked for again.
 */
export function rememberLookUps(storage: Storage, options: LookUpOptions = {}): Storage {
  if (!REMEMBERED.has(storage.type)) return storage;
  const { keepHereMs = KEEP_HERE_MS, keepSizeMs = KEEP_SIZE_MS } = options;
  const here = new Memory<boolean>(keepHereMs, options);
  const sizes = new Memory<number | undefined>(keepSizeMs, options);
  return {
    type: storage.type,
    hasLocally: (input) =>
      here.get(
        keyOf(input),
        (signal) => storage.hasLocally(input, signal),
        (found) => found,
      ),
    size: (input) =>
      sizes.get(
        keyOf(input),
        (signal) => storage.size(input, signal),
        (size) => size !== undefined,
      ),
    prepare: (input, context) => storage.prepare(input, context),
  };
}

function keyOf({ Source }: InputSource): string {
  return JSON.stringify(Source.Params ?? {});
}

class Memory<T> {
  readonly #keepMs: number;
  readonly #deadlineMs: number;
  readonly #most: number;
  readonly #answers = new Map<string, { readonly value: T; readonly untilMs: number }>();
  readonly #asking = new Map<string, Promise<T>>();

  constructor(keepMs: number, { deadlineMs = DEADLINE_MS, kept = KEPT }: LookUpOptions) {
    this.#keepMs = keepMs;
    this.#deadlineMs = deadlineMs;
    this.#most = kept;
  }

  get(key: string, look: (signal: AbortSignal) => Promise<T>, isKept: (value: T) => boolean): Promise<T> {
    const known = this.#answers.get(key);
    if (known !== undefined && known.untilMs > Date.now()) return Promise.resolve(known.value);
    const asking = this.#asking.get(key);
    if (asking !== undefined) return asking;
    const answer = look(AbortSignal.timeout(this.#deadlineMs))
      .then((value) => {
        if (isKept(value)) this.#keep(key, value);
        return value;
      })
      .finally(() => this.#asking.delete(key));
    this.#asking.set(key, answer);
    return answer;
  }

  #keep(key: string, value: T): void {
    this.#answers.delete(key);
    this.#answers.set(key, { value, untilMs: Date.now() + this.#keepMs });
    const [oldest] = this.#answers.keys();
    if (this.#answers.size > this.#most && oldest !== undefined) this.#answers.delete(oldest);
  }
}
