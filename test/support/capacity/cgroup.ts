import { access, mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Scope } from '../node.ts';

export interface GroupLimits {
  readonly cpu: number;
  readonly memory: number;
}

/**
 * Runs `body` with this process in a control group of its own, so that what it starts stays in it. Undefined when
 * control groups cannot be made here.
 */
export async function inCgroup<T>(
  scope: Scope,
  limits: GroupLimits,
  body: () => Promise<T>,
): Promise<T | undefined> {
  const groups = await makeGroups(limits);
  if (groups.length === 0) return undefined;
  scope.after(async () => {
    for (const { folder } of groups) await rmdir(folder).catch(() => undefined);
  });
  try {
    for (const { folder } of groups) await writeFile(join(folder, 'cgroup.procs'), String(process.pid));
    return await body();
  } finally {
    for (const { home } of groups) await writeFile(join(home, 'cgroup.procs'), String(process.pid));
  }
}

interface Group {
  readonly folder: string;
  /** Where this process was before. */
  readonly home: string;
}

async function makeGroups({ cpu, memory }: GroupLimits): Promise<Group[]> {
  const name = `bacalhau-test-${process.pid}`;
  const mine = await readFile('/proc/self/cgroup', 'utf8').catch(() => '');
  const pathOf = (controller: string): string =>
    mine
      .split('\n')
      .map((line) => line.split(':'))
      .find(([, controllers = '']) => controllers.split(',').includes(controller))?.[2] ?? '/';
  const made: Group[] = [];
  try {
    if (await exists('/sys/fs/cgroup/cgroup.controllers')) {
      const folder = join('/sys/fs/cgroup', name);
      await mkdir(folder);
      made.push({ folder, home: join('/sys/fs/cgroup', pathOf('')) });
      await writeFile(join(folder, 'cpu.max'), `${cpu * 100_000} 100000`);
      await writeFile(join(folder, 'memory.max'), String(memory));
      return made;
    }
    for (const [controller, files] of [
      ['cpu', { 'cpu.cfs_period_us': 100_000, 'cpu.cfs_quota_us': cpu * 100_000 }],
      ['memory', { 'memory.limit_in_bytes': memory }],
    ] as const) {
      const root = join('/sys/fs/cgroup', controller);
      const folder = join(root, name);
      await mkdir(folder);
      const home = join(root, pathOf(controller));
      made.push({ folder, home: (await exists(home)) ? home : root });
      for (const [file, value] of Object.entries(files)) await writeFile(join(folder, file), String(value));
    }
    return made;
  } catch {
    for (const { folder } of made) await rmdir(folder).catch(() => undefined);
    return [];
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
