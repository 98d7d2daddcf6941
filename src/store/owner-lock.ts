import { link, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { NodeError } from '../core/errors.ts';

interface Owner {
  readonly pid: number;
  /** What tells two processes with the same pid apart: boot and time of start. "" where the system does not say. */
  readonly start: string;
}

/** Held while the store is open. */
export interface OwnerLock {
  release(): Promise<void>;
}

const ABANDONED_CLAIM_MS = 5000;
const START_TIME_INDEX = 18;

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** Boot id and start time of a live process; undefined when there is none with this pid, "" when unknown. */
async function processStart(pid: number): Promise<string | undefined> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return undefined;
  }
  const line = await readText(`/proc/${pid}/stat`);
  if (line === undefined) return process.platform === 'linux' ? undefined : '';
  // The command's name is in parentheses and may hold anything.
  const [state, ...fields] = line.slice(line.lastIndexOf(')') + 2).split(' ');
  if (state === 'Z' || state === 'X') return undefined;
  const boot = (await readText('/proc/sys/kernel/random/boot_id')) ?? '';
  return `${boot.trim()}/${fields[START_TIME_INDEX] ?? ''}`;
}

function parseOwner(text: string): Owner | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return undefined;
    const { pid, start } = value as Record<string, unknown>;
    return typeof pid === 'number' && typeof start === 'string' ? { pid, start } : undefined;
  } catch {
    return undefined;
  }
}

/** The live process that wrote the lock file; undefined when it has gone. */
async function liveOwner(text: string): Promise<Owner | undefined> {
  const owner = parseOwner(text);
  if (owner === undefined) return undefined;
  const start = await processStart(owner.pid);
  if (start === undefined) return undefined;
  return start === '' || owner.start === '' || start === owner.start ? owner : undefined;
}

function lockedError(path: string, owner: Owner): NodeError {
  const holder = owner.pid === process.pid ? 'this very process' : `process ${owner.pid}`;
  return new NodeError(
    'StoreLocked',
    `the store ${path} is in use by ${holder}; a store has one owner. Stop that node, or give this one a store path or data directory of its own`,
    { details: { path, pid: String(owner.pid) } },
  );
}

/** Creates `path` with the text of `draft`, as one step that only one process can win. */
async function create(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** True for the one process that may replace a lock whose owner has gone. */
async function claim(draft: string, claimPath: string): Promise<boolean> {
  if (await create(draft, claimPath)) return true;
  const age = await stat(claimPath).then(
    (found) => Date.now() - found.mtimeMs,
    () => 0,
  );
  if (age < ABANDONED_CLAIM_MS) return false;
  await rm(claimPath, { force: true });
  return create(draft, claimPath);
}

async function acquire(storePath: string, lockPath: string, draft: string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (await create(draft, lockPath)) return;
    const text = await readText(lockPath);
    if (text === undefined) continue;
    const owner = await liveOwner(text);
    if (owner !== undefined) throw lockedError(storePath, owner);
    const claimPath = `${lockPath}-claim`;
    if (await claim(draft, claimPath)) {
      try {
        if ((await readText(lockPath)) === text) {
          await rename(draft, lockPath);
          return;
        }
      } finally {
        await rm(claimPath, { force: true });
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new NodeError('StoreLocked', `the store ${storePath} is being taken over by another process`, {
    details: { path: storePath },
  });
}

/**
 * Makes this process the owner of the store at `storePath`: LMDB itself lets several processes write. The file
 * `<store>.lock-owner` names the owner; that of a process that has gone (kill -9, reboot) is replaced.
 * @throws NodeError StoreLocked with the holder's pid
 */
export async function takeOwnership(storePath: string): Promise<OwnerLock> {
  const lockPath = `${storePath}.lock-owner`;
  const draft = `${lockPath}-${process.pid}-${process.hrtime.bigint()}`;
  const owner: Owner = { pid: process.pid, start: (await processStart(process.pid)) ?? '' };
  const text = `${JSON.stringify(owner)}\n`;
  await writeFile(draft, text, { mode: 0o600 });
  try {
    await acquire(storePath, lockPath, draft);
  } finally {
    await rm(draft, { force: true });
  }
  return {
    async release() {
      if ((await readText(lockPath)) === text) await rm(lockPath, { force: true });
    },
  };
}
