import { lstatSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { chmod, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

const DENIED: ReadonlySet<string> = new Set(['EACCES', 'EPERM']);
const OPEN_MODE = 0o700;

/** A tree of at most this many entries is removed in one go; a larger one must not hold up the thread. */
const SMALL_TREE = 64;

/** Removes a directory and all in it, links and not what they lead to; also folders a job has closed to its owner. */
export async function removeTree(directory: string): Promise<void> {
  if (removeSmall(directory, { left: SMALL_TREE })) return;
  try {
    await rm(directory, { recursive: true, force: true });
  } catch (thrown) {
    if (!DENIED.has((thrown as NodeJS.ErrnoException).code ?? '')) throw thrown;
    await openFolders(directory);
    await rm(directory, { recursive: true, force: true });
  }
}

/** One folder after another: a tree may be wider than the process may have files open. */
async function openFolders(directory: string): Promise<void> {
  await chmod(directory, OPEN_MODE);
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) await openFolders(join(directory, entry.name));
  }
}

/** True when all of it is gone; false when the tree is too large or something is in the way. */
function removeSmall(directory: string, budget: { left: number }): boolean {
  try {
    // A link in its place must not lead the removal elsewhere.
    if (!lstatSync(directory).isDirectory()) return false;
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      budget.left -= 1;
      if (budget.left < 0) return false;
      const path = join(directory, entry.name);
      if (!entry.isDirectory()) unlinkSync(path);
      else if (!removeSmall(path, budget)) return false;
    }
    rmdirSync(directory);
    return true;
  } catch {
    return false;
  }
}
