import { NodeError } from '../../core/errors.ts';
import { formatBytes } from '../../core/resources.ts';
import { type Limits, MOST_PAGES, PAGE_BYTES } from './binary.ts';
import { type MemoryPool, outOfMemory } from './memory-pool.ts';
import type { ModuleSource, ReadyModule } from './module-cache.ts';
import { LENT } from './rewrite.ts';
import { bindWasi, WASI_MODULE } from './wasi/bind.ts';
import type { WasiHost } from './wasi/host.ts';
import { GuestMemory } from './wasi/memory.ts';
import {
  type ImportDescriptor,
  type ImportObject,
  isMemory,
  type ModuleInstance,
  webAssembly,
} from './webassembly.ts';

/** A module of a run, and the names others import it by. */
export interface ProgramModule {
  readonly source: ModuleSource;
  readonly names: readonly string[];
}

/** A module with the caps its memories were given. */
export interface PlannedModule extends ProgramModule {
  readonly maximumPages: readonly number[];
  /** Of each memory it imports, in order; undefined where a module before it provides it. */
  readonly importedMaximumPages: readonly (number | undefined)[];
}

/** A module compiled with those caps. */
export type PreparedModule = PlannedModule & ReadyModule;

/** The memory limit of a run. */
export interface MemoryLimit {
  readonly pages: number;
  /** For messages: the limit, and why it is lower than asked for where it is. */
  readonly text: string;
}

/** Pages for `bytes` of memory; 0 means as much as WebAssembly can have. */
export function memoryLimit(bytes: number): MemoryLimit {
  const most = MOST_PAGES * PAGE_BYTES;
  const pages = Math.ceil(bytes / PAGE_BYTES);
  if (bytes === 0) return { pages: MOST_PAGES, text: formatBytes(most) };
  if (pages <= MOST_PAGES) return { pages, text: formatBytes(pages * PAGE_BYTES) };
  return {
    pages: MOST_PAGES,
    text: `${formatBytes(most)}, the most a 32-bit WebAssembly memory can have, not the ${formatBytes(bytes)} asked for`,
  };
}

/**
 * Shares the limit among all memories of a run: each gets what it starts with, and an equal part of the rest.
 * Nearly always there is one memory, which gets all.
 * @throws NodeError OutOfMemory when the memories do not fit as they start
 */
export function planMemory(modules: readonly ProgramModule[], limit: MemoryLimit): PlannedModule[] {
  const own = (module: ProgramModule): readonly Limits[] => module.source.shape.memories;
  const isProvided = (name: string, index: number): boolean =>
    modules.slice(0, index).some(({ names }) => names.includes(name));
  const imported = (module: ProgramModule, index: number): (Limits | undefined)[] =>
    module.source.shape.importedMemories.map((memory) =>
      isProvided(memory.module, index) ? undefined : memory.limits,
    );
  const all = modules
    .flatMap((module, index) => [...own(module), ...imported(module, index)])
    .filter((limits) => limits !== undefined);
  const least = all.reduce((sum, { minimum }) => sum + minimum, 0);
  if (least > limit.pages) {
    const names = modules.map(({ source }) => source.name).join(', ');
    throw new NodeError(
      'OutOfMemory',
      `${names}: needs ${formatBytes(least * PAGE_BYTES)} of memory to start (expected at most the job's limit of ${limit.text})`,
    );
  }
  const share = all.length === 0 ? 0 : Math.floor((limit.pages - least) / all.length);
  const cap = ({ minimum, maximum }: Limits): number => Math.min(minimum + share, maximum ?? MOST_PAGES);
  return modules.map((module, index) => ({
    ...module,
    maximumPages: own(module).map(cap),
    importedMaximumPages: imported(module, index).map((limits) =>
      limits === undefined ? undefined : cap(limits),
    ),
  }));
}

/** What the modules of a run are linked with. */
export interface Surroundings {
  readonly host: WasiHost;
  readonly memories: MemoryPool;
}

