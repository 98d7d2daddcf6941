import { NodeError } from '../../core/errors.ts';
import { formatBytes } from '../../core/resources.ts';

/** Bytes of one WebAssembly page. */
export const PAGE_BYTES = 65_536;
/** Pages of the largest 32-bit memory. */
export const MOST_PAGES = 65_536;

/**
 * Elements all tables of a module may have. V8 keeps tables on the JavaScript heap, and a heap that overflows
 * ends the whole process, so tables are bounded like memories.
 */
export const MOST_TABLE_ELEMENTS = 1_000_000;
/** The same for what becomes an object per entry when a module is instantiated; bytes of a section. */
const SECTION_LIMITS: Readonly<Record<number, number>> = {
  2: 1 << 20,
  6: 1 << 20,
  7: 1 << 20,
  9: 4 << 20,
};
/** Ids of sections. */
export const SECTION = { custom: 0, type: 1, import: 2, table: 4, memory: 5 } as const;
/** Kinds of imports. */
export const IMPORT = { function: 0, table: 1, memory: 2, global: 3, tag: 4 } as const;
/** Flag bits of limits. */
export const HAS_MAXIMUM = 1;
const SHARED = 2;
const WIDE = 4;
/** The one-byte forms of heap types: 0x64..0x74. Longer forms name types of the GC proposal. */
const FUNCREF = 0x70;
const EXTERNREF = 0x6f;
/** Composite types of the GC proposal: array, struct, sub, sub final, rec. */
const GC_TYPES: ReadonlySet<number> = new Set([0x5e, 0x5f, 0x50, 0x4f, 0x4e]);
const FUNCTION_TYPE = 0x60;

/** Limits of a memory or table; `maximum` is undefined where the module sets none. */
export interface Limits {
  readonly minimum: number;
  readonly maximum: number | undefined;
}

/** What of a module's binary decides about the resources it may take. */
export interface ModuleShape {
  /** Memories of its own, in order. */
  readonly memories: readonly Limits[];
  readonly imports: Imports;
  /** Memories it imports, with the names they are imported by. */
  readonly importedMemories: readonly ImportedMemory[];
  readonly tables: readonly Table[];
  readonly sections: readonly Section[];
}

/** Where the entries of the import section are: all of them, from the first byte of the first to the end of the last. */
export interface Imports {
  readonly count: number;
  readonly start: number;
  readonly end: number;
  /** Names of the modules that are imported from. */
  readonly modules: ReadonlySet<string>;
}

const NO_IMPORTS: Imports = { count: 0, start: 0, end: 0, modules: new Set() };

/** A memory that the module expects somebody else to make. */
export interface ImportedMemory {
  readonly module: string;
  readonly name: string;
  readonly limits: Limits;
}

/** A table of the module's own; `type` is its reference type's byte. */
export interface Table {
  readonly type: number;
  readonly limits: Limits;
}

/** A section's place: first byte of its header, first of its contents, first after it. */
export interface Section {
  readonly id: number;
  readonly start: number;
  readonly contents: number;
  readonly end: number;
}

function invalid(what: string): NodeError {
  return new NodeError('WasmInvalid', what);
}

/** Reads a binary from a position on. */
class Reader {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  byte(): number {
    const value = this.bytes[this.at];
    if (value === undefined || this.at >= this.end)
      throw invalid('the module ends in the middle of a section');
    this.at += 1;
    return value;
  }

  /** Unsigned LEB128 of up to 64 bits; exact up to 2^53. */
  unsigned(): number {
    let value = 0;
    for (let power = 0; power < 70; power += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** power;
      if (byte < 0x80) return value;
    }
    throw invalid(`the module has a malformed number at byte ${this.at}`);
  }

  skip(count: number): void {
    if (count > this.end - this.at) throw invalid('the module ends in the middle of a section');
    this.at += count;
  }

  name(): string {
    const length = this.unsigned();
    const start = this.at;
    this.skip(length);
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + start, length).toString('utf8');
  }

  limits(what: string): Limits {
    const flags = this.byte();
    if ((flags & SHARED) !== 0) {
      throw invalid(
        `the module has a shared ${what} (threads); expected one of its own, as WASI preview 1 has no threads`,
      );
    }
    if ((flags & WIDE) !== 0) {
      throw invalid(
        `the module has a 64-bit ${what}; expected a 32-bit one (wasm32), as WASI preview 1 needs`,
      );
    }
    if ((flags & ~HAS_MAXIMUM) !== 0) throw invalid(`the module has a ${what} of an unknown kind`);
    const minimum = this.unsigned();
    return { minimum, maximum: (flags & HAS_MAXIMUM) === 0 ? undefined : this.unsigned() };
  }

  /** funcref or externref. */
  referenceType(): number {
    const type = this.byte();
    if (type === FUNCREF || type === EXTERNREF) return type;
    throw invalid(
      'the module has a table of a kind that this engine does not know (expected funcref or externref)',
    );
  }
}

