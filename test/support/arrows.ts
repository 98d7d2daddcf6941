import { readFile } from 'node:fs/promises';
import { posix } from 'node:path';

/**
 * Who may import whom. Everything may import core, telemetry and version.ts; the rest is this table, and it is
 * the whole of it: docs/ARCHITECTURE.md draws it, `.oxlintrc.json` repeats it, the architecture test holds all
 * three together.
 */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  core: [],
  telemetry: [],
  files: [],
  subprocess: [],
  config: [],
  store: [],
  capacity: ['subprocess'],
  events: ['store'],
  ipfs: ['files'],
  engines: ['files'],
  storages: ['ipfs', 'files'],
  publishers: ['ipfs', 'files'],
  workers: ['engines', 'storages', 'publishers', 'ipfs', 'capacity', 'subprocess', 'files'],
  pipeline: ['workers', 'store', 'capacity', 'files'],
  requester: ['store', 'capacity'],
  net: ['requester', 'pipeline', 'events', 'store'],
  node: [
    'net',
    'requester',
    'pipeline',
    'workers',
    'publishers',
    'storages',
    'engines',
    'ipfs',
    'events',
    'capacity',
    'store',
    'config',
    'subprocess',
    'files',
  ],
  cli: ['node', 'config', 'files', 'workers'],
  main: ['cli'],
};

const EVERYBODYS: readonly string[] = ['core', 'telemetry', 'version'];

/** Rooms whose folders are the five stages: no stage knows its sibling. */
const STAGED: readonly string[] = ['pipeline', 'workers'];
const STAGES: readonly string[] = ['ingest', 'bid', 'admit', 'execute', 'publish'];

/** Files that hold nothing but the shape of what crosses a boundary: types of them may be imported by any room below node. */
const CONTRACT =
  /^src\/(?:workers\/(?:[a-z]+\/)?protocol|engines\/engine|storages\/storage|publishers\/publisher)\.ts$/;
const CONTRACT_READERS: readonly string[] = ['pipeline', 'workers', 'storages', 'publishers', 'engines'];

const CONTRACT_ROOMS: readonly string[] = ['workers', 'engines', 'storages', 'publishers'];

/** What of workers the rooms above may run, not only name. */
const WORKERS_FOR_PIPELINE = /^src\/workers\/(?:pool|protocol|[a-z]+\/protocol)\.ts$/;
const WORKERS_FOR_CLI = /^src\/workers\/ingest\/[a-z-]+\.ts$/;

const OPTIONS_FILE = /(?:^|\/)(?:[a-z]+-)?options\.ts$/;
const CONFIG_TABLE = 'src/config/table.ts';

export interface Import {
  /** Path from the repository's root. */
  readonly file: string;
  /** Path from the root for a relative import, else the package. */
  readonly target: string;
  readonly typeOnly: boolean;
}

/** "src/net/api/ws.ts" is in "net". Files right under src belong to "node", but for main.ts and version.ts. */
export function roomOf(path: string): string {
  const [, first = '', second] = path.split('/');
  if (second !== undefined) return first;
  return first === 'main.ts' || first === 'version.ts' ? first.replace(/\.ts$/, '') : 'node';
}

function stageOf(path: string): string | undefined {
  const [, room = '', folder = ''] = path.split('/');
  return STAGED.includes(room) && STAGES.includes(folder) ? folder : undefined;
}

/** Why an import points the wrong way; undefined when it does not. */
export function faultOf({ file, target, typeOnly }: Import): string | undefined {
  if (!target.startsWith('src/')) {
    return target === 'piscina' && file !== 'src/workers/pool.ts'
      ? 'only src/workers/pool.ts imports piscina'
      : undefined;
  }
  const from = roomOf(file);
  const to = roomOf(target);
  const isContract = typeOnly && CONTRACT.test(target);
  const stage = stageOf(file);
  const targetStage = stageOf(target);
  if (stage !== undefined && targetStage !== undefined && stage !== targetStage && !isContract) {
    return `stage ${stage} imports its sibling ${targetStage}`;
  }
  if (from === to || EVERYBODYS.includes(to)) return undefined;
  if (target === CONFIG_TABLE && OPTIONS_FILE.test(file)) return undefined;
  if (from === 'config') {
    return OPTIONS_FILE.test(target) ? undefined : 'config imports the rooms\u2019 options.ts only';
  }
  if (isContract && CONTRACT_READERS.includes(from)) return undefined;
  if (!(ARROWS[from] ?? []).includes(to)) return `${from} may not import ${to}`;
  if (from === 'pipeline' && to === 'workers' && !WORKERS_FOR_PIPELINE.test(target)) {
    return 'pipeline imports of workers the pool and the protocols only';
  }
  if (from === 'cli' && to === 'workers' && !WORKERS_FOR_CLI.test(target)) {
    return 'cli imports of workers the checks of ingest only';
  }
  return undefined;
}

