import { readdir, readFile, readlink } from 'node:fs/promises';

/** What a process has open, by kind. Linux only. */
export interface Descriptors {
  /** Regular files and directories, by path. */
  readonly files: readonly string[];
  readonly sockets: number;
  readonly pipes: number;
  /** eventfd, epoll and the like: each worker thread has some. */
  readonly anonymous: number;
}

/** Open descriptors of a process. */
export async function descriptors(pid: number): Promise<Descriptors> {
  const files: string[] = [];
  const counts = { sockets: 0, pipes: 0, anonymous: 0 };
  for (const fd of await readdir(`/proc/${pid}/fd`)) {
    const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '');
    if (target.startsWith('socket:')) counts.sockets += 1;
    else if (target.startsWith('pipe:')) counts.pipes += 1;
    else if (target.startsWith('anon_inode:')) counts.anonymous += 1;
    else if (target !== '') files.push(target);
  }
  return { files: files.sort(), ...counts };
}

/** Memory of a process that no file stands behind, MiB. A store's mapped pages are not in it. */
export async function anonymousMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^RssAnon:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN) / 1024;
}

/** Milliseconds per clock tick of the kernel's process accounting (USER_HZ is 100 on Linux). */
const TICK_MS = 10;

/** CPU time that a process has used, user and system. */
export async function cpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The command's name is in parentheses and may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** Pids of the children of a process. */
export async function childrenOf(pid: number): Promise<readonly number[]> {
  const found = new Set<number>();
  for (const task of await readdir(`/proc/${pid}/task`)) {
    const text = await readFile(`/proc/${pid}/task/${task}/children`, 'utf8').catch(() => '');
    for (const child of text.split(' ')) if (child.trim() !== '') found.add(Number(child));
  }
  return [...found].sort((a, b) => a - b);
}
