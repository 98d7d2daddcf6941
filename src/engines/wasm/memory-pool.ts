import { NodeError } from '../../core/errors.ts';
import { PAGE_BYTES } from './binary.ts';
import { type MemoryPages, MOST_LENT_BYTES } from './rewrite.ts';
import { type LinearMemory, webAssembly } from './webassembly.ts';

/** Memories that wait for their next run: of other sizes and limits jobs come mixed. At most 8 MiB a thread. */
const MOST_IDLE = 4;

interface Lent extends MemoryPages {
  readonly memory: LinearMemory;
}

/**
 * The small memories of one thread, which are lent to one run after another: each comes back as it was made, with as many
 * pages, all of them zero. One that grew is let go.
 */
export class MemoryPool {
  /** The least lately used first. */
  readonly #idle: Lent[] = [];
  #lent: Lent[] = [];

  /** A memory that is all zero, until `takeBack`. @throws NodeError OutOfMemory */
  lend({ initial, maximum }: MemoryPages, name: string): LinearMemory {
    const at = this.#idle.findLastIndex((idle) => idle.initial === initial && idle.maximum === maximum);
    const [kept] = at < 0 ? [] : this.#idle.splice(at, 1);
    const lent = kept ?? { initial, maximum, memory: allocate({ initial, maximum }, name) };
    this.#lent.push(lent);
    return lent.memory;
  }

  /** The run is over: nothing of it can use a memory any more. */
  takeBack(): void {
    for (const lent of this.#lent) {
      const { buffer } = lent.memory;
      if (buffer.byteLength > MOST_LENT_BYTES || buffer.byteLength !== lent.initial * PAGE_BYTES) continue;
      new Uint8Array(buffer).fill(0);
      if (this.#idle.length === MOST_IDLE) this.#idle.shift();
      this.#idle.push(lent);
    }
    this.#lent = [];
  }
}

function allocate(pages: MemoryPages, name: string): LinearMemory {
  try {
    return new webAssembly.Memory(pages);
  } catch (thrown) {
    if (!(thrown instanceof RangeError)) throw thrown;
    throw outOfMemory(name);
  }
}

/** The machine is out of room, not the job. */
export function outOfMemory(name: string): NodeError {
  return new NodeError('OutOfMemory', `${name}: the node could not reserve the module's memory`);
}
