import { hash as digest } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { NodeError } from '../../core/errors.ts';
import { formatBytes } from '../../core/resources.ts';
import { type ModuleShape, readModule } from './binary.ts';
import { LENT, lentMemory, type MemoryPages, rewriteModule } from './rewrite.ts';
import { hostCode } from './wasi/fault.ts';
import { type CompiledModule, type ImportDescriptor, webAssembly } from './webassembly.ts';

/** Largest module file. */
const MOST_MODULE_BYTES = 256 * 1024 * 1024;
/** A file smaller than this is hashed each time: that costs no more than to look up whether it is known. */
const REMEMBER_FROM_BYTES = 65_536;
/** A file changed this lately could change again without its times telling so. */
const SETTLED_MS = 2000;
const MOST_IDENTITIES = 1024;

/** A module read from a file. */
export interface ModuleSource {
  /** For messages. */
  readonly name: string;
  readonly path: string;
  /** SHA-256 of its bytes, hex. */
  readonly hash: string;
  readonly bytes: number;
  readonly shape: ModuleShape;
  /** Its bytes, unless it was known already. */
  readonly content: Uint8Array | undefined;
}

/** A module ready to be instantiated any number of times. */
export interface ReadyModule {
  readonly compiled: CompiledModule;
  /** Without the memory it is lent. */
  readonly imports: readonly ImportDescriptor[];
  /** The memory it is to be lent, where it defines none any more. */
  readonly lent: MemoryPages | undefined;
}

interface Kept {
  readonly module: ReadyModule;
  readonly bytes: number;
}

/** What follows from a module's bytes. */
interface Known {
  readonly hash: string;
  readonly shape: ModuleShape;
}

/**
 * Compiled modules of one thread, by content and memory caps; the least lately used go first when their files
 * add up to more than `maxBytes`. V8 shares the machine code of equal modules between threads by itself.
 */
export class ModuleCache {
  readonly #maxBytes: number;
  readonly #kept = new Map<string, Kept>();
  readonly #known = new Map<string, Known>();
  /** Of bytes that come again as the same object. */
  readonly #seen = new WeakMap<Uint8Array, Known>();
  #keptBytes = 0;
  #compilations = 0;

  constructor(options: { maxBytes: number }) {
    this.#maxBytes = options.maxBytes;
  }

  /** Modules compiled so far. */
  get compilations(): number {
    return this.#compilations;
  }

  /**
   * Reads the module file at `path`, which `name` stands for in errors. Undefined where a folder is there.
   * @throws NodeError WasmInvalid, InputUnavailable
   */
  read(path: string, name: string): ModuleSource | undefined {
    const fd = openModule(path, name);
    try {
      const stats = fstatSync(fd);
      if (stats.isDirectory()) return undefined;
      if (!stats.isFile()) throw new NodeError('WasmInvalid', `${name}: expected a file`);
      if (stats.size > MOST_MODULE_BYTES) {
        throw new NodeError(
          'WasmInvalid',
          `${name}: the module has ${formatBytes(stats.size)} (expected at most ${formatBytes(MOST_MODULE_BYTES)})`,
        );
      }
      const identity = stats.size < REMEMBER_FROM_BYTES ? undefined : identityOf(fd);
      const known = identity === undefined ? undefined : this.#known.get(identity);
      if (known !== undefined) return { name, path, bytes: stats.size, content: undefined, ...known };
      const { content, ...found } = this.source(path, name, readAll(fd, stats.size));
      if (identity !== undefined) {
        if (this.#known.size >= MOST_IDENTITIES) this.#known.clear();
        this.#known.set(identity, { hash: found.hash, shape: found.shape });
      }
      return { ...found, content };
    } finally {
      closeSync(fd);
    }
  }

  /** A module whose bytes are at hand, and do not change. @throws NodeError WasmInvalid */
  source(path: string, name: string, content: Uint8Array): ModuleSource {
    let known = this.#seen.get(content);
    if (known === undefined) {
      known = { hash: digest('sha256', content, 'hex'), shape: inFile(name, () => readModule(content)) };
      this.#seen.set(content, known);
    }
    return { name, path, bytes: content.length, content, ...known };
  }

  /**
   * Compiles a module with its memories capped, or finds it compiled.
   * @throws NodeError WasmInvalid
   */
  compile(source: ModuleSource, maximumPages: readonly number[]): ReadyModule {
    const key = `${source.hash}:${maximumPages.join()}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined) {
      this.#kept.delete(key);
      this.#kept.set(key, kept);
      return kept.module;
    }
    const content = source.content ?? readAgain(source);
    const lent = lentMemory(source.shape, maximumPages);
    const compiled = inFile(
      source.name,
      () => new webAssembly.Module(rewriteModule(content, source.shape, maximumPages, lent)),
    );
    this.#compilations += 1;
    const all = webAssembly.Module.imports(compiled);
    const imports = lent === undefined ? all : all.filter(({ module }) => module !== LENT.module);
    const module = { compiled, imports, lent };
    this.#keep(key, { module, bytes: source.bytes });
    return module;
  }

  #keep(key: string, kept: Kept): void {
    this.#kept.set(key, kept);
    this.#keptBytes += kept.bytes;
    for (const [oldest, { bytes }] of this.#kept) {
      if (this.#keptBytes <= this.#maxBytes) break;
      this.#kept.delete(oldest);
      this.#keptBytes -= bytes;
    }
  }
}

/** The bytes of a module that was known by its file's identity. */
function readAgain(source: ModuleSource): Uint8Array {
  const fd = openModule(source.path, source.name);
  try {
    const content = readAll(fd, source.bytes);
    if (digest('sha256', content, 'hex') === source.hash) return content;
    throw new NodeError('InputUnavailable', `${source.name}: the module changed while it was being read`);
  } finally {
    closeSync(fd);
  }
}

function openModule(path: string, name: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (thrown) {
    const code = hostCode(thrown);
    if (code === undefined) throw thrown;
    if (code === 'ELOOP') {
      throw new NodeError('WasmInvalid', `${name}: is a symbolic link (expected the module itself)`);
    }
    throw new NodeError('InputUnavailable', `${name}: the module cannot be read (${code})`, {
      cause: thrown,
    });
  }
}

function identityOf(fd: number): string | undefined {
  const stats = fstatSync(fd, { bigint: true });
  const changedMs = Number(stats.ctimeNs / 1_000_000n);
  if (Math.abs(Date.now() - changedMs) < SETTLED_MS) return undefined;
  return `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`;
}

function readAll(fd: number, bytes: number): Uint8Array {
  const content = new Uint8Array(bytes);
  let filled = 0;
  while (filled < bytes) {
    const read = readSync(fd, content, filled, bytes - filled, filled);
    if (read === 0) break;
    filled += read;
  }
  return content.subarray(0, filled);
}

/** Runs `work` and says in its errors which module they are about. */
function inFile<T>(name: string, work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    if (thrown instanceof NodeError) throw new NodeError(thrown.code, `${name}: ${thrown.message}`);
    if (thrown instanceof webAssembly.CompileError) {
      const text = thrown.message.replace(/^WebAssembly\.Module\(\): /, '');
      throw new NodeError('WasmInvalid', `${name}: ${text} (expected a valid WebAssembly module)`);
    }
    throw thrown;
  }
}
