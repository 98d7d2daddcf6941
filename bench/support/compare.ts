import { styleText } from 'node:util';
import Table from 'cli-table3';
import { type BenchRun, lessIsBetter, machineText, type NamedFigure } from './bench-run.ts';
import { digits } from './table.ts';

/** One figure of two runs. */
export interface Compared {
  readonly bench: string;
  readonly what: string;
  readonly unit: string;
  readonly before: number;
  readonly after: number;
  /** How many times as good as before: above 1 is better, whatever the unit. */
  readonly gain: number;
}

const keyOf = ({ bench, what, unit }: NamedFigure): string => JSON.stringify([bench, what, unit]);

/** What two runs have in common, and the names of what only one has. */
export function compareRuns(
  before: BenchRun,
  after: BenchRun,
): { readonly figures: readonly Compared[]; readonly alone: readonly string[] } {
  const earlier = new Map(before.figures.map((figure) => [keyOf(figure), figure] as const));
  const figures: Compared[] = [];
  const alone: string[] = [];
  for (const figure of after.figures) {
    const known = earlier.get(keyOf(figure));
    earlier.delete(keyOf(figure));
    if (known === undefined) {
      alone.push(`${figure.bench}: ${figure.what}`);
      continue;
    }
    const { bench, what, unit } = figure;
    const ratio = figure.value / known.value;
    figures.push({
      bench,
      what,
      unit,
      before: known.value,
      after: figure.value,
      gain: lessIsBetter(unit) ? 1 / ratio : ratio,
    });
  }
  for (const { bench, what } of earlier.values()) alone.push(`${bench}: ${what}`);
  return { figures, alone };
}

/** Noise of a machine that does nothing else is below this. */
const SAME = 0.05;

function gainText(gain: number): string {
  const text = `×${gain.toFixed(2)}`;
  if (Math.abs(gain - 1) <= SAME) return text;
  return styleText(gain > 1 ? 'green' : 'red', text, { stream: process.stdout });
}

/** Prints figure by figure how the second run does beside the first. */
export function printComparison(before: BenchRun, after: BenchRun): void {
  const { figures, alone } = compareRuns(before, after);
  for (const [name, run] of [
    ['before', before],
    ['after', after],
  ] as const) {
    console.log(`${name.padEnd(7)}${run.time}  ${machineText(run)}`);
  }
  const table = new Table({
    head: ['', '', 'before', 'after', 'gain'],
    style: { head: [], border: [], compact: true },
    colAligns: ['left', 'left', 'right', 'right', 'right'],
  });
  for (const { bench, what, unit, before: from, after: to, gain } of figures) {
    table.push([bench, what, `${digits(from)} ${unit}`, `${digits(to)} ${unit}`, gainText(gain)]);
  }
  console.log(table.toString());
  if (alone.length > 0) console.log(`In one of the runs only: ${alone.join(', ')}`);
}