const SPECIFIER =
  /(?:^|\n)\s*(?:import|export)\s+(type\s+)?(?:[\w*\s{},$]+?\s+from\s+)?'([^']+)'|\bimport\(\s*'([^']+)'\s*\)|new URL\(\s*'(\.[^']+)'/g;

/** The imports of a source text, static, dynamic and re-exports. */
export function importsOf(file: string, text: string): Import[] {
  const found: Import[] = [];
  for (const [statement, type, fixed, dynamic, url] of text.matchAll(SPECIFIER)) {
    const specifier = fixed ?? dynamic ?? url ?? '';
    const target = specifier.startsWith('.')
      ? posix.normalize(posix.join(posix.dirname(file), specifier))
      : specifier
          .split('/')
          .slice(0, specifier.startsWith('@') ? 2 : 1)
          .join('/');
    const names = /\{([^}]*)\}/
      .exec(statement)?.[1]
      ?.split(',')
      .filter((name) => name.trim() !== '');
    const inline =
      names !== undefined && names.every((name) => /^\s*type\s/.test(name)) && !/import\s+\w/.test(statement);
    found.push({ file, target, typeOnly: type !== undefined || inline });
  }
  return found;
}

/** Imports of a file that is there. */
export async function readImports(root: string, file: string): Promise<Import[]> {
  return importsOf(file, await readFile(posix.join(root, file), 'utf8'));
}

export interface RestrictedImports {
  readonly files: readonly string[];
  readonly rules: Readonly<Record<string, unknown>>;
}

function restriction(files: readonly string[], patterns: readonly object[]): RestrictedImports {
  const paths = [{ name: 'piscina', message: 'only src/workers/pool.ts imports piscina' }];
  return { files, rules: { 'no-restricted-imports': ['error', { paths, patterns }] } };
}

/** Matches a relative import that goes up to src and into one of the rooms. */
function regexOf(rooms: readonly string[]): string {
  const files = rooms.filter((room) => room === 'main' || room === 'node');
  const file = files.length > 0 ? `|(?:${files.join('|')})\\.ts$` : '';
  return `^(?:\\.\\./)+(?:(?:${rooms.join('|')})/${file})`;
}

function patternsOf(room: string, rooms: readonly string[]): object[] {
  const forbidden = rooms.filter((other) => other !== room && !(ARROWS[room] ?? []).includes(other));
  const named = CONTRACT_READERS.includes(room)
    ? forbidden.filter((other) => CONTRACT_ROOMS.includes(other))
    : [];
  const patterns: object[] = [
    {
      regex: regexOf(forbidden.filter((other) => !named.includes(other))),
      message: `${room} may not import it: see docs/ARCHITECTURE.md`,
    },
  ];
  if (named.length > 0) {
    patterns.push({
      regex: regexOf(named),
      allowTypeImports: true,
      message: `${room} may import types of it only`,
    });
  }
  return patterns;
}

/**
 * The table as the linter's overrides, folder by folder. What its patterns cannot say (config imports the
 * rooms' options.ts only, which files hold contracts) is left to the architecture test.
 */
export function linterOverrides(): RestrictedImports[] {
  const rooms = Object.keys(ARROWS).filter((room) => !EVERYBODYS.includes(room));
  const overrides: RestrictedImports[] = [];
  for (const room of Object.keys(ARROWS)) {
    if (room === 'config') continue;
    const files = room === 'main' ? ['src/main.ts'] : [`src/${room}/**`];
    if (room === 'node') files.push('src/*.ts');
    const patterns = patternsOf(room, rooms);
    overrides.push(restriction(files, patterns));
    for (const stage of STAGED.includes(room) ? STAGES : []) {
      const siblings = STAGES.filter((other) => other !== stage).join('|');
      const sibling = {
        regex: `^\\.\\./(?:\\.\\./workers/)?(?:${siblings})/`,
        allowTypeImports: true,
        message: `stage ${stage} may not import its siblings`,
      };
      overrides.push(restriction([`src/${room}/${stage}/**`], [...patterns, sibling]));
    }
  }
  const tableOnly = {
    regex: regexOf(rooms.filter((room) => room !== 'config')),
    message: 'options.ts imports core, its own room and config/table.ts only',
  };
  overrides.push(restriction(['src/**/options.ts', 'src/node-options.ts'], [tableOnly]));
  overrides.push({ files: ['src/workers/pool.ts'], rules: { 'no-restricted-imports': 'off' } });
  return overrides;
}
