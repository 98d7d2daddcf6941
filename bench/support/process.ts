import { readFile } from 'node:fs/promises';

/** Memory of a process in MiB, and its threads. Linux only. */
export interface ProcessMemory {
  readonly rss: number;
  /** No file stands behind it: heaps, stacks, buffers. */
  readonly anonymous: number;
  /** Mapped files: the program, and the pages of the stores it has touched. */
  readonly file: number;
  readonly threads: number;
}

/** What /proc says of a process now. */
export async function memoryOf(pid: number): Promise<ProcessMemory> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8');
  const number = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1]);
  return {
    rss: number('VmRSS') / 1024,
    anonymous: number('RssAnon') / 1024,
    file: number('RssFile') / 1024,
    threads: number('Threads'),
  };
}

/** The rest of what `memoryOf` says, in words. */
export function memoryNote({ rss, file, threads }: ProcessMemory): string {
  return `RSS ${rss.toFixed(0)} MiB, of it files ${file.toFixed(0)} (program and store pages); ${threads} threads`;
}

export const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));
