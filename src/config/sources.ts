import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { nearest } from '../core/nearest.ts';
import { readConfigFile } from './file.ts';
import { nearestKey } from './nearest.ts';
import { type Fault, originText, type RawValue } from './origin.ts';
import { allKeys, allSettings, envNames, flagNames, settingOfKey } from './settings.ts';
import type { Setting } from './table.ts';

/** What a configuration is made of. */
export interface Inputs {
  /** Texts by flag as typed, without dashes; "config" holds the values of -c. */
  readonly argvFlags: Readonly<Record<string, readonly string[]>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** Everything that was stated, the strongest source of each row first. */
export interface Sources {
  readonly raw: ReadonlyMap<string, RawValue>;
  readonly faults: readonly Fault[];
  readonly warnings: readonly string[];
  /** Files that were read. */
  readonly files: readonly string[];
}

/** `~` and the working directory resolved; "" stays "". */
export function resolvePath(text: string, inputs: Inputs): string {
  if (text === '') return '';
  const home = inputs.env['HOME'] ?? homedir();
  const expanded = text === '~' || text.startsWith('~/') ? join(home, text.slice(1)) : text;
  return isAbsolute(expanded) ? resolve(expanded) : resolve(inputs.cwd, expanded);
}

class Level {
  readonly #values = new Map<string, RawValue>();
  readonly #faults: Fault[];

  constructor(faults: Fault[]) {
    this.#faults = faults;
  }

  /** Keeps the value; two ways to say one thing must say the same. */
  add(setting: Setting, raw: RawValue): void {
    const known = this.#values.get(setting.key);
    if (known === undefined) {
      this.#values.set(setting.key, raw);
    } else if (JSON.stringify(known.texts) !== JSON.stringify(raw.texts)) {
      this.#faults.push({
        where: originText(raw.origin),
        message: `says something else than ${originText(known.origin)}; keep one of them`,
      });
    }
  }

  get(key: string): RawValue | undefined {
    return this.#values.get(key);
  }
}

function flagLevel(inputs: Inputs, faults: Fault[], files: string[]): Level {
  const level = new Level(faults);
  for (const setting of allSettings) {
    for (const flag of flagNames(setting)) {
      const texts = inputs.argvFlags[flag];
      if (texts !== undefined) level.add(setting, { origin: { kind: 'flag', flag }, texts, commas: true });
    }
  }
  for (const argument of inputs.argvFlags['config'] ?? []) {
    const at = argument.indexOf('=');
    if (at <= 0) {
      files.push(resolvePath(argument, inputs));
      continue;
    }
    const key = argument.slice(0, at);
    const setting = settingOfKey(key);
    if (setting === undefined) {
      faults.push({
        where: `--config ${key}`,
        message: `unknown key "${key}"; did you mean "${nearestKey(key, allKeys) ?? ''}"?`,
      });
    } else {
      const origin = { kind: 'flag', flag: `config ${key}` } as const;
      level.add(setting, { origin, texts: [argument.slice(at + 1)], commas: true });
    }
  }
  return level;
}

function envLevel(inputs: Inputs, faults: Fault[]): Level {
  const level = new Level(faults);
  for (const setting of allSettings) {
    // The short names are listed first: the first one that is set counts, because they are often exported globally.
    const name = envNames(setting).find((candidate) => (inputs.env[candidate] ?? '') !== '');
    if (name !== undefined) {
      level.add(setting, { origin: { kind: 'env', name }, texts: [inputs.env[name] ?? ''], commas: true });
    }
  }
  return level;
}

const CLIENT_ENV = ['BACALHAU_API_HOST', 'BACALHAU_API_PORT'];
/** Farther than this from every known name, a BACALHAU_ variable is somebody else's. */
const TYPO_DISTANCE = 3;

function envWarnings(env: Inputs['env']): string[] {
  const known = new Set([...allSettings.flatMap(envNames), ...CLIENT_ENV]);
  const warnings: string[] = [];
  for (const name of Object.keys(env)) {
    if (!name.startsWith('BACALHAU_') || known.has(name)) continue;
    const close = [...known].filter((candidate) => Math.abs(candidate.length - name.length) <= TYPO_DISTANCE);
    const best = nearest(name, close);
    if (best !== undefined && distance(name, best) <= TYPO_DISTANCE) {
      warnings.push(`environment variable ${name} is not known and has no effect; did you mean ${best}?`);
    }
  }
  return warnings;
}

/** Places in which two names of about equal length differ, from both ends: cheap, and enough for a typo. */
function distance(left: string, right: string): number {
  let start = 0;
  while (start < left.length && left[start] === right[start]) start += 1;
  let end = 0;
  while (
    end < left.length - start &&
    end < right.length - start &&
    left.at(-1 - end) === right.at(-1 - end)
  ) {
    end += 1;
  }
  return Math.max(left.length, right.length) - start - end;
}

/** Later files win over earlier ones, row by row. */
function addFile(path: string, into: Map<string, RawValue>, faults: Fault[]): void {
  const level = new Level(faults);
  const file = readConfigFile(path);
  faults.push(...file.faults);
  for (const { setting, raw } of file.values) level.add(setting, raw);
  for (const { setting } of file.values) {
    const raw = level.get(setting.key);
    if (raw !== undefined) into.set(setting.key, raw);
  }
}

/**
 * Gathers flags, environment and files. `config.yaml` of the data directory is read where no file is named with -c.
 * @param exists tells whether a file is there
 */
export function gather(inputs: Inputs, exists: (path: string) => boolean): Sources {
  const faults: Fault[] = [];
  const files: string[] = [];
  const flags = flagLevel(inputs, faults, files);
  const env = envLevel(inputs, faults);
  const fromFiles = new Map<string, RawValue>();
  for (const path of files) addFile(path, fromFiles, faults);

  const stated = flags.get('DataDir') ?? env.get('DataDir') ?? fromFiles.get('DataDir');
  const dataDir = resolvePath(stated?.texts[0] || '~/.bacalhau', inputs);
  const standard = join(dataDir, 'config.yaml');
  if (files.length === 0 && exists(standard)) {
    files.push(standard);
    addFile(standard, fromFiles, faults);
    const own = fromFiles.get('DataDir');
    if (own !== undefined && stated === undefined && resolvePath(own.texts[0] ?? '', inputs) !== dataDir) {
      faults.push({
        where: originText(own.origin),
        message: `names another data directory than the one this file is in; use --data-dir or BACALHAU_DIR`,
      });
    }
  }

  const raw = new Map<string, RawValue>();
  for (const setting of allSettings) {
    raw.set(
      setting.key,
      flags.get(setting.key) ??
        env.get(setting.key) ??
        fromFiles.get(setting.key) ?? {
          origin: { kind: 'default' },
          texts: [setting.default],
          commas: true,
        },
    );
  }
  return { raw, faults, warnings: envWarnings(inputs.env), files };
}
