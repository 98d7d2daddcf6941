import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Document, isMap, parseDocument } from 'yaml';
import { NodeError } from '../core/errors.ts';
import { nearestKey } from './nearest.ts';
import { parseSetting } from './parse.ts';
import { allKeys, keyNames, settingOfKey } from './settings.ts';
import { type Inputs, resolvePath } from './sources.ts';
import type { Setting } from './table.ts';

/** What YAML should hold, so that a list is a list there and a number a number. */
function yamlValue(setting: Setting, texts: readonly string[]): unknown {
  const text = texts.join(',');
  switch (setting.kind) {
    case 'list':
      return texts.flatMap((item) => item.split(',')).map((item) => item.trim());
    case 'map':
      return Object.fromEntries(
        texts.flatMap((item) => item.split(',')).map((item) => item.trim().split(/=(.*)/s, 2)),
      );
    case 'integer':
    case 'port':
      return Number(text);
    case 'boolean':
      return /^(?:1|t|true|yes|on)$/i.test(text);
    default:
      return text;
  }
}

/** Finds a key's path in the file as it is written there; letter case may differ. */
function pathInFile(document: Document, key: string): string[] {
  const path: string[] = [];
  let at: unknown = document.contents;
  for (const section of key.split('.')) {
    const found = isMap(at)
      ? at.items.find((pair) => String(pair.key).toLowerCase() === section.toLowerCase())
      : undefined;
    path.push(found === undefined ? section : String(found.key));
    at = found?.value;
  }
  return path;
}

/**
 * Writes one setting into a file, `config.yaml` of the data directory where none is named; comments stay.
 * No values remove it.
 * @returns the file's path
 * @throws NodeError ConfigInvalid
 */
export async function setInFile(
  inputs: Inputs,
  file: string | undefined,
  key: string,
  values: readonly string[],
): Promise<string> {
  const setting = settingOfKey(key);
  if (setting === undefined) {
    throw new NodeError(
      'ConfigInvalid',
      `unknown key "${key}"; did you mean "${nearestKey(key, allKeys) ?? ''}"?`,
    );
  }
  const raw = { origin: { kind: 'flag', flag: key }, texts: values, commas: true } as const;
  const parsed = parseSetting(
    setting,
    setting.kind === 'list' || setting.kind === 'map' ? raw : { ...raw, texts: [values.join(' ')] },
  );
  if ('wrong' in parsed) throw new NodeError('ConfigInvalid', `${key}: ${parsed.wrong}`);

  const dataDir = resolvePath(
    inputs.argvFlags['data-dir']?.[0] || inputs.env['BACALHAU_DIR'] || '~/.bacalhau',
    inputs,
  );
  const path = file === undefined ? join(dataDir, 'config.yaml') : resolvePath(file, inputs);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw new NodeError('ConfigInvalid', `cannot read ${path}: ${error.message}`, { cause: error });
  });
  const document = parseDocument(text);
  if (document.errors.length > 0 || (document.contents !== null && !isMap(document.contents))) {
    throw new NodeError('ConfigInvalid', `${path}: not a YAML mapping; it was left as it is`);
  }
  // An alias in the file would contradict the key that is written now.
  for (const name of keyNames(setting)) {
    const place = pathInFile(document, name);
    if (document.hasIn(place)) document.deleteIn(place);
  }
  if (values.some((value) => value !== '')) {
    document.setIn(pathInFile(document, setting.key), yamlValue(setting, values));
  }
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, String(document), { mode: 0o600 });
  await rename(temporary, path);
  return path;
}
