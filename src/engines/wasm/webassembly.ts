/**
 * The part of the WebAssembly JavaScript API (W3C, version 2) that the engine uses, typed here because the
 * project is compiled without the DOM library that declares it.
 */
export type ExternKind = 'function' | 'global' | 'memory' | 'table' | 'tag';

/** One import that a module declares. */
export interface ImportDescriptor {
  readonly module: string;
  readonly name: string;
  readonly kind: ExternKind;
}

/** One export of a module. */
export interface ExportDescriptor {
  readonly name: string;
  readonly kind: ExternKind;
}

/** A compiled module. Opaque. */
export interface CompiledModule {
  readonly [Symbol.toStringTag]: string;
}

/** A linear memory. `buffer` is replaced when it grows. */
export interface LinearMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** Module name to field name to value. */
export type ImportObject = Record<string, Record<string, unknown>>;

/** An instantiated module. */
export interface ModuleInstance {
  readonly exports: Readonly<Record<string, unknown>>;
}

interface WebAssemblyApi {
  readonly Module: {
    new (bytes: Uint8Array): CompiledModule;
    imports(module: CompiledModule): ImportDescriptor[];
    exports(module: CompiledModule): ExportDescriptor[];
  };
  readonly Instance: new (module: CompiledModule, imports: ImportObject) => ModuleInstance;
  readonly Memory: new (limits: { initial: number; maximum: number }) => LinearMemory;
  readonly CompileError: ErrorConstructor;
  readonly LinkError: ErrorConstructor;
  readonly RuntimeError: ErrorConstructor;
  readonly Exception: new (...parts: never[]) => unknown;
}

/** The engine's own WebAssembly object. */
export const webAssembly: WebAssemblyApi = (globalThis as unknown as { WebAssembly: WebAssemblyApi })
  .WebAssembly;

/** True when `value` is a linear memory. */
export function isMemory(value: unknown): value is LinearMemory {
  return value instanceof webAssembly.Memory;
}
