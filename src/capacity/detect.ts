import { statfs } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { toErrorData } from '../core/errors.ts';
import type { Gpu, Resources } from '../core/job.ts';
import { detectCgroup } from './cgroup.ts';
import { detectGpus, type GpuModules } from './gpu.ts';

/** A network file system that does not answer must not hold the start. */
const STATFS_TIMEOUT_MS = 3_000;

export interface DetectOptions {
  /** Jobs' files are kept on its file system. It need not exist yet. */
  readonly dataDirectory: string;
  /** Where /proc and /sys are; a test has its own. Default "/". */
  readonly root?: string;
  /** The host's own figures; a test has its own. */
  readonly host?: { readonly cpu: number; readonly memory: number };
}

/** What this machine, or the container the node runs in, has. */
export interface Detected extends Resources {
  readonly gpus: readonly Gpu[];
  /** What could not be read, one sentence each. */
  readonly warnings: readonly string[];
}

/**
 * Physical capacity: the host's, cut to what control groups leave this process; the disk's is what is free now.
 * Never rejects: what cannot be read counts as nothing, with a warning.
 */
export async function detectCapacity(
  options: DetectOptions,
  modules: GpuModules,
  signal?: AbortSignal,
): Promise<Detected> {
  const { cpu, memory } = options.host ?? { cpu: availableParallelism(), memory: totalmem() };
  const warnings: string[] = [];
  const [limits, disk, gpus] = await Promise.all([
    detectCgroup(options.root ?? '/'),
    freeDisk(options.dataDirectory, warnings),
    detectGpus(modules, signal),
  ]);
  return {
    cpu: Math.min(cpu, limits.cpu),
    memory: Math.min(memory, limits.memory),
    disk,
    gpu: gpus.length,
    gpus,
    warnings,
  };
}

/** Bytes that an unprivileged process can still write to the file system of `directory`. */
async function freeDisk(directory: string, warnings: string[]): Promise<number> {
  const settled = new AbortController();
  try {
    const answer = statfsOfNearest(directory);
    answer.catch(() => undefined);
    const stats = await Promise.race([
      answer,
      delay(STATFS_TIMEOUT_MS, undefined, { signal: settled.signal, ref: true }).then(() => {
        throw new Error(`no answer within ${STATFS_TIMEOUT_MS} ms`);
      }),
    ]);
    return stats.bavail * stats.bsize;
  } catch (thrown) {
    warnings.push(
      `free disk space of ${directory} could not be read and counts as 0: ${toErrorData(thrown).message}`,
    );
    return 0;
  } finally {
    settled.abort();
  }
}

async function statfsOfNearest(directory: string): Promise<{ bavail: number; bsize: number }> {
  try {
    return await statfs(directory);
  } catch (thrown) {
    const parent = dirname(directory);
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT' || parent === directory) throw thrown;
    return statfsOfNearest(parent);
  }
}
