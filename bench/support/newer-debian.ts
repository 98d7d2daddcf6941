import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { newerDebian } from '../../test/support/newer-debian.ts';

const RUN = fileURLToPath(new URL('../run.ts', import.meta.url));
const INTERRUPTED = 130;

/**
 * Runs the benchmarks in a root of Debian 13, where uWebSockets.js loads. Stores are on the same disk as outside it.
 * @param args of bench/run.ts
 * @param files that it writes, absolute
 * @returns the exit code
 */
export async function benchInNewerDebian(args: readonly string[], files: readonly string[]): Promise<number> {
  const inside = await newerDebian();
  if ('skip' in inside) {
    console.error(`no root of Debian 13: ${inside.skip}`);
    return 1;
  }
  const temporary = await mkdtemp(join(tmpdir(), 'bacalhau-bench-'));
  const folders = [temporary, ...files.map((file) => dirname(file))].sort((a, b) => a.length - b.length);
  const [file = '', ...rest] = inside({ args: [RUN, ...args], folders, env: { TMPDIR: temporary } });
  const child = spawn(file, rest, { stdio: 'inherit' });
  const kill = (): void => void child.kill('SIGKILL');
  // The terminal tells the benchmarks too, which clean up.
  const wait = (): void => {};
  process.on('SIGINT', wait).once('SIGTERM', kill);
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    return code ?? INTERRUPTED;
  } finally {
    process.off('SIGINT', wait).off('SIGTERM', kill);
    await rm(temporary, { recursive: true, force: true });
  }
}
