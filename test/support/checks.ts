import { run } from './services/service.ts';

export interface CheckResult {
  readonly name: string;
  readonly passed: boolean;
  readonly seconds: number;
}

const MINUTES_10 = 600_000;

async function check(script: string): Promise<CheckResult> {
  const started = performance.now();
  const result = await run('npm', ['run', '--silent', script], { timeoutMs: MINUTES_10 });
  const seconds = (performance.now() - started) / 1000;
  const passed = result.code === 0;
  console.log(`checks: ${script} ${passed ? 'passed' : 'FAILED'} (${seconds.toFixed(1)} s)`);
  if (!passed) console.log(`${result.stdout}${result.stderr}`.trimEnd());
  return { name: script, passed, seconds };
}

/** Builds, then checks types, lint, format and dead code: the scripts of package.json. */
export async function runChecks(): Promise<CheckResult[]> {
  const built = await check('build');
  const rest = [await check('typecheck')];
  rest.push(...(await Promise.all([check('lint'), check('fmt:check'), check('knip')])));
  return [built, ...rest];
}
