import { mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { countedModule, type JobParts, wasmJob } from './jobs.ts';
import type { Wire } from './node.ts';

/** Adds a byte to `<folder>/<name>/runs` whenever it is run; prints "ran". The folder is a local input, for reading and writing. */
export async function countedJob(
  folder: string,
  name: string,
  ms: number,
  parts: JobParts = {},
): Promise<Wire> {
  const directory = join(folder, name);
  await mkdir(directory);
  await writeFile(join(directory, 'runs'), '');
  const made = wasmJob(await countedModule(ms), { name, ...parts });
  const [task] = made['Tasks'] as [Record<string, unknown>];
  const Source = { Type: 'localDirectory', Params: { SourcePath: directory, ReadWrite: true } };
  const count = { Source, Alias: 'count', Target: '/count' };
  return { ...made, Tasks: [{ ...task, InputSources: [...(task['InputSources'] as unknown[]), count] }] };
}

/** How often the job of this name has been begun. */
export async function runsOf(folder: string, name: string): Promise<number> {
  return (await stat(join(folder, name, 'runs'))).size;
}
