import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { NodeError } from './core/errors.ts';

/** A data directory that belongs to this process. */
export interface DataDirLock {
  readonly directory: string;
  /** Says in the lock where the holder's API is, for the error of a second node. */
  announce(apiUrl: string): Promise<void>;
  /** Gives the directory back. Idempotent. */
  release(): Promise<void>;
}

/** What the lock file holds. */
interface Holder {
  readonly pid: number;
  /** Start of the process in clock ticks since boot, where the system tells: a pid alone may be another process by now. */
  readonly started: string;
  readonly apiUrl: string;
}

const LOCK_FILE = 'bacalhau.lock';
/** Takeovers of a dead holder's lock that may be lost to others before it is given up. */
const ATTEMPTS = 8;

async function startOf(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The command's name is in parentheses and may hold anything; field 22 counts from behind it.
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

function readHolder(text: string): Holder | undefined {
  try {
    const { pid, started, apiUrl } = JSON.parse(text) as Record<string, unknown>;
    if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid <= 0) return undefined;
    return { pid, started: String(started ?? ''), apiUrl: typeof apiUrl === 'string' ? apiUrl : '' };
  } catch {
    return undefined;
  }
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function isAlive(holder: Holder): Promise<boolean> {
  if (!exists(holder.pid)) return false;
  const started = await startOf(holder.pid);
  return started === '' || holder.started === '' || started === holder.started;
}

function errorCode(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
}

function inUse(directory: string, holder: Holder): NodeError {
  const where = holder.apiUrl === '' ? '' : `, API ${holder.apiUrl}`;
  return new NodeError(
    'DataDirInUse',
    `the data directory ${directory} belongs to a running node (pid ${holder.pid}${where}); stop that node, or give this one a directory of its own with --data-dir`,
    { details: { pid: String(holder.pid), apiUrl: holder.apiUrl } },
  );
}

/**
 * Takes the data directory for this process; it is made when it is not there. A lock whose process is gone is
 * taken over.
 * @throws NodeError DataDirInUse naming the holder's pid and API address, ConfigInvalid when it cannot be written
 */
export async function lockDataDir(directory: string): Promise<DataDirLock> {
  const path = join(directory, LOCK_FILE);
  const own = join(directory, `${LOCK_FILE}.${process.pid}`);
  const started = await startOf(process.pid);
  const content = (apiUrl: string): string => `${JSON.stringify({ pid: process.pid, started, apiUrl })}\n`;
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await writeFile(own, content(''), { mode: 0o600 });
  } catch (cause) {
    throw new NodeError(
      'ConfigInvalid',
      `cannot write to the data directory ${directory}: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
  try {
    await take(directory, path, own);
  } finally {
    await rm(own, { force: true });
  }
  let released = false;
  return {
    directory,
    announce: async (apiUrl) => {
      await writeFile(own, content(apiUrl), { mode: 0o600 });
      await rename(own, path);
    },
    release: async () => {
      if (released) return;
      released = true;
      await rm(path, { force: true });
    },
  };
}

/** Links `own` to the lock's name, which only one process can do. */
async function take(directory: string, path: string, own: string): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    try {
      await link(own, path);
      return;
    } catch (thrown) {
      if (errorCode(thrown) !== 'EEXIST') throw thrown;
    }
    const text = await readFile(path, 'utf8').catch(() => undefined);
    if (text === undefined) continue;
    const holder = readHolder(text);
    if (holder !== undefined && (await isAlive(holder))) throw inUse(directory, holder);
    // Moved aside and looked at again: between the look and the move somebody else may have taken it over.
    const aside = `${own}.stale`;
    await rename(path, aside).catch(() => undefined);
    const moved = await readFile(aside, 'utf8').catch(() => undefined);
    if (moved !== undefined && moved !== text) await link(aside, path).catch(() => undefined);
    await rm(aside, { force: true });
  }
  throw new NodeError(
    'DataDirInUse',
    `the data directory ${directory} is being taken by another node just now`,
  );
}
