import { styleText } from 'node:util';
import Table from 'cli-table3';
import type { Figure } from './bench.ts';

/** Colours only on a terminal that wants them (NO_COLOR, FORCE_COLOR). */
const style = (format: 'bold' | 'dim' | 'cyan', text: string): string =>
  styleText(format, text, { stream: process.stdout });

/** A number with three digits that count or more, thousands apart. */
export function digits(value: number): string {
  const decimals = value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3;
  return value.toLocaleString('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

function limitOf({ value, unit, limit }: Figure): string {
  if (limit === undefined) return '';
  return `${digits(limit.value)} ${unit} ${limit.what} (${((100 * value) / limit.value).toFixed(0)} %)`;
}

/** Prints the figures of one benchmark. */
export function printFigures(title: string, figures: readonly Figure[]): void {
  const table = new Table({
    head: ['', 'figure', 'limit', 'note'].map((text) => style('dim', text)),
    style: { head: [], border: [], compact: true },
    colAligns: ['left', 'right', 'left', 'left'],
  });
  for (const figure of figures) {
    table.push([
      figure.what,
      style('cyan', `${digits(figure.value)} ${figure.unit}`),
      limitOf(figure),
      style('dim', figure.note ?? ''),
    ]);
  }
  console.log(`${style('bold', title)}\n${table.toString()}\n`);
}
