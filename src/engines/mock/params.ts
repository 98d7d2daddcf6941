import { parseDurationMs } from '../../core/duration.ts';
import { type ErrorCode, errorRegistry, NodeError } from '../../core/errors.ts';

/** Engine.Params of a mock task: what the run is to look like. All may be absent. */
export interface MockParams {
  /** How long the job's code runs; Go's duration text or milliseconds. */
  readonly durationMs: number;
  /** Time before the job's code starts. */
  readonly prepareDelayMs: number;
  readonly exitCode: number;
  /** Code of the error the run ends with, after its output. */
  readonly failWith: ErrorCode | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** Bytes of filler on stdout, after `Stdout`. */
  readonly outputBytes: number;
  /** Names of environment variables that are printed to stdout as "NAME=value" lines, before `Stdout`. */
  readonly printEnv: readonly string[];
  /** Prints a line "GPU <index> <uuid>" for each device it was given. */
  readonly printGpus: boolean;
  /** How long the run goes on after a kill. */
  readonly ignoreKillForMs: number;
}

/**
 * Reads Engine.Params: Duration, PrepareDelay, ExitCode, FailWith, Stdout, Stderr, OutputBytes, PrintEnv, PrintGpus,
 * IgnoreKillFor.
 * @throws NodeError ValidationFailed
 */
export function parseMockParams(params: Readonly<Record<string, unknown>> | undefined): MockParams {
  return {
    durationMs: duration(params, 'Duration'),
    prepareDelayMs: duration(params, 'PrepareDelay'),
    exitCode: whole(params, 'ExitCode', 255),
    failWith: errorCode(params?.['FailWith']),
    stdout: text(params, 'Stdout'),
    stderr: text(params, 'Stderr'),
    outputBytes: whole(params, 'OutputBytes', Number.MAX_SAFE_INTEGER),
    printEnv: names(params?.['PrintEnv']),
    printGpus: params?.['PrintGpus'] === true,
    ignoreKillForMs: duration(params, 'IgnoreKillFor'),
  };
}

function refuse(name: string, value: unknown, expected: string): NodeError {
  return new NodeError(
    'ValidationFailed',
    `Tasks[0].Engine.Params.${name}: ${JSON.stringify(value)} (expected ${expected})`,
  );
}

function duration(params: Readonly<Record<string, unknown>> | undefined, name: string): number {
  const value = params?.[name] ?? 0;
  if (typeof value === 'number' && value >= 0 && Number.isFinite(value)) return value;
  if (typeof value === 'string') {
    try {
      return parseDurationMs(value);
    } catch {
      // Refused below, with the name of the parameter.
    }
  }
  throw refuse(name, value, 'a duration such as "100ms", or milliseconds');
}

function whole(params: Readonly<Record<string, unknown>> | undefined, name: string, most: number): number {
  const value = params?.[name] ?? 0;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most) return value;
  throw refuse(name, value, `a whole number from 0 to ${most}`);
}

function text(params: Readonly<Record<string, unknown>> | undefined, name: string): string {
  const value = params?.[name] ?? '';
  if (typeof value === 'string') return value;
  throw refuse(name, value, 'text');
}

function names(value: unknown): readonly string[] {
  const list = value ?? [];
  if (Array.isArray(list) && list.every((entry) => typeof entry === 'string')) return list;
  throw refuse('PrintEnv', value, 'a list of names');
}

function errorCode(value: unknown): ErrorCode | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value === 'string' && Object.hasOwn(errorRegistry, value)) return value as ErrorCode;
  throw refuse('FailWith', value, "a code of the node's error registry");
}
