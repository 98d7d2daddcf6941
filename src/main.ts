#!/usr/bin/env node
import { basename } from 'node:path';

const [MAJOR, MINOR] = [24, 12] as const;
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

/**
 * Most MiB of each half of the young generation. Left alone it grows to 64 under load and stays so: memory of an idle node
 * that buys no speed (docs/PERFORMANCE.md). It can be set on the command line of Node.js only.
 */
const HEAP_FLAG = '--max-semi-space-size=';
const HALF_MIB = 16;

/** Becomes this program with the flag, in the same process, where the system can do that. */
function startOver(): void {
  const { execve, execPath, execArgv, argv, connected } = process;
  if (execve === undefined || process.platform === 'win32' || connected) return;
  if (execArgv.some((flag) => flag.startsWith(HEAP_FLAG))) return;
  execve(execPath, [execPath, `${HEAP_FLAG}${HALF_MIB}`, ...execArgv, ...argv.slice(1)]);
}

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
  if (process.argv[2] === 'serve') startOver();
  // Loaded only now: an older Node.js would fail on these files before it could say why.
  const { runMain } = await import('./cli/main.ts');
  exit(await runMain(process.argv.slice(2), basename(process.argv[1] ?? 'bacalhau')));
}
