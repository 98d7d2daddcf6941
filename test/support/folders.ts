import { createHash } from 'node:crypto';
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Scope } from './node.ts';

/** Clean-up runs in the order it was registered, so a node that still writes into its folder is ended after it. */
const REMOVAL = { recursive: true, force: true, maxRetries: 20, retryDelay: 50 } as const;

/** A new folder, removed after the test. */
export async function temporaryFolder(t: Scope): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bacalhau-test-'));
  t.after(() => rm(folder, REMOVAL));
  return folder;
}

/** What a folder holds, by relative path: bytes or text of a file, null for a folder, `{link}` for a symbolic link. */
export type Tree = Readonly<Record<string, Uint8Array | string | null | { readonly link: string }>>;

/** Writes `tree` below `root`. */
export async function writeTree(root: string, tree: Tree): Promise<void> {
  await mkdir(root, { recursive: true });
  for (const [name, content] of Object.entries(tree)) {
    const path = join(root, name);
    await mkdir(dirname(path), { recursive: true });
    if (content === null) await mkdir(path, { recursive: true });
    else if (typeof content === 'string' || content instanceof Uint8Array) await writeFile(path, content);
    else await symlink(content.link, path);
  }
}

/** Every path below `root` with a digest of what is there: equal exactly when the folders are byte-identical. */
export async function fingerprint(root: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of (await readdir(root, { recursive: true })).sort()) {
    const path = join(root, name);
    const stats = await lstat(path);
    found[name] = stats.isSymbolicLink()
      ? `link ${await readlink(path)}`
      : stats.isDirectory()
        ? 'folder'
        : createHash('sha256')
            .update(await readFile(path))
            .digest('hex');
  }
  return found;
}
