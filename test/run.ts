/**
 * `npm test`: says what it will do, builds, checks, starts the services the tests need, runs all tests and stops
 * the services. Words after `--` choose test files by a part of their path and leave out the checks:
 * `npm test -- unit/store`.
 */
import { glob } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type CheckResult, runChecks } from './support/checks.ts';
import { isRootDebian, servicesForbidden } from './support/services/service.ts';
import { planServices, type ServiceReport, startServices, stopServices } from './support/services/start.ts';
import { addCounts, closingLines, noCounts, type RunResult, runTests } from './support/test-runs.ts';

const FILE_TIMEOUT_MS = 10 * 60_000;

interface Phase {
  readonly name: string;
  readonly folders: readonly string[];
  readonly concurrency: number;
  readonly needsServices: boolean;
}

const cores = availableParallelism();
const PHASES: readonly Phase[] = [
  { name: 'unit', folders: ['unit'], concurrency: cores, needsServices: false },
  {
    name: 'contract and integration',
    folders: ['contract', 'integration'],
    concurrency: Math.max(1, Math.floor(cores / 2)),
    needsServices: true,
  },
  // Whole nodes, with deadlines: one after another.
  { name: 'e2e', folders: ['e2e'], concurrency: 1, needsServices: true },
];

async function filesOf(phase: Phase, filters: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for (const folder of phase.folders) {
    for await (const file of glob(`test/${folder}/**/*.test.ts`)) {
      if (filters.length === 0 || filters.some((filter) => file.includes(filter))) files.push(file);
    }
  }
  return files.sort();
}

function printTable(title: string, rows: readonly (readonly string[])[]): void {
  if (rows.length === 0) return;
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)));
  console.log(`\n${title}`);
  for (const row of rows)
    console.log(`  ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}`.trimEnd());
}

async function announce(filters: readonly string[], needsServices: boolean): Promise<void> {
  console.log(
    filters.length > 0
      ? `tests: only files with ${filters.join(' or ')} in their path; no checks`
      : 'tests: all',
  );
  if (!needsServices) return;
  if (servicesForbidden()) {
    console.log(
      'services: TEST_SERVICES=none: nothing is installed or started; what needs a service is skipped',
    );
    return;
  }
  const root = await isRootDebian();
  console.log(
    root
      ? 'services: root on Debian: what is missing is installed by apt-get, started, and stopped again (TEST_SERVICES=none prevents it)'
      : 'services: not root on Debian: nothing is installed; what is there is used, the rest is skipped',
  );
  for (const line of await planServices()) console.log(`services: ${line}`);
}

function report(
  checks: readonly CheckResult[],
  services: readonly ServiceReport[],
  results: readonly RunResult[],
): void {
  printTable(
    'Checks',
    checks.map(({ name, passed, seconds }) => [
      name,
      passed ? 'passed' : 'FAILED',
      `${seconds.toFixed(1)} s`,
    ]),
  );
  printTable(
    'Services',
    services.map(({ name, state, reason }) => [
      name,
      state === 'running' ? 'used' : state.toUpperCase(),
      reason,
    ]),
  );
  const skips = results.flatMap((result) => [...result.skips]);
  printTable(
    'SKIPPED tests, by reason',
    skips.map(([reason, tests]) => [
      String(tests.length),
      reason,
      tests.length > 1 ? `${tests[0]}, …` : (tests[0] ?? ''),
    ]),
  );
  console.log('');
}

async function main(): Promise<boolean> {
  process.chdir(fileURLToPath(new URL('..', import.meta.url)));
  const filters = process.argv.slice(2);
  const phases = await Promise.all(
    PHASES.map(async (phase) => ({ phase, files: await filesOf(phase, filters) })),
  );
  const needsServices = phases.some(({ phase, files }) => phase.needsServices && files.length > 0);
  if (phases.every(({ files }) => files.length === 0)) {
    console.log(`no test file has ${filters.join(' or ')} in its path`);
    return false;
  }
  await announce(filters, needsServices);

  const stop = new AbortController();
  const services: ServiceReport[] = [];
  let interrupted = false;
  const interrupt = (signal: NodeJS.Signals): void => {
    if (interrupted) process.exit(1);
    interrupted = true;
    console.log(`\n${signal}: stopping (a second one stops without cleaning up)`);
    stop.abort();
  };
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);

  const counts = noCounts();
  const results: RunResult[] = [];
  let checks: CheckResult[] = [];
  try {
    if (filters.length === 0) checks = await runChecks();
    if (needsServices && !stop.signal.aborted) await startServices(services);
    for (const service of services) Object.assign(process.env, service.env);
    for (const { phase, files } of phases) {
      if (files.length === 0 || stop.signal.aborted) continue;
      console.log(`\n=== ${phase.name}: ${files.length} files`);
      const { concurrency } = phase;
      const result = await runTests({ files, concurrency, timeoutMs: FILE_TIMEOUT_MS, signal: stop.signal });
      results.push(result);
      addCounts(counts, result.counts);
    }
  } finally {
    await stopServices(services);
  }
  report(checks, services, results);
  console.log(closingLines(counts));
  return (
    !interrupted &&
    counts.fail === 0 &&
    counts.cancelled === 0 &&
    counts.tests > 0 &&
    checks.every((check) => check.passed) &&
    services.every((service) => service.state !== 'failed')
  );
}

process.exitCode = (await main()) ? 0 : 1;
