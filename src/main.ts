#!/usr/bin/env node
import { basename } from 'node:path';

const [MAJOR, MINOR] = [24, 12] as const;
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

/** Ends with the code once everything written has gone out. */
function exit(code: number): void {
  process.exitCode = code;
  // A handle that some library keeps open must not keep a finished command alive.
  process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
}

if (major < MAJOR || (major === MAJOR && minor < MINOR)) {
  process.stderr.write(
    `Error: this program needs Node.js ${MAJOR}.${MINOR} or newer; this is ${process.versions.node} (${process.execPath}).\n` +
      'Hint:  in its folder, "npm ci" brings a fitting Node.js: run it with "npm start" or "npx bacalhau".\n',
  );
  process.exit(1);
} else {
  // Loaded only now: an older Node.js would fail on these files before it could say why.
  const { runMain } = await import('./cli/main.ts');
  exit(await runMain(process.argv.slice(2), basename(process.argv[1] ?? 'bacalhau')));
}
