import type { CliContext } from '../../src/cli/context.ts';
import { runCli } from '../../src/cli/program.ts';

/** How a command ended, and what it printed. */
export interface CliRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Surroundings of a command in a test, and what it has printed so far. */
export interface TestContext {
  readonly context: CliContext;
  readonly printed: { stdout: string; stderr: string };
  readonly interrupt: () => void;
}

/** A context that keeps what is printed. */
export function testContext(
  options: {
    env?: Record<string, string>;
    cwd?: string;
    tty?: boolean;
    stdin?: string;
    startNode?: CliContext['startNode'];
  } = {},
): TestContext {
  const printed = { stdout: '', stderr: '' };
  const controller = new AbortController();
  const second: (() => void)[] = [];
  const isTTY = options.tty === true;
  const context: CliContext = {
    env: options.env ?? {},
    cwd: options.cwd ?? import.meta.dirname,
    stdout: {
      isTTY,
      write: (text) => {
        printed.stdout += text;
      },
    },
    stderr: {
      isTTY,
      write: (text) => {
        printed.stderr += text;
      },
    },
    readStdin: () => Promise.resolve(options.stdin ?? ''),
    signal: controller.signal,
    onSecondSignal: (listener) => void second.push(listener),
    onReload: () => undefined,
    startNode: options.startNode ?? (() => Promise.reject(new Error('no node in this test'))),
  };
  return {
    context,
    printed,
    interrupt: () => {
      if (controller.signal.aborted) for (const listener of second) listener();
      else controller.abort();
    },
  };
}

/** Runs one command line to its end. */
export async function cli(
  argv: readonly string[],
  options: Parameters<typeof testContext>[0] = {},
): Promise<CliRun> {
  const { context, printed } = testContext(options);
  const code = await runCli(argv, context);
  return { code, ...printed };
}
