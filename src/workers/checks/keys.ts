import type { Faults } from './faults.ts';

/** An object as it came in: any keys, any values. */
export type Source = Readonly<Record<string, unknown>>;

/** The fields of one struct of the wire, found by any casing of their names, as Go's decoder does. */
export interface Fields {
  readonly exact: ReadonlySet<string>;
  readonly folded: ReadonlyMap<string, string>;
}

export function fields(...names: string[]): Fields {
  return { exact: new Set(names), folded: new Map(names.map((name) => [name.toLowerCase(), name])) };
}

export function isObject(value: unknown): value is Source {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * `value`'s fields under their canonical names; the last of several casings wins. Null is an empty struct, as in
 * Go. Unknown keys are left out.
 */
export function readStruct(value: unknown, path: string, known: Fields, faults: Faults): Source {
  if (value === null || value === undefined) return {};
  if (!isObject(value)) {
    faults.mistyped(path, 'an object', value);
    return {};
  }
  const struct: Record<string, unknown> = {};
  for (const key in value) {
    const name = known.exact.has(key) ? key : known.folded.get(key.toLowerCase());
    if (name === undefined) faults.unknownKey(path, key);
    else struct[name] = value[key];
  }
  return struct;
}

/** Text of a field; "" when absent or null. */
export function readText(struct: Source, key: string, path: string, faults: Faults): string {
  const value = struct[key];
  if (typeof value === 'string') return value;
  if (value !== null && value !== undefined) faults.mistyped(`${path}.${key}`, 'a string', value);
  return '';
}

/** A whole number; `absent` when absent or null. */
export function readInteger(
  struct: Source,
  key: string,
  path: string,
  faults: Faults,
  absent: number,
): number {
  const value = struct[key];
  if (value === null || value === undefined) return absent;
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  if (typeof value === 'number') faults.add(`${path}.${key}`, 'expected a whole number');
  else faults.mistyped(`${path}.${key}`, 'a whole number', value);
  return absent;
}

/** More of anything in one job is a mistake, or an attempt to keep the thread busy. */
const MOST_ELEMENTS = 10_000;

/** The elements of a list; none when absent or null. */
export function readList(value: unknown, path: string, faults: Faults): readonly unknown[] {
  if (Array.isArray(value) && value.length <= MOST_ELEMENTS) return value;
  if (Array.isArray(value)) {
    faults.tooMany(path, value.length, MOST_ELEMENTS);
    return [];
  }
  if (value !== null && value !== undefined) faults.mistyped(path, 'an array', value);
  return [];
}

/** A list of texts. */
export function readTexts(value: unknown, path: string, faults: Faults): string[] {
  const texts: string[] = [];
  for (const [index, element] of readList(value, path, faults).entries()) {
    if (typeof element === 'string') texts.push(element);
    else faults.mistyped(`${path}[${index}]`, 'a string', element);
  }
  return texts;
}

/** A free-form map of text to text, keys in order; empty when absent or null. */
export function readTextMap(value: unknown, path: string, faults: Faults): Record<string, string> {
  const map: Record<string, string> = {};
  if (value === null || value === undefined) return map;
  if (!isObject(value)) {
    faults.mistyped(path, 'an object with text values', value);
    return map;
  }
  for (const key of Object.keys(value).sort()) {
    const text = value[key];
    if (key === '__proto__') faults.add(path, 'the key "__proto__" is not allowed');
    else if (typeof text === 'string') map[key] = text;
    else faults.mistyped(entryPath(path, key), 'a string (quote numbers and booleans)', text);
  }
  return map;
}

const PLAIN_KEY = /^[\w./-]{1,64}$/;

/** Path of a free-form map's entry; keys that would not read as part of a path are quoted and cut. */
export function entryPath(path: string, key: string): string {
  return PLAIN_KEY.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key.slice(0, 64))}]`;
}

/** Nesting of a free-form value that no honest job needs. */
const DEEPEST = 32;

/**
 * A free-form value with every map's keys in order, so that equal jobs are equal bytes. What is in order
 * already is returned as it is.
 */
export function inKeyOrder(value: unknown, path: string, faults: Faults, depth = 0): unknown {
  if (typeof value === 'number' && !Number.isFinite(value)) faults.add(path, 'expected a finite number');
  if (typeof value !== 'object' || value === null) return value;
  if (depth > DEEPEST) {
    faults.add(path, `nested deeper than ${DEEPEST} levels`);
    return null;
  }
  if (Array.isArray(value)) {
    let changed: unknown[] | undefined;
    for (const [index, element] of value.entries()) {
      if (typeof element === 'string') continue;
      const ordered = inKeyOrder(element, `${path}[${index}]`, faults, depth + 1);
      if (ordered === element) continue;
      changed ??= [...value];
      changed[index] = ordered;
    }
    return changed ?? value;
  }
  return objectInKeyOrder(value as Source, path, faults, depth);
}

function objectInKeyOrder(value: Source, path: string, faults: Faults, depth: number): Source {
  const keys = Object.keys(value);
  const map: Record<string, unknown> = {};
  let same = true;
  for (let index = 1; index < keys.length; index += 1) {
    if ((keys[index - 1] ?? '') > (keys[index] ?? '')) same = false;
  }
  if (!same) keys.sort();
  for (const key of keys) {
    if (key === '__proto__') {
      faults.add(path, 'the key "__proto__" is not allowed');
      continue;
    }
    const given = value[key];
    const simple = typeof given === 'string' || typeof given === 'boolean' || given === null;
    const ordered = simple ? given : inKeyOrder(given, entryPath(path, key), faults, depth + 1);
    if (ordered !== given) same = false;
    map[key] = ordered;
  }
  return same ? value : map;
}
