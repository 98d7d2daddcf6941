import { availableParallelism, totalmem } from 'node:os';
import { toErrorData } from '../core/errors.ts';
import type { Gpu, Resources } from '../core/job.ts';
import { detectCgroup } from './cgroup.ts';
import { freeBytes } from './free-disk.ts';
import { detectGpus, type GpuModules } from './gpu.ts';

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
  try {
    return await freeBytes(directory);
  } catch (thrown) {
    warnings.push(
      `free disk space of ${directory} could not be read and counts as 0: ${toErrorData(thrown).message}`,
    );
    return 0;
  }
}
