import { chmod, readFile, writeFile } from 'node:fs/promises';

/** Makes dist/main.js the command `bacalhau`: executable, and run by Node. */
const main = new URL('../dist/main.js', import.meta.url);
const SHEBANG = '#!/usr/bin/env node\n';

const text = await readFile(main, 'utf8');
if (!text.startsWith('#!')) await writeFile(main, SHEBANG + text);
await chmod(main, 0o755);
