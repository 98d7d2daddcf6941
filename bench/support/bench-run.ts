import { readFile } from 'node:fs/promises';
import { z } from 'zod';

const figure = z.object({
  bench: z.string(),
  what: z.string(),
  value: z.number(),
  unit: z.string(),
  limit: z.object({ what: z.string(), value: z.number() }).optional(),
  note: z.string().optional(),
});

const run = z.object({
  time: z.string(),
  machine: z.object({ cpu: z.string(), cores: z.number(), memoryGiB: z.number(), node: z.string() }),
  size: z.object({ microMs: z.number(), jobs: z.number(), repetitions: z.number() }),
  figures: z.array(figure),
});

/** A figure and the benchmark it is of. */
export type NamedFigure = z.infer<typeof figure>;

/** One run of the benchmarks: what `--json` writes. */
export type BenchRun = z.infer<typeof run>;

/** @throws Error that names the file and what is wrong with it */
export async function readRun(path: string): Promise<BenchRun> {
  const parsed = run.safeParse(JSON.parse(await readFile(path, 'utf8')));
  if (parsed.success) return parsed.data;
  throw new Error(`${path}: no file that --json has written: ${z.prettifyError(parsed.error)}`);
}

/** "Intel …, 2 cores, 24 GiB, Node.js v24.1.0". */
export function machineText({ machine }: Pick<BenchRun, 'machine'>): string {
  return `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, Node.js ${machine.node}`;
}

/** Figures by their benchmark, in the order of the run. */
export function byBench(figures: readonly NamedFigure[]): ReadonlyMap<string, readonly NamedFigure[]> {
  return Map.groupBy(figures, ({ bench }) => bench);
}

/** Units of which less is better; of all others more is. */
const LESS: ReadonlySet<string> = new Set(['ns', 'µs', 'ms', 's', 'B', 'kB', 'MB', 'MiB', 'GB']);

export function lessIsBetter(unit: string): boolean {
  return LESS.has(unit);
}
