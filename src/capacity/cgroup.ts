import { readFile } from 'node:fs/promises';
import { join, normalize } from 'node:path';

/** What control groups allow this process; Infinity where they do not say. */
export interface CgroupLimits {
  /** Cores. */
  readonly cpu: number;
  /** Bytes. */
  readonly memory: number;
}

/** Version 1 writes "no limit" as the largest number of pages; anything near it is none. */
const V1_UNLIMITED_BYTES = 2 ** 60;

/**
 * CPU and memory limits of the control group this process is in and of all above it, version 2 or 1.
 * @param root where /proc and /sys are: "/", or a test's folder
 */
export async function detectCgroup(root: string): Promise<CgroupLimits> {
  const membership = (await read(root, 'proc/self/cgroup')) ?? '';
  let cpu = Number.POSITIVE_INFINITY;
  let memory = Number.POSITIVE_INFINITY;
  for (const line of membership.split('\n')) {
    const [hierarchy, controllers = '', path = ''] = splitTwice(line);
    if (hierarchy === '0' && controllers === '') {
      for (const folder of upwards('sys/fs/cgroup', path)) {
        cpu = Math.min(cpu, cpuOfMax(await read(root, join(folder, 'cpu.max'))));
        memory = Math.min(memory, bytes(await read(root, join(folder, 'memory.max'))));
      }
    }
    const names = controllers.split(',');
    if (names.includes('cpu')) {
      for (const folder of [
        ...upwards(`sys/fs/cgroup/${controllers}`, path),
        ...upwards('sys/fs/cgroup/cpu', path),
      ]) {
        const quota = Number((await read(root, join(folder, 'cpu.cfs_quota_us'))) ?? -1);
        const period = Number((await read(root, join(folder, 'cpu.cfs_period_us'))) ?? 0);
        if (quota > 0 && period > 0) cpu = Math.min(cpu, quota / period);
      }
    }
    if (names.includes('memory')) {
      for (const folder of upwards('sys/fs/cgroup/memory', path)) {
        const limit = bytes(await read(root, join(folder, 'memory.limit_in_bytes')));
        if (limit < V1_UNLIMITED_BYTES) memory = Math.min(memory, limit);
      }
    }
  }
  return { cpu, memory };
}

/** "0::/a/b" in its three parts. */
function splitTwice(line: string): string[] {
  const first = line.indexOf(':');
  const second = line.indexOf(':', first + 1);
  return second < 0 ? [] : [line.slice(0, first), line.slice(first + 1, second), line.slice(second + 1)];
}

/** The group's folder and all above it. In a container the path may be the host's: what is not there says nothing. */
function upwards(mount: string, path: string): string[] {
  const folders = [mount];
  let folder = mount;
  for (const part of normalize(`/${path}`).split('/')) {
    if (part === '' || part === '..') continue;
    folder = `${folder}/${part}`;
    folders.push(folder);
  }
  return folders;
}

/** cpu.max: "max 100000" or "150000 100000". */
function cpuOfMax(text: string | undefined): number {
  const [quota, period] = (text ?? 'max').split(' ').map(Number);
  return quota !== undefined && quota > 0 && period !== undefined && period > 0
    ? quota / period
    : Number.POSITIVE_INFINITY;
}

function bytes(text: string | undefined): number {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY;
}

async function read(root: string, path: string): Promise<string | undefined> {
  try {
    return (await readFile(join(root, path), 'utf8')).trim();
  } catch {
    return undefined;
  }
}
