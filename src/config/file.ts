import { existsSync, readFileSync, statSync } from 'node:fs';
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLMap } from 'yaml';
import { nearestKey } from './nearest.ts';
import type { Fault, RawValue } from './origin.ts';
import { allKeys, settingOfKey } from './settings.ts';
import type { Setting } from './table.ts';

/** Values of one file, by the row they belong to. */
export interface FileValues {
  readonly values: readonly { readonly setting: Setting; readonly raw: RawValue }[];
  readonly faults: readonly Fault[];
}

/** Larger than any configuration, smaller than what would hurt. */
const MAX_FILE_BYTES = 1_048_576;

function scalarText(node: unknown): string | undefined {
  if (!isScalar(node)) return undefined;
  if (node.value === null || node.value === undefined) return '';
  // The source keeps what a number would lose: "010", "1e3", "0.10".
  return typeof node.value === 'number' && node.source !== undefined ? node.source : String(node.value);
}

/** Texts of a leaf, or a sentence that says what is wrong with it. */
function leafTexts(setting: Setting, node: unknown): { texts: string[]; commas: boolean } | string {
  const single = scalarText(node);
  if (single !== undefined) return { texts: [single], commas: true };
  if (setting.kind === 'list' && isSeq(node)) {
    const texts = node.items.map(scalarText);
    return texts.some((text) => text === undefined)
      ? 'expected a list of plain values'
      : { texts: texts.filter((text) => text !== undefined), commas: false };
  }
  if (setting.kind === 'map' && isMap(node)) {
    const texts = node.items.map((pair) => {
      const value = scalarText(pair.value);
      return value === undefined ? undefined : `${scalarText(pair.key) ?? ''}=${value}`;
    });
    return texts.some((text) => text === undefined)
      ? 'expected plain values under the names'
      : { texts: texts.filter((text) => text !== undefined), commas: false };
  }
  if (setting.kind === 'list') return 'expected a list';
  return setting.kind === 'map' ? 'expected names with values' : 'expected one value';
}

/**
 * Reads a YAML (or JSON) file. Keys are found in any case, canonical or alias. Faults are collected, not thrown.
 */
export function readConfigFile(path: string): FileValues {
  const values: { setting: Setting; raw: RawValue }[] = [];
  const faults: Fault[] = [];
  const fail = (line: number, message: string): void => {
    faults.push({ where: line > 0 ? `${path}:${line}` : path, message });
  };
  if (!existsSync(path)) {
    fail(0, 'no such file');
    return { values, faults };
  }
  const stat = statSync(path);
  if (!stat.isFile() || stat.size > MAX_FILE_BYTES) {
    fail(0, stat.isFile() ? `larger than ${MAX_FILE_BYTES} bytes` : 'not a file');
    return { values, faults };
  }
  const lines = new LineCounter();
  const document = parseDocument(readFileSync(path, 'utf8'), { lineCounter: lines });
  const lineOf = (node: unknown): number => {
    const range = (node as Node | null)?.range;
    return range ? lines.linePos(range[0]).line : 1;
  };
  for (const error of document.errors) {
    fail(error.linePos?.[0].line ?? 1, `not valid YAML: ${error.message.split('\n')[0] ?? ''}`);
  }
  if (document.errors.length > 0) return { values, faults };

  const walk = (map: YAMLMap, prefix: string): void => {
    for (const pair of map.items) {
      const key = `${prefix}${scalarText(pair.key) ?? ''}`;
      const line = lineOf(pair.key);
      const setting = settingOfKey(key);
      if (setting !== undefined) {
        const leaf = leafTexts(setting, pair.value);
        if (typeof leaf === 'string') fail(line, `${key}: ${leaf}`);
        else values.push({ setting, raw: { ...leaf, origin: { kind: 'file', path, line, key } } });
      } else if (isMap(pair.value)) {
        walk(pair.value, `${key}.`);
      } else {
        fail(line, `unknown key "${key}"; did you mean "${nearestKey(key, allKeys) ?? ''}"?`);
      }
    }
  };
  if (isMap(document.contents)) walk(document.contents, '');
  else if (document.contents !== null && scalarText(document.contents) !== '') {
    fail(1, 'expected a mapping of keys to values');
  }
  return { values, faults };
}
