import type { ExecutionHeader, Placement } from '../core/item.ts';
import type { Gpu, JobSpec, RunCommandResult } from '../core/job.ts';

/** An input that is ready on this machine. */
export interface PreparedInput {
  /** Absolute path of a file or folder that only this execution's storage owns, or an allow-listed host path. */
  readonly path: string;
  /** Where the job sees it. */
  readonly target: string;
  readonly alias: string;
  readonly readOnly: boolean;
  /** Its bytes, where nobody has written them to `path` yet: who needs the file makes it. */
  readonly content?: Uint8Array;
}

/** Everything an engine needs to run one execution. */
export interface RunRequest {
  readonly header: ExecutionHeader;
  readonly spec: JobSpec;
  readonly placement: Placement;
  readonly inputs: readonly PreparedInput[];
  /**
   * Absolute path: stdout, stderr, exitCode and one folder a result path are written here. It exists, but for a
   * fileless execution, whose engine makes it if it must.
   */
  readonly resultsDirectory: string;
  readonly gpus: readonly Gpu[];
  /** Environment the node adds: BACALHAU_EXECUTION_ID, BACALHAU_JOB_ID, BACALHAU_JOB_TYPE, then Task.Env resolved. */
  readonly env: Readonly<Record<string, string>>;
  /** Most bytes of one stream, and of all result paths together. */
  readonly maxStreamBytes: number;
  readonly maxResultBytes: number;
}

/** Why a run is interrupted; reason of the abort signal an engine gets. */
export type StopReason =
  /** The run must end: `cause` says why, in words of the job history. */
  | { readonly kind: 'kill'; readonly why: 'cancelled' | 'timeout'; readonly cause: string }
  /** The daemon stops. What can outlive it is left running; the promise rejects with ExecutionLost. */
  | { readonly kind: 'detach' };

/** What happens inside a run, told as it happens. */
export type RunReport =
  | {
      readonly kind: 'pulling';
      readonly image: string;
      readonly doneBytes: number;
      readonly totalBytes: number;
    }
  /** The job's own code starts now: the execution clock starts with it. */
  | { readonly kind: 'running' }
  /** New bytes in stdout or stderr files: readers may look. At most one every 100 ms. */
  | { readonly kind: 'output' };

/** Where the output of a fileless run can be read while it is short. */
export interface LiveOutput {
  /** False where nobody reads: then new output need not be reported. */
  readonly isWatched: boolean;
  append(stream: 'stdout' | 'stderr', output: Uint8Array): void;
  /** The stream is in its file from its first byte on. */
  moveToFile(stream: 'stdout' | 'stderr'): void;
}

export interface RunContext {
  /** Aborted with a StopReason. */
  readonly signal: AbortSignal;
  report(report: RunReport): void;
  readonly live?: LiveOutput;
}

/**
 * Runs executions. One contract suite (test/contract/engine.ts) holds for every implementation:
 * stdout, stderr and exitCode files are written even for failing commands; a non-zero exit code is a result,
 * not an error; a killed run resolves or rejects only when nothing of it runs any more; streams over the limit
 * end the run with OutputTooLarge; the promise settles exactly once.
 */
export interface Engine {
  /** Lower case: "docker", "wasm", "mock". */
  readonly type: string;
  /** @throws NodeError with a code of the executions block. */
  run(request: RunRequest, context: RunContext): Promise<RunCommandResult>;
}
