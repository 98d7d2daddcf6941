import { readdir, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const root = new URL('../../', import.meta.url);

async function newest(folder: URL): Promise<number> {
  let latest = 0;
  for (const name of await readdir(folder, { recursive: true })) {
    latest = Math.max(latest, (await stat(new URL(name, folder))).mtimeMs);
  }
  return latest;
}

let found: Promise<string> | undefined;

/** The program under test: dist/main.js where it is newer than every source, else src/main.ts. Settled once a process. */
export function commandLine(): Promise<string> {
  found ??= (async () => {
    const built = new URL('dist/main.js', root);
    const builtMs = await stat(built).then(
      ({ mtimeMs }) => mtimeMs,
      () => 0,
    );
    const fresh = builtMs > (await newest(new URL('src/', root)));
    const main = fileURLToPath(fresh ? built : new URL('src/main.ts', root));
    console.log(`nodes run from ${fresh ? 'dist/main.js' : 'src/main.ts (dist/ is missing or older)'}`);
    return main;
  })();
  return found;
}
