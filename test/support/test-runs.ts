import { basename, relative } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

/** Counts as Node's test runner closes with. */
export interface Counts {
  tests: number;
  suites: number;
  pass: number;
  fail: number;
  cancelled: number;
  skipped: number;
  todo: number;
  duration_ms: number;
}

export interface RunOptions {
  readonly files: readonly string[];
  /** Test files at the same time. */
  readonly concurrency: number;
  /** One file's limit. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface RunResult {
  readonly counts: Counts;
  /** Reason to the tests that were skipped for it. */
  readonly skips: ReadonlyMap<string, readonly string[]>;
}

export const noCounts = (): Counts => ({
  tests: 0,
  suites: 0,
  pass: 0,
  fail: 0,
  cancelled: 0,
  skipped: 0,
  todo: 0,
  duration_ms: 0,
});

/** Adds `more` to `counts`. */
export function addCounts(counts: Counts, more: Counts): void {
  for (const key of Object.keys(counts) as (keyof Counts)[]) counts[key] += more[key];
}

/** Node's own closing lines. */
export function closingLines(counts: Counts): string {
  return Object.entries(counts)
    .map(([name, value]) => `\u2139 ${name} ${value}`)
    .join('\n');
}

const CLOSING = new RegExp(`^(?:${Object.keys(noCounts()).join('|')}) [\\d.]+$`);

/**
 * Runs test files in processes of their own with Node's spec reporter, without its closing lines: several runs
 * close together.
 */
export async function runTests(options: RunOptions): Promise<RunResult> {
  const counts = noCounts();
  const skips = new Map<string, string[]>();
  const events = run({
    files: [...options.files],
    concurrency: options.concurrency,
    timeout: options.timeoutMs,
    signal: options.signal,
  });
  const reporter = new spec();
  reporter.pipe(process.stdout, { end: false });
  const printed = new Promise((resolve) => reporter.once('end', resolve));
  for await (const event of events) {
    if (event.type === 'test:diagnostic' && event.data.nesting === 0 && CLOSING.test(event.data.message)) {
      const [name, value] = event.data.message.split(' ');
      counts[name as keyof Counts] += Number(value);
      continue;
    }
    if (event.type === 'test:pass' && event.data.skip !== undefined && event.data.skip !== false) {
      const reason = event.data.skip === true ? 'no reason given' : event.data.skip;
      const file = relative(process.cwd(), event.data.file ?? '');
      skips.set(reason, [...(skips.get(reason) ?? []), `${basename(file)}: ${event.data.name}`]);
    }
    reporter.write(event);
  }
  reporter.end();
  await printed;
  return { counts, skips };
}
