import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NodeError } from '../../core/errors.ts';
import { formatBytes } from '../../core/resources.ts';
import { dockerLimits } from './limits.ts';

const BLOCK_BYTES = 512;

/**
 * Bytes under `directories`, counting a file by its length or by its blocks, whichever is more: a sparse file
 * is archived at its length. Follows no link. Stops at the first count over `limit`.
 */
export async function measureDirectories(directories: readonly string[], limit: number): Promise<number> {
  let bytes = 0;
  const open = [...directories];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    try {
      for await (const entry of await opendir(path)) {
        const child = join(path, entry.name);
        if (entry.isDirectory()) open.push(child);
        const { size, blocks } = await lstat(child);
        bytes += Math.max(entry.isDirectory() ? 0 : size, blocks * BLOCK_BYTES);
        if (bytes > limit) return bytes;
      }
    } catch (error) {
      // The job that owns the folders may remove what was just listed.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return bytes;
}

/** @throws NodeError OutputTooLarge */
export async function checkResultSize(directories: readonly string[], limit: number): Promise<void> {
  const bytes = await measureDirectories(directories, limit);
  if (bytes > limit) {
    throw new NodeError(
      'OutputTooLarge',
      `result paths of the job exceed ${formatBytes(limit)} (expected no more than the disk it asked for)`,
    );
  }
}

/** Checks again and again, with a tenth of the time at most, until `signal` aborts. @throws NodeError OutputTooLarge */
export async function watchResultSize(
  directories: readonly string[],
  limit: number,
  signal: AbortSignal,
): Promise<void> {
  let pauseMs: number = dockerLimits.resultCheckMs;
  while (directories.length > 0 && !signal.aborted) {
    try {
      await sleep(pauseMs, undefined, { signal });
    } catch {
      return;
    }
    const startedAt = performance.now();
    await checkResultSize(directories, limit);
    pauseMs = Math.max(dockerLimits.resultCheckMs, 9 * (performance.now() - startedAt));
  }
}
