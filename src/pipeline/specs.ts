import type { ComputeStore } from '../store/compute-store.ts';
import type { Item } from './item.ts';

/** Counted for every spec on top of its bytes: the buffer around them. */
const ENTRY_BYTES = 256;

/**
 * Specs of executions, from offer to end. They are kept in memory up to a bound, so that those of what runs soon are at
 * hand; all others are read from the store when a thread needs them.
 */
export class Specs {
  readonly #most: number;
  readonly #store: Pick<ComputeStore, 'spec'>;
  #bytes = 0;

  constructor(
    options: { readonly itemSpecBytes: number },
    modules: { readonly store: Pick<ComputeStore, 'spec'> },
  ) {
    this.#most = options.itemSpecBytes;
    this.#store = modules.store;
  }

  /** What an item keeps of a spec that is in the store: all of it, or nothing. */
  keep(spec: Uint8Array): Uint8Array | undefined {
    const bytes = spec.length + ENTRY_BYTES;
    if (this.#bytes + bytes > this.#most) return undefined;
    this.#bytes += bytes;
    return spec;
  }

  /** The item's spec. @throws Error when the store has lost it */
  of({ id, spec }: Pick<Item, 'id' | 'spec'>): Uint8Array {
    const found = spec ?? this.#store.spec(id);
    if (found === undefined) throw new Error(`execution ${id} has no spec in the store`);
    return found;
  }

  /** The item is gone, or needs it no more. */
  letGo(item: Pick<Item, 'spec'>): void {
    if (item.spec === undefined) return;
    this.#bytes -= item.spec.length + ENTRY_BYTES;
    item.spec = undefined;
  }
}
