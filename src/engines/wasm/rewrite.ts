import {
  HAS_MAXIMUM,
  IMPORT,
  type Limits,
  MOST_PAGES,
  MOST_TABLE_ELEMENTS,
  type ModuleShape,
  PAGE_BYTES,
  SECTION,
  type Table,
} from './binary.ts';

/**
 * The name by which a module imports the memory that it is lent. One that imports from a module of this very name is
 * left as it is.
 */
export const LENT: { readonly module: string; readonly name: string } = {
  module: 'bacalhau',
  name: 'memory',
};
/** A memory that starts with more is made anew for each run: to clear it would take longer than to map another. */
export const MOST_LENT_BYTES: number = 2 * 1024 * 1024;

/** Pages a memory starts with, and most it may have. */
export interface MemoryPages {
  readonly initial: number;
  readonly maximum: number;
}

/**
 * The memory that a module of this shape is to be lent: its only one, unless that is large. To map a memory, touch it and
 * give it back takes the kernel longer than all else of a short run, and other threads wait for it meanwhile.
 */
export function lentMemory(
  { memories, imports, importedMemories }: ModuleShape,
  maximumPages: readonly number[],
): MemoryPages | undefined {
  const [memory] = memories;
  if (memory === undefined || memories.length > 1 || importedMemories.length > 0) return undefined;
  if (memory.minimum * PAGE_BYTES > MOST_LENT_BYTES || imports.modules.has(LENT.module)) return undefined;
  return { initial: memory.minimum, maximum: capOf(memory, maximumPages[0]) };
}

/**
 * The module `bytes`, of this shape, with its memories capped at `maximumPages`, in order, and its tables too. Where it is
 * to be `lent` its memory, it imports that as the last of its imports instead of defining it.
 */
export function rewriteModule(
  bytes: Uint8Array,
  shape: ModuleShape,
  maximumPages: readonly number[],
  lent: MemoryPages | undefined,
): Uint8Array {
  const parts: Uint8Array[] = [];
  let kept = 0;
  let imports = lent === undefined ? undefined : importSection(bytes, shape, lent);
  for (const { id, start, end } of shape.sections) {
    if (imports !== undefined && id !== SECTION.custom && id !== SECTION.type) {
      parts.push(bytes.subarray(kept, start), encodeSection(SECTION.import, imports));
      imports = undefined;
      kept = id === SECTION.import ? end : start;
    }
    let body: number[];
    if (id === SECTION.table && shape.tables.length > 0) body = tableSection(shape.tables);
    else if (id === SECTION.memory && shape.memories.length > 0) {
      // An empty section instead of none: the compiler still sees where it was.
      body = memorySection(lent === undefined ? shape.memories : [], maximumPages);
    } else continue;
    parts.push(bytes.subarray(kept, start), encodeSection(id, Uint8Array.from(body)));
    kept = end;
  }
  if (kept === 0) return bytes;
  parts.push(bytes.subarray(kept));
  return Buffer.concat(parts);
}

function leb(value: number): number[] {
  const out: number[] = [];
  let left = value;
  do {
    const low = left % 128;
    left = Math.floor(left / 128);
    out.push(left === 0 ? low : low | 0x80);
  } while (left > 0);
  return out;
}

function encodeSection(id: number, body: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.from([id, ...leb(body.length)]), body]);
}

function encodeLimits(minimum: number, maximum: number): number[] {
  return [HAS_MAXIMUM, ...leb(minimum), ...leb(maximum)];
}

function encodeName(name: string): number[] {
  return [...leb(Buffer.byteLength(name)), ...Buffer.from(name)];
}

/** The module's imports, and its memory as one more. */
function importSection(bytes: Uint8Array, { imports }: ModuleShape, lent: MemoryPages): Uint8Array {
  return Buffer.concat([
    Uint8Array.from(leb(imports.count + 1)),
    bytes.subarray(imports.start, imports.end),
    Uint8Array.from([
      ...encodeName(LENT.module),
      ...encodeName(LENT.name),
      IMPORT.memory,
      ...encodeLimits(lent.initial, lent.maximum),
    ]),
  ]);
}

function tableSection(tables: readonly Table[]): number[] {
  const minimum = tables.reduce((sum, table) => sum + table.limits.minimum, 0);
  const share = Math.floor((MOST_TABLE_ELEMENTS - minimum) / tables.length);
  return [
    ...leb(tables.length),
    ...tables.flatMap(({ type, limits }) => [
      type,
      ...encodeLimits(limits.minimum, Math.min(limits.maximum ?? Infinity, limits.minimum + share)),
    ]),
  ];
}

function capOf({ maximum }: Limits, pages: number | undefined): number {
  return Math.min(maximum ?? MOST_PAGES, pages ?? MOST_PAGES);
}

function memorySection(memories: readonly Limits[], maximumPages: readonly number[]): number[] {
  return [
    ...leb(memories.length),
    ...memories.flatMap((limits, index) => encodeLimits(limits.minimum, capOf(limits, maximumPages[index]))),
  ];
}
