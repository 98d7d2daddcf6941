import { NodeError } from '../../../core/errors.ts';
import { formatBytes } from '../../../core/resources.ts';
import { withoutSecrets } from '../../../core/secrets.ts';
import { FRAME_BYTES, type RunRequest, type RunResult } from '../../../subprocess/protocol.ts';
import type { AskedJob, SlowStrategy, Verdict } from '../strategy.ts';
import { YES } from '../strategy.ts';
import type { BidTally } from '../tally.ts';
import { bounded, ProbeTrouble, probeStrategy, probeTimedOut } from './probe.ts';

/** Runs commands elsewhere than in this process: `subprocess/helper.ts`. */
export interface CommandRunner {
  run(request: RunRequest, signal?: AbortSignal): Promise<RunResult>;
}

export interface ExecProbeOptions {
  /** Shell text. Nothing of the job is ever part of it. */
  readonly command: string;
  /** All of the environment that the probe gets, but for the job. */
  readonly path: string;
  readonly probeTimeoutMs: number;
  readonly probeConcurrency: number;
  readonly probeOnError: 'reject' | 'transient';
}

export interface ExecProbeModules {
  readonly runner: () => CommandRunner;
  readonly tally: BidTally;
  readonly payload: (job: AskedJob) => Uint8Array;
}

const DATA_VARIABLE = 'BACALHAU_JOB_SELECTION_PROBE_DATA';
/** Linux takes no longer string of the environment: name, "=", value and the end (MAX_ARG_STRLEN). */
const LONGEST_VARIABLE_BYTES = 131_072;
/** Kept of the end of stderr: enough for one line. */
const STDERR_BYTES = 8192;
/** What a POSIX shell answers when it cannot start what its text names. */
const NOT_STARTED: ReadonlySet<number> = new Set([126, 127]);

/**
 * `--job-selection-probe-exec`: a program of the operator decides. It gets the job on stdin, and in the environment
 * where that is short enough; exit code 0 accepts, any other refuses with the last line of its stderr.
 */
export function execProbe(options: ExecProbeOptions, modules: ExecProbeModules): SlowStrategy {
  const { command, path, probeTimeoutMs } = options;
  let shell: 'bash' | 'sh' = 'bash';

  const start = async (input: Uint8Array, signal: AbortSignal): Promise<RunResult> => {
    const request: RunRequest = {
      command: shell,
      // bash reads ~/.bashrc when it takes its stdin for a network connection.
      args: shell === 'bash' ? ['--norc', '-c', command] : ['-c', command],
      input,
      env: environmentOf(input, path),
      timeoutMs: probeTimeoutMs,
      maxOutputBytes: STDERR_BYTES,
      keep: 'last',
    };
    try {
      return await modules.runner().run(request, signal);
    } catch (thrown) {
      if (thrown instanceof NodeError) throw new ProbeTrouble('lost', `was lost: ${thrown.message}`);
      throw thrown;
    }
  };

  return probeStrategy('exec_probe', options, modules.tally, async (job, signal) => {
    const input = modules.payload(job);
    if (input.byteLength > FRAME_BYTES) return tooLarge(input.byteLength);
    let result = await start(input, signal);
    if (result.startError === 'ENOENT' && shell === 'bash') {
      shell = 'sh';
      result = await start(input, signal);
    }
    return verdictOf(result, options);
  });
}

function environmentOf(input: Uint8Array, path: string): Record<string, string> {
  const bytes = DATA_VARIABLE.length + 2 + input.byteLength;
  return bytes > LONGEST_VARIABLE_BYTES
    ? { PATH: path }
    : { PATH: path, [DATA_VARIABLE]: new TextDecoder().decode(input) };
}

function tooLarge(bytes: number): Verdict {
  return {
    kind: 'no',
    reason: `accept jobs that its exec probe cannot be shown: ${formatBytes(bytes)} (the maximum is ${formatBytes(FRAME_BYTES)})`,
  };
}

function verdictOf(result: RunResult, options: ExecProbeOptions): Verdict {
  if (result.startError !== undefined) {
    throw new ProbeTrouble('start', `cannot be started: no shell (${result.startError})`);
  }
  if (result.timedOut) throw probeTimedOut(options.probeTimeoutMs);
  if (result.code === 0) return YES;
  const words = lastLine(result.stderr);
  if (result.code !== null && NOT_STARTED.has(result.code)) {
    throw new ProbeTrouble(
      'start',
      `cannot be started (exit code ${result.code})${words === '' ? '' : `: ${words}`}`,
    );
  }
  if (words !== '') return { kind: 'no', reason: words, verbatim: true };
  const how =
    result.code === null ? `is ended by ${result.signal ?? 'a signal'}` : `returns exit code ${result.code}`;
  return {
    kind: 'no',
    reason: `accept jobs where external command ${JSON.stringify(bounded(withoutSecrets(options.command)))} ${how}`,
  };
}

function lastLine(stderr: Uint8Array): string {
  const lines = new TextDecoder().decode(stderr).split(/[\r\n]+/);
  return lines.map(bounded).findLast((line) => line !== '') ?? '';
}
