import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commandLine } from './command-line.ts';

const KEPT = /^(?:PATH|LANG|LC_.*|TZ|USER|LOGNAME|NODE_PATH)$/;

const children = new Set<ChildProcess>();
let isGuarded = false;

/** Children do not outlive this process, however it ends. */
function guard(child: ChildProcess): void {
  children.add(child);
  child.once('exit', () => children.delete(child));
  if (isGuarded) return;
  isGuarded = true;
  process.on('exit', () => {
    for (const one of children) one.kill('SIGKILL');
  });
  process.once('SIGTERM', () => process.exit(143));
}

/** What a child gets: nothing of this machine's settings. */
function cleanEnv(folder: string, env: Readonly<Record<string, string>> = {}): Record<string, string> {
  const clean: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (KEPT.test(name) && value !== undefined) clean[name] = value;
  }
  // An engine of this machine must not be touched by accident: a test names the one it may use.
  const own = {
    HOME: folder,
    TMPDIR: join(folder, 'tmp'),
    DOCKER_HOST: `unix://${join(folder, 'no-docker')}`,
  };
  return { ...clean, ...own, ...env };
}

/** Folders of one child. */
export interface Folders {
  /** Home of the child; holds `tmp`. */
  readonly home: string;
  readonly dataDir: string;
}

/** What a child is started with. */
export interface ChildOptions {
  readonly flags?: readonly string[];
  readonly dataDir?: string;
  /** Nothing after `serve` but `flags`. */
  readonly bare?: boolean;
}

/** New folders; `dataDir` is used as it is when it is given. */
export async function makeFolders({ dataDir, bare }: ChildOptions): Promise<Folders> {
  const home = await mkdtemp(join(tmpdir(), 'bacalhau-node-'));
  await mkdir(join(home, 'tmp'));
  return { home, dataDir: dataDir ?? join(home, bare === true ? '.bacalhau' : 'data') };
}

/** A child, what it has printed, and its end. */
export interface Spawned {
  readonly child: ChildProcess;
  readonly printed: { stdout: string; stderr: string };
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

/** Starts the program under test with an environment of its own. */
export async function spawnCommand(
  args: readonly string[],
  options: {
    folders: Folders;
    env?: Readonly<Record<string, string>>;
    execArgv?: readonly string[];
    stdin?: string;
    /** Goes in front of the command. */
    inside?: readonly string[];
  },
): Promise<Spawned> {
  const { folders } = options;
  const node = [process.execPath, ...(options.execArgv ?? []), await commandLine(), ...args];
  const [file = '', ...rest] = [...(options.inside ?? []), ...node];
  const child = spawn(file, rest, {
    cwd: folders.home,
    env: cleanEnv(folders.home, options.env),
    stdio: [options.stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  guard(child);
  const printed = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    printed.stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    printed.stderr += text;
  });
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(options.stdin);
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once('error', () => resolve({ code: -1, signal: null }));
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  return { child, printed, ended };
}

/** `serve` with free ports and everything of this test, unless it is to be bare. */
export function serveArgs(folders: Folders, { flags = [], bare }: ChildOptions): string[] {
  if (bare === true) return ['serve', ...flags];
  const own: string[] = ['serve', '--data-dir', folders.dataDir];
  const standard: readonly (readonly [string, string])[] = [
    ['--api-port', '0'],
    ['--port', '0'],
    ['--swarm-host', '127.0.0.1'],
    ['--job-selection-data-locality', 'anywhere'],
  ];
  for (const [flag, value] of standard) if (!flags.includes(flag)) own.push(flag, value);
  return [...own, ...flags];
}
