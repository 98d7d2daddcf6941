import type { Environment } from '../config/environment.ts';
import type { NodeConfig } from '../config/load.ts';
import type { RunningNode } from '../node-types.ts';
import type { Logger } from '../telemetry/logger.ts';

/** Where a command writes: a stream, or a test's buffer. */
export interface Output {
  readonly isTTY: boolean;
  write(text: string): void;
}

/** Everything a command gets from its surroundings. */
export interface CliContext {
  readonly env: Environment;
  readonly cwd: string;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Whole standard input as text. */
  readonly readStdin: () => Promise<string>;
  /** Aborted by Ctrl+C and SIGTERM; `serve` sees the second one through `onSecondSignal`. */
  readonly signal: AbortSignal;
  /** Calls back on the second Ctrl+C or SIGTERM. */
  readonly onSecondSignal: (listener: () => void) => void;
  /** Calls back on SIGHUP, from now on. */
  readonly onReload: (listener: () => void) => void;
  /** Brings up a node. Loaded on first use: no other command pays for it. */
  readonly startNode: (config: NodeConfig, modules: { readonly logger: Logger }) => Promise<RunningNode>;
}

/** True where escape sequences may be written to `output`. */
export function hasColour(context: CliContext, output: Output): boolean {
  if ((context.env['NO_COLOR'] ?? '') !== '') return false;
  if ((context.env['FORCE_COLOR'] ?? '') !== '' && context.env['FORCE_COLOR'] !== '0') return true;
  return output.isTTY && context.env['TERM'] !== 'dumb';
}

/** `text` in a style where `output` shows it, else as it is. */
export function style(
  context: CliContext,
  output: Output,
  kind: 'bold' | 'red' | 'green' | 'yellow' | 'dim',
  text: string,
): string {
  if (!hasColour(context, output)) return text;
  const codes = { bold: 1, red: 31, green: 32, yellow: 33, dim: 2 } as const;
  return `\u001b[${codes[kind]}m${text}\u001b[0m`;
}

/** A command's end that is no error of the CLI: "the job failed". Its text was printed already. */
export class ExitStatus extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`exit ${code}`);
    this.name = 'ExitStatus';
    this.code = code;
  }
}