function sectionsOf(bytes: Uint8Array): Section[] {
  const sections: Section[] = [];
  const reader = new Reader(bytes, 8, bytes.length);
  while (reader.at < bytes.length) {
    const start = reader.at;
    const id = reader.byte();
    const length = reader.unsigned();
    const contents = reader.at;
    reader.skip(length);
    const limit = SECTION_LIMITS[id];
    if (limit !== undefined && length > limit) {
      throw invalid(
        `section ${id} of the module has ${formatBytes(length)} (expected at most ${formatBytes(limit)})`,
      );
    }
    sections.push({ id, start, contents, end: reader.at });
  }
  return sections;
}

function readImports(reader: Reader): { imports: Imports; memories: ImportedMemory[] } {
  const memories: ImportedMemory[] = [];
  const modules = new Set<string>();
  const count = reader.unsigned();
  const start = reader.at;
  for (let index = 0; index < count; index++) {
    const module = reader.name();
    const name = reader.name();
    modules.add(module);
    switch (reader.byte()) {
      case IMPORT.function:
        reader.unsigned();
        break;
      case IMPORT.table:
        reader.referenceType();
        reader.limits('table');
        break;
      case IMPORT.memory:
        memories.push({ module, name, limits: reader.limits('memory') });
        break;
      case IMPORT.global:
        reader.skip(2);
        break;
      case IMPORT.tag:
        reader.skip(1);
        reader.unsigned();
        break;
      default:
        throw invalid(`the module imports ${module}.${name} of an unknown kind`);
    }
  }
  return { imports: { count, start, end: reader.at, modules }, memories };
}

function readMemories(reader: Reader): Limits[] {
  const count = reader.unsigned();
  const memories: Limits[] = [];
  for (let index = 0; index < count; index++) memories.push(reader.limits('memory'));
  return memories;
}

function readTables(reader: Reader): Table[] {
  const count = reader.unsigned();
  const tables: Table[] = [];
  let elements = 0;
  for (let index = 0; index < count; index++) {
    const table = { type: reader.referenceType(), limits: reader.limits('table') };
    elements += table.limits.minimum;
    tables.push(table);
  }
  if (elements > MOST_TABLE_ELEMENTS) {
    throw invalid(
      `the module's tables have ${elements} elements (expected at most ${MOST_TABLE_ELEMENTS} in all)`,
    );
  }
  return tables;
}

/** Types must be functions: objects of the GC proposal would live on the JavaScript heap, which must not overflow. */
function checkTypes(reader: Reader): void {
  const count = reader.unsigned();
  for (let index = 0; index < count; index++) {
    const form = reader.byte();
    if (GC_TYPES.has(form)) {
      throw invalid(
        'the module uses garbage-collected types (expected WebAssembly 2.0, built for wasm32-wasip1)',
      );
    }
    if (form !== FUNCTION_TYPE) throw invalid(`the module has a type of an unknown form (${form})`);
    for (const _ of ['parameters', 'results']) {
      const values = reader.unsigned();
      for (let value = 0; value < values; value++) {
        const type = reader.byte();
        // References to a numbered type come with that number.
        if (type === 0x63 || type === 0x64) reader.unsigned();
      }
    }
  }
}

/**
 * Reads the parts of a module that say what memory it takes (WebAssembly 2.0, chapter 5.5), so that they can
 * be capped: the JavaScript API cannot limit a memory that a module defines itself. What is not read here is
 * left to the compiler to validate.
 * @throws NodeError WasmInvalid
 */
export function readModule(bytes: Uint8Array): ModuleShape {
  const magic = Buffer.from(bytes.subarray(0, 8)).toString('hex');
  if (magic === '0061736d0d000100') {
    throw invalid('this is a WebAssembly component (expected a core module, built for wasm32-wasip1)');
  }
  if (magic !== '0061736d01000000') {
    throw invalid('this is no WebAssembly module (expected one that begins with "\\0asm", version 1)');
  }
  const sections = sectionsOf(bytes);
  let memories: Limits[] = [];
  let tables: Table[] = [];
  let found: { imports: Imports; memories: ImportedMemory[] } = { imports: NO_IMPORTS, memories: [] };
  for (const { id, contents, end } of sections) {
    const reader = new Reader(bytes, contents, end);
    if (id === SECTION.type) checkTypes(reader);
    else if (id === SECTION.import) found = readImports(reader);
    else if (id === SECTION.table) tables = readTables(reader);
    else if (id === SECTION.memory) memories = readMemories(reader);
  }
  return { memories, imports: found.imports, importedMemories: found.memories, tables, sections };
}
