import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { envNames, settingOfKey } from '../../src/config/settings.ts';
import { type Scope, startTestNode, type TestNode } from './node.ts';

/** Where the value of a setting comes from. */
export type Source = 'flags' | 'environment variables' | 'config.yaml';

export const SOURCES: readonly Source[] = ['flags', 'environment variables', 'config.yaml'];

/** Values by key of the config table. */
export type Values = Readonly<Record<string, string>>;

function flagsOf(values: Values): string[] {
  return Object.entries(values).map(([key, value]) => {
    const flag = settingOfKey(key)?.flag;
    return flag === undefined ? `--config=${key}=${value}` : `--${flag}=${value}`;
  });
}

function envOf(values: Values): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => {
      const setting = settingOfKey(key);
      if (setting === undefined) throw new Error(`no setting ${key}`);
      return [envNames(setting)[0] ?? '', value];
    }),
  );
}

/** The values as a file with its sections nested. */
function yamlOf(values: Values): string {
  const root: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(values)) {
    const sections = key.split('.');
    const last = sections.pop() ?? '';
    let at = root;
    for (const section of sections) at = (at[section] ??= {}) as Record<string, unknown>;
    at[last] = value;
  }
  return stringify(root);
}

/** A node with exactly these settings, all of them from one kind of source. */
export async function nodeWith(
  scope: Scope,
  source: Source,
  values: Values,
  env: Readonly<Record<string, string>> = {},
): Promise<TestNode> {
  const folder = await mkdtemp(join(tmpdir(), 'bacalhau-settings-'));
  try {
    return await nodeIn(join(folder, 'data'), scope, source, values, env);
  } finally {
    // Registered after the node's own clean-up, which ends it.
    scope.after(() => rm(folder, { recursive: true, force: true }));
  }
}

async function nodeIn(
  dataDir: string,
  scope: Scope,
  source: Source,
  values: Values,
  env: Readonly<Record<string, string>>,
): Promise<TestNode> {
  const own = { BACALHAU_DIR: dataDir, ...env };
  switch (source) {
    case 'flags':
      return startTestNode(scope, { bare: true, dataDir, env: own, flags: flagsOf(values) });
    case 'environment variables':
      return startTestNode(scope, { bare: true, dataDir, env: { ...own, ...envOf(values) } });
    case 'config.yaml':
      await mkdir(dataDir, { recursive: true });
      await writeFile(join(dataDir, 'config.yaml'), yamlOf(values));
      return startTestNode(scope, { bare: true, dataDir, env: own });
  }
}
