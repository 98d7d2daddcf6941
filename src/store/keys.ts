import { createHash } from 'node:crypto';
import { NodeError } from '../core/errors.ts';
import type { Key } from './environment.ts';

/** LMDB takes 1,978 bytes; an element costs a separator and an escape at most. */
const MAX_KEY_BYTES = 1900;

/** Longer texts (names, namespaces) stand in keys as their digest. */
const MAX_KEY_TEXT = 256;

/** Sorts after every text that is an id or a name. */
export const LAST_TEXT = '\uffff';

/** Sorts after every number that is a sequence number or a time. */
export const LAST_NUMBER: number = Number.MAX_SAFE_INTEGER;

const SURROGATES_START = 0xd800;
const SURROGATES_END = 0xdfff;

/** By code point, which is the order of the UTF-8 bytes LMDB compares. */
function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) {
      const xHigh = x >= SURROGATES_START && x <= SURROGATES_END;
      const yHigh = y >= SURROGATES_START && y <= SURROGATES_END;
      return xHigh === yHigh ? x - y : xHigh ? 1 : -1;
    }
  }
  return a.length - b.length;
}

function compareElements(a: string | number, b: string | number): number {
  if (typeof a === 'number') return typeof b === 'number' ? a - b : -1;
  return typeof b === 'number' ? 1 : compareText(a, b);
}

/** Order of keys: element by element, numbers before text, a prefix before what it begins. */
export function compareKeys(a: Key, b: Key): number {
  if (typeof a !== 'object' && typeof b !== 'object') return compareElements(a, b);
  const left = typeof a === 'object' ? a : [a];
  const right = typeof b === 'object' ? b : [b];
  const length = Math.min(left.length, right.length);
  for (let i = 0; i < length; i++) {
    const order = compareElements(left[i] ?? '', right[i] ?? '');
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

function elementBytes(element: string | number): number {
  return typeof element === 'number' ? 10 : element.length * 3 + 2;
}

function keyBytes(key: Key): number {
  if (typeof key !== 'object') return elementBytes(key);
  let bytes = 0;
  for (const element of key) bytes += elementBytes(element);
  return bytes;
}

/** False for a key longer than any row's: people may ask for anything. */
export function mayExist(key: Key | undefined): boolean {
  return key === undefined || keyBytes(key) <= MAX_KEY_BYTES;
}

/**
 * Refuses a key that LMDB could not take, before anything of its change is written.
 * @throws NodeError StoreFailed
 */
export function checkKey(table: string, key: Key): void {
  const bytes = keyBytes(key);
  if (bytes > 0 && bytes <= MAX_KEY_BYTES) return;
  const what = bytes === 0 ? 'empty' : `up to ${bytes} bytes long`;
  throw new NodeError(
    'StoreFailed',
    `a key of table ${table} is ${what}; expected 1 to ${MAX_KEY_BYTES} bytes`,
  );
}

/** A text of any length as an element of a key: itself, or its digest. */
export function shortText(text: string): string {
  return text.length <= MAX_KEY_TEXT ? text : `sha256:${createHash('sha256').update(text).digest('hex')}`;
}