/** An instantiated module and its memory. */
export interface LinkedModule {
  readonly instance: ModuleInstance;
  readonly memory: GuestMemory;
}

/**
 * Instantiates modules in order: each may import from WASI and from those before it. A start function runs here.
 * @throws NodeError WasmInvalid, OutOfMemory; and what the modules' start functions throw
 */
export function linkModules(modules: readonly PreparedModule[], surroundings: Surroundings): LinkedModule[] {
  const linked: LinkedModule[] = [];
  const exported = new Map<string, Readonly<Record<string, unknown>>>();
  for (const module of modules) {
    const made = instantiate(module, exported, surroundings);
    linked.push(made);
    for (const name of module.names) exported.set(name, made.instance.exports);
  }
  return linked;
}

function instantiate(
  module: PreparedModule,
  exported: ReadonlyMap<string, Readonly<Record<string, unknown>>>,
  surroundings: Surroundings,
): LinkedModule {
  const memory = new GuestMemory();
  // Without a prototype: the names are the module's.
  const imports = Object.create(null) as ImportObject;
  for (const wanted of module.imports) {
    const value = resolve(module, wanted, exported, surroundings, memory);
    if (isMemory(value)) memory.attach(value);
    const fields = imports[wanted.module] ?? (Object.create(null) as Record<string, unknown>);
    fields[wanted.name] = value;
    imports[wanted.module] = fields;
  }
  if (module.lent !== undefined) {
    imports[LENT.module] = { [LENT.name]: surroundings.memories.lend(module.lent, module.source.name) };
  }
  try {
    const instance = new webAssembly.Instance(module.compiled, imports);
    const own = instance.exports['memory'];
    if (isMemory(own)) memory.attach(own);
    return { instance, memory };
  } catch (thrown) {
    const { name } = module.source;
    if (thrown instanceof webAssembly.LinkError) {
      const text = thrown.message.replace(/^WebAssembly\.Instance\(\): /, '');
      throw new NodeError('WasmInvalid', `${name}: ${text}`);
    }
    if (thrown instanceof RangeError && thrown.message.includes('Out of memory')) {
      throw outOfMemory(name);
    }
    throw thrown;
  }
}

function resolve(
  module: PlannedModule,
  wanted: ImportDescriptor,
  exported: ReadonlyMap<string, Readonly<Record<string, unknown>>>,
  { host, memories }: Surroundings,
  memory: GuestMemory,
): unknown {
  const provider = exported.get(wanted.module);
  if (provider !== undefined && Object.hasOwn(provider, wanted.name)) return provider[wanted.name];
  if (wanted.module === WASI_MODULE && wanted.kind === 'function') {
    const call = bindWasi(host, memory, wanted.name);
    if (call !== undefined) return call;
  }
  if (wanted.kind === 'memory') {
    const { importedMemories } = module.source.shape;
    const index = importedMemories.findIndex(
      (found) => found.module === wanted.module && found.name === wanted.name,
    );
    const limits = importedMemories[index]?.limits;
    const maximum = module.importedMaximumPages[index];
    if (limits !== undefined && maximum !== undefined) {
      return memories.lend({ initial: limits.minimum, maximum }, module.source.name);
    }
  }
  throw unknownImport(module, wanted, exported);
}

function unknownImport(
  module: PlannedModule,
  wanted: ImportDescriptor,
  exported: ReadonlyMap<string, Readonly<Record<string, unknown>>>,
): NodeError {
  const what = `${module.source.name}: imports the ${wanted.kind} ${wanted.module}.${wanted.name}, which nothing provides`;
  if (wanted.module === 'wasi_unstable') {
    return new NodeError('WasmInvalid', `${what} (expected ${WASI_MODULE}: build it with a newer toolchain)`);
  }
  const others = [...exported.keys()];
  return new NodeError(
    'WasmInvalid',
    `${what} (expected functions of ${WASI_MODULE}${others.length === 0 ? '' : ` or exports of ${others.join(', ')}`}; other modules go into ImportModules)`,
  );
}
