import { type CliContext, hasColour, style } from '../context.ts';
import { type Column, type OutputOptions, printDocument, tableText } from '../output.ts';
import type { Latencies, LatencyRow } from './latencies.ts';
import type { LoadProgress, LoadResult, Pace } from './load.ts';

/** A figure for programs (`key`, `value`) and for people. */
export interface BenchFigure {
  readonly key: string;
  readonly value: number;
  readonly label: string;
  readonly text: string;
}

/** What was measured. */
export interface BenchReport {
  /** "bid", "jobs", "events". */
  readonly bench: string;
  /** What one operation is, and of which node: "bids of 12D3…, asked over libp2p". */
  readonly title: string;
  /** What an "ok" is called: "offered". */
  readonly ok: string;
  readonly pace: Pace;
  readonly load: LoadResult;
  /** Latencies that are told: those of the operations, or of what came of them. */
  readonly latencies: Latencies;
  /** Figures of this bench only. */
  readonly more: readonly BenchFigure[];
  /** Sentences for people. */
  readonly notes: readonly string[];
}

const SHARES = [0.5, 0.9, 0.99, 0.999] as const;
const BAR_WIDTH = 40;
const BLOCKS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const;

/** "P99.9" of 0.999. */
function shareName(share: number): string {
  return `P${Number((share * 100).toFixed(3))}`;
}

/** Three figures and a unit that fits: "870 µs", "1.24 ms", "12.0 s". */
export function latencyText(ms: number): string {
  if (ms < 1) return `${figures(ms * 1000)} µs`;
  return ms < 1000 ? `${figures(ms)} ms` : `${figures(ms / 1000)} s`;
}

function figures(value: number): string {
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

/** "12,345"; below a hundred with decimals. */
function rateText(perSecond: number): string {
  return perSecond >= 100 ? Math.round(perSecond).toLocaleString('en-US') : figures(perSecond);
}

function perSecond({ load }: BenchReport): number {
  const answered = load.begun - load.unanswered;
  return load.seconds > 0 ? answered / load.seconds : 0;
}

/** The report as a document for programs. Latencies are milliseconds. */
function documentOf(report: BenchReport): Record<string, unknown> {
  const { bench, pace, load, latencies, more, ok } = report;
  const { min, mean, max } = latencies.summary();
  const ms = (value: number): number => Number(value.toPrecision(4));
  return {
    Bench: bench,
    Title: report.title,
    ...(pace.kind === 'rate' ? { Rate: pace.perSecond } : { Concurrency: pace.lanes }),
    Interrupted: load.isInterrupted,
    Seconds: Number(load.seconds.toFixed(3)),
    Begun: load.begun,
    Unanswered: load.unanswered,
    NotBegun: load.notBegun,
    PerSecond: Number(perSecond(report).toFixed(1)),
    Outcomes: Object.fromEntries(
      [...load.outcomes].map(([name, count]) => [name === 'ok' ? ok : name, count]),
    ),
    ...Object.fromEntries(more.map(({ key, value }) => [key, value])),
    LatencyMs: {
      Count: latencies.count,
      Min: ms(min),
      Mean: ms(mean),
      ...Object.fromEntries(SHARES.map((share) => [shareName(share), ms(latencies.at(share))])),
      Max: ms(max),
    },
    Histogram: latencies
      .rows()
      .map(({ fromMs, toMs, count }) => ({ From: ms(fromMs), To: ms(toMs), Count: count })),
  };
}

/** A line a row; bars in eighths of a character. */
export function histogramText(context: CliContext, rows: readonly LatencyRow[]): string {
  const most = Math.max(1, ...rows.map(({ count }) => count));
  const edges = rows.map(({ fromMs, toMs }) => `${latencyText(fromMs)} – ${latencyText(toMs)}`);
  const width = Math.max(0, ...edges.map((edge) => edge.length));
  return rows
    .map(({ count }, index) => {
      const eighths = Math.ceil((count / most) * BAR_WIDTH * 8);
      const bar = '█'.repeat(Math.floor(eighths / 8)) + (BLOCKS[eighths % 8] ?? '');
      const edge = style(context, context.stdout, 'dim', (edges[index] ?? '').padStart(width));
      return `  ${edge}  ${bar}${bar === '' ? '' : ' '}${count.toLocaleString('en-US')}\n`;
    })
    .join('');
}

interface Percentile {
  readonly name: string;
  readonly ms: number;
}

const columns: readonly Column<Percentile>[] = [
  { title: 'LATENCY', value: ({ name }) => name },
  { title: '', value: ({ ms }) => latencyText(ms).padStart(8) },
];

function tableOf(latencies: Latencies): string {
  const { min, mean, max } = latencies.summary();
  return tableText(
    [
      { name: 'min', ms: min },
      ...SHARES.map((share) => ({ name: shareName(share).toLowerCase(), ms: latencies.at(share) })),
      { name: 'max', ms: max },
      { name: 'mean', ms: mean },
    ],
    columns,
  );
}

function paceText(pace: Pace): string {
  return pace.kind === 'rate' ? `${rateText(pace.perSecond)} a second` : `${pace.lanes} at once`;
}

/** Prints the report, as people or programs want it. */
export function printReport(context: CliContext, report: BenchReport, options: OutputOptions): void {
  if (options.output === 'json' || options.output === 'yaml') {
    printDocument(context, documentOf(report), options);
    return;
  }
  const { stdout } = context;
  const { load, latencies, ok, more, notes } = report;
  const count = (value: number): string => value.toLocaleString('en-US');
  const outcomes = [...load.outcomes].map(([name, times]) => `${count(times)} ${name === 'ok' ? ok : name}`);
  if (load.unanswered > 0) outcomes.push(`${count(load.unanswered)} not answered`);
  stdout.write(`${style(context, stdout, 'bold', report.title)}, ${paceText(report.pace)}\n`);
  stdout.write(
    `${rateText(perSecond(report))} a second in ${load.seconds.toFixed(1)} s: ${outcomes.join(', ') || 'nothing'}\n`,
  );
  for (const { label, text } of more) stdout.write(`${label}: ${text}\n`);
  if (latencies.count > 0) {
    stdout.write(`\n${tableOf(latencies)}\n${histogramText(context, latencies.rows())}`);
  }
  if (load.notBegun > 0) {
    stdout.write(
      `\n${count(load.notBegun)} were due and never begun: the answers do not keep up with this rate.\n`,
    );
  }
  if (load.isInterrupted) stdout.write('\nInterrupted: these are the figures until then.\n');
  for (const note of notes) stdout.write(`${note}\n`);
}

/** Says how a load goes: one line that changes on a terminal, a line each time elsewhere. Always on stderr. */
export function progressOf(context: CliContext): { show(now: LoadProgress): void; end(): void } {
  const { stderr } = context;
  const isLive = stderr.isTTY && hasColour(context, stderr);
  let isShown = false;
  return {
    show({ seconds, warmingUp, perSecond: rate, latencies, inFlight }) {
      const times =
        latencies.count === 0
          ? ''
          : `, p50 ${latencyText(latencies.at(0.5))}, p99 ${latencyText(latencies.at(0.99))}`;
      const when = warmingUp ? 'warming up' : `${seconds.toFixed(0)} s`;
      const line = `${when}: ${rateText(rate)} a second${times}, ${inFlight} in flight`;
      stderr.write(isLive ? `\r\u001b[2K${line}` : `${line}\n`);
      isShown = true;
    },
    end() {
      if (isLive && isShown) stderr.write('\r\u001b[2K');
    },
  };
}
