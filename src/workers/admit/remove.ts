import { chmod, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

const DENIED: ReadonlySet<string> = new Set(['EACCES', 'EPERM']);
const OPEN_MODE = 0o700;

/** Removes a directory and all in it, links and not what they lead to; also folders a job has closed to its owner. */
export async function removeTree(directory: string): Promise<void> {
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
