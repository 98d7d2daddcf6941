import type { CID } from 'multiformats/cid';
import { NodeError } from '../../core/errors.ts';
import type { BlockFiles } from './blocks.ts';

/** Fetches a block through the main thread's bitswap into the block folder. */
export type AskForBlock = (
  question: { readonly kind: 'ipfs-want'; readonly cid: string },
  signal?: AbortSignal,
) => Promise<unknown>;

/** Blocks one transfer reads or fetches at once. At most this many, of 1–2 MiB each, are in memory. */
export const WINDOW = 16;

/** Blocks from the folder, or through the main thread's bitswap where they are not there yet. */
export class BlockFetcher {
  readonly #blocks: BlockFiles;
  readonly #ask: AskForBlock;
  readonly #signal: AbortSignal;
  readonly #onBlock: () => void;
  readonly #waiting: (() => void)[] = [];
  #free = WINDOW;

  /** @param onBlock called for every block that has been read: a sign of progress */
  constructor(
    options: { signal: AbortSignal; onBlock: () => void },
    modules: { blocks: BlockFiles; ask: AskForBlock },
  ) {
    this.#blocks = modules.blocks;
    this.#ask = modules.ask;
    this.#signal = options.signal;
    this.#onBlock = options.onBlock;
  }

  /** @throws NodeError InputUnavailable */
  async *get(cid: CID): AsyncGenerator<Uint8Array> {
    yield await this.#read(cid);
  }

  /** Sees to it that the block is in the folder. A failure shows when it is read. */
  async prefetch(cid: CID): Promise<void> {
    if (await this.#blocks.has(cid)) return;
    await this.#want(cid).catch(() => undefined);
  }

  async #read(cid: CID): Promise<Uint8Array> {
    this.#signal.throwIfAborted();
    let bytes = await this.#blocks.get(cid);
    if (bytes === undefined) {
      await this.#want(cid);
      bytes = await this.#blocks.get(cid);
    }
    if (bytes === undefined)
      throw new NodeError('InputUnavailable', `IPFS block ${cid.toString()} is missing`);
    this.#onBlock();
    return bytes;
  }

  async #want(cid: CID): Promise<void> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      this.#signal.throwIfAborted();
      await abortable(this.#ask({ kind: 'ipfs-want', cid: cid.toString() }, this.#signal), this.#signal);
      this.#onBlock();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}

/** `promise`, or the signal's reason as soon as it is aborted. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
