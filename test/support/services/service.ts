import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access, mkdir, open, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

/**
 * What a test service (Docker Engine, registry, Kubo, clang) comes to: `env` for the test processes and a way
 * to stop it, or the reason why the tests that need it are skipped. `start<Name>()` of each file in this folder
 * returns one; it never throws for something that is merely absent.
 */
export type ServiceStart = RunningService | SkippedService;

export interface RunningService {
  /** Passed to every test process: BACALHAU_TEST_DOCKER_HOST, BACALHAU_TEST_REGISTRY, ... */
  readonly env: Readonly<Record<string, string>>;
  /** Ends what was started, by its pid, and removes its folders. Idempotent. */
  stop(): Promise<void>;
}

export interface SkippedService {
  /** One sentence for people: what is missing, and what would provide it. */
  readonly skip: string;
}

export interface CommandResult {
  /** -1 when it could not be started or ran past its deadline. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly cwd?: string;
  /** On top of this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default 60 s. The whole process group is killed at the end of it. */
  readonly timeoutMs?: number;
  readonly input?: string | Uint8Array;
}

/** True where TEST_SERVICES=none: nothing may be installed or started. */
export function servicesForbidden(): boolean {
  return process.env['TEST_SERVICES'] === 'none';
}

/** Prints one line about services; all of them look alike. */
export function say(text: string): void {
  console.log(`services: ${text}`);
}

/** Runs a command without a shell and collects its output (the last 1 MiB of each stream). Never rejects. */
export function run(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = spawn(command, [...args], {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    let stdout = '';
    let stderr = '';
    let expired = false;
    const timeoutMs = options.timeoutMs ?? 60_000;
    const timer = setTimeout(() => {
      expired = true;
      signalGroup(child.pid, 'SIGKILL');
    }, timeoutMs);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout = (stdout + text).slice(-1_048_576);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr = (stderr + text).slice(-1_048_576);
    });
    child.on('error', (error) => {
      clearTimeout(timer);
      resolve({ code: -1, stdout, stderr: `${stderr}${error.message}` });
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({
        code: expired ? -1 : (code ?? -1),
        stdout,
        stderr: expired ? `${stderr}\n${command} ran past ${timeoutMs} ms and was killed` : stderr,
      });
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input);
  });
}

function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // The group has ended already.
  }
}

/** Absolute path of an executable: on PATH, or where Debian keeps daemons, or where Go's installer puts Go. */
export async function which(name: string): Promise<string | undefined> {
  const folders = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    '/usr/sbin',
    '/sbin',
    '/usr/local/sbin',
    '/usr/local/go/bin',
  ];
  for (const folder of folders) {
    if (folder === '') continue;
    const path = join(folder, name);
    try {
      await access(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

/** True as root on Debian or a system made of it: packages may be installed. */
export async function isRootDebian(): Promise<boolean> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false;
  try {
    const release = await readFile('/etc/os-release', 'utf8');
    return /^(ID|ID_LIKE)=.*\bdebian\b/m.test(release) && (await which('apt-get')) !== undefined;
  } catch {
    return false;
  }
}

async function isInstalled(name: string): Promise<boolean> {
  const status = await run('dpkg-query', ['-W', '-f=${db:Status-Abbrev}', name]);
  return status.code === 0 && status.stdout.startsWith('ii');
}

/** Those of `packages` that are not installed yet. */
export async function missingPackages(packages: readonly string[]): Promise<string[]> {
  const installed = await Promise.all(packages.map(isInstalled));
  return packages.filter((_, index) => installed[index] !== true);
}

/**
 * Installs what is missing of `packages`, as root on Debian and unless TEST_SERVICES=none.
 * Undefined when all are there afterwards, else the reason why not.
 */
export async function aptInstall(packages: readonly string[]): Promise<string | undefined> {
  if (!(await isRootDebian())) return 'packages are installed only as root on Debian';
  const missing = await missingPackages(packages);
  if (missing.length === 0) return undefined;
  if (servicesForbidden()) return `TEST_SERVICES=none, and these packages are missing: ${missing.join(', ')}`;
  say(`apt-get install ${missing.join(' ')}`);
  const env = { DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  // Test files may want packages at the same time.
  const install = ['-o', 'DPkg::Lock::Timeout=300', 'install', '-y', '--no-install-recommends', ...missing];
  const first = await run('apt-get', install, { env, timeoutMs: 600_000 });
  if (first.code === 0) return undefined;
  await run('apt-get', ['update'], { env, timeoutMs: 300_000 });
  const second = await run('apt-get', install, { env, timeoutMs: 600_000 });
  return second.code === 0
    ? undefined
    : `apt-get install ${missing.join(' ')} failed: ${second.stderr.trim().slice(-300)}`;
}

/** A folder that outlives test runs (built Kubo, downloaded images); made when it is not there. */
export async function cacheDirectory(name = ''): Promise<string> {
  const base = process.env['XDG_CACHE_HOME'];
  const root = base !== undefined && base !== '' ? base : join(homedir(), '.cache');
  const path = join(root, 'bacalhau-node-test', name);
  await mkdir(path, { recursive: true });
  return path;
}

/** A TCP port of 127.0.0.1 that nobody listens on at the moment. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('no TCP port'));
        else resolve(address.port);
      });
    });
  });
}

export interface Daemon {
  readonly pid: number;
  /** Resolves when it has ended, for whatever reason. */
  readonly ended: Promise<void>;
}

/** Starts a daemon in a process group of its own with its output in `logFile`. @throws Error when it cannot be started */
export async function startDaemon(
  command: string,
  args: readonly string[],
  options: { logFile: string; cwd?: string; env?: Readonly<Record<string, string>> },
): Promise<Daemon> {
  const log = await open(options.logFile, 'a');
  try {
    const child = spawn(command, [...args], {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', log.fd, log.fd],
      detached: true,
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    const ended = new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
    });
    child.unref();
    if (child.pid === undefined) throw new Error(`${command} has no pid`);
    return { pid: child.pid, ended };
  } finally {
    await log.close();
  }
}

/** True while a process has this pid and is no zombie. */
export async function isAlive(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    return !/\) [ZX] /.test(stat);
  } catch {
    return process.platform !== 'linux';
  }
}

/** SIGTERM, and SIGKILL to what is still there after `graceMs` (default 10 s). Resolves when the process has ended. */
export async function stopByPid(pid: number, graceMs = 10_000): Promise<void> {
  for (const [signal, waitMs] of [
    ['SIGTERM', graceMs],
    ['SIGKILL', 5000],
  ] as const) {
    try {
      process.kill(pid, signal);
    } catch {
      return;
    }
    const deadline = Date.now() + waitMs;
    while (Date.now() < deadline) {
      if (!(await isAlive(pid))) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Polls `check` until it is true. @throws Error that names `what` after `timeoutMs` */
export async function waitUntil(
  check: () => Promise<boolean> | boolean,
  options: { what: string; timeoutMs: number; everyMs?: number },
): Promise<void> {
  const deadline = Date.now() + options.timeoutMs;
  while (!(await check())) {
    if (Date.now() > deadline)
      throw new Error(`${options.what} did not come true in ${options.timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, options.everyMs ?? 50));
  }
}
