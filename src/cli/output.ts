import Table from 'cli-table3';
import { type Command, Option } from 'commander';
import { stringify } from 'yaml';
import type { CliContext } from './context.ts';
import { formatJson } from './json.ts';

export type OutputFormat = 'table' | 'json' | 'yaml' | 'csv';

/** What the output flags say. */
export interface OutputOptions {
  readonly output?: OutputFormat;
  readonly pretty?: boolean;
  readonly wide?: boolean;
  readonly hideHeader?: boolean;
  readonly noStyle?: boolean;
}

/** One column of a table. */
export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row, wide: boolean) => string;
  /** Widest cell before its text is wrapped; not applied in wide tables. */
  readonly max?: number;
  /** True where `value` holds escape sequences of our own and has cleaned what came from outside. */
  readonly styled?: true;
  /** Fixed width, for tables that grow line by line. */
  readonly width?: number;
}

/** Adds `--output` and `--pretty` to a command; table formats where it lists rows. */
export function addOutputFlags(command: Command, kind: 'rows' | 'document'): Command {
  const formats = kind === 'rows' ? ['table', 'csv', 'json', 'yaml'] : ['json', 'yaml'];
  command
    .addOption(new Option('--output <format>', 'output format').choices(formats))
    .option('--pretty', 'indent JSON');
  if (kind === 'rows') {
    command
      .option('--wide', 'show whole values, do not shorten or wrap them')
      .option('--hide-header', 'leave out the column titles')
      .addOption(new Option('--no-style', 'tables are plain text here always').hideHelp());
  }
  return command;
}

const NO_LINES = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '',
};

function lines(text: string): string[] {
  return text.split('\n');
}

/** Text without control characters, so that a job's name cannot move the cursor; lines stay. */
export function printable(text: string): string {
  return text.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '').replaceAll('\t', ' ');
}

/** Breaks at spaces; a word longer than the width is cut. */
function wrap(text: string, width: number): string {
  return lines(text)
    .flatMap((line) => {
      const rows: string[] = [];
      let rest = line;
      while (rest.length > width) {
        const space = rest.lastIndexOf(' ', width);
        const cut = space > 0 ? space : width;
        rows.push(rest.slice(0, cut));
        rest = rest.slice(space > 0 ? cut + 1 : cut);
      }
      return [...rows, rest];
    })
    .join('\n');
}

/** Text table without lines: a space on both sides of every cell. */
export function tableText<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  options: OutputOptions = {},
): string {
  const wide = options.wide === true;
  const cells = rows.map((row) =>
    columns.map((column) => {
      const value = column.value(row, wide);
      const text = (column.styled === true ? value : printable(value)).trimEnd();
      return column.max === undefined || wide ? text : wrap(text, column.max);
    }),
  );
  const titles = options.hideHeader === true ? [] : columns.map((column) => column.title);
  const widths = columns.map((column, index) => {
    if (column.width === undefined) return null;
    return Math.max(column.width, ...cells.map((row) => (row[index] ?? '').length)) + 2;
  });
  const table = new Table({
    chars: NO_LINES,
    head: [...titles],
    colWidths: widths,
    style: { head: [], border: [], compact: true },
  });
  table.push(...cells);
  return cells.length === 0 && titles.length === 0 ? '' : `${table.toString()}\n`;
}

function csvCell(text: string): string {
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** RFC 4180 text with a line of titles. */
export function csvText<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  options: OutputOptions = {},
): string {
  const all = rows.map((row) =>
    columns.map((column) => csvCell(column.value(row, true).trimEnd())).join(','),
  );
  const head = options.hideHeader === true ? [] : [columns.map((column) => csvCell(column.title)).join(',')];
  return [...head, ...all].map((line) => `${line}\n`).join('');
}

/** YAML with sorted keys, in the style Bacalhau prints. */
export function yamlText(value: unknown): string {
  return stringify(value, {
    sortMapEntries: true,
    indentSeq: false,
    lineWidth: 0,
    // YAML 1.1 readers take unquoted "yes", "1:30" or a time for something else than text.
    version: '1.1',
    aliasDuplicateObjects: false,
  });
}

/** Prints a whole document: YAML unless told otherwise. */
export function printDocument(context: CliContext, value: unknown, options: OutputOptions): void {
  if (options.output === 'json') context.stdout.write(`${formatJson(value, options.pretty === true)}\n`);
  else context.stdout.write(yamlText(value));
}

/** Prints rows as a table, or `documents` in the format that was asked for. */
export function printRows<Row>(
  context: CliContext,
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  documents: unknown,
  options: OutputOptions,
): void {
  switch (options.output) {
    case 'json':
    case 'yaml':
      printDocument(context, documents, options);
      break;
    case 'csv':
      context.stdout.write(csvText(rows, columns, options));
      break;
    case 'table':
    case undefined:
      context.stdout.write(tableText(rows, columns, options));
      break;
  }
}
