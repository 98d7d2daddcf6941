/** A command for the helper process. Never a shell: arguments go to the program as they are. */
export interface RunRequest {
  /** Absolute path, or a name looked up on the PATH. */
  readonly command: string;
  readonly args: readonly string[];
  /** Bytes for stdin; none closes it at once. */
  readonly input?: Uint8Array;
  /** The whole environment of the command; absent means the helper's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** Absolute; absent means the helper's own. */
  readonly workingDirectory?: string;
  /** The command and all it started are killed after this time. */
  readonly timeoutMs: number;
  /** Most bytes kept of each stream; the rest is read and dropped. */
  readonly maxOutputBytes: number;
  /** Which bytes those are. Default: the first. */
  readonly keep?: 'first' | 'last';
}

/** How a command ended. */
export interface RunResult {
  /** Exit code; null when it was killed or could not be started. */
  readonly code: number | null;
  /** Signal that ended it. */
  readonly signal: string | null;
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
  readonly timedOut: boolean;
  /** True when a stream was longer than `maxOutputBytes`. */
  readonly truncated: boolean;
  /** "ENOENT" and the like, when it could not be started. */
  readonly startError?: string;
}

/** Main process to helper. */
export type ToHelper =
  | { readonly kind: 'run'; readonly id: number; readonly request: RunRequest }
  | { readonly kind: 'kill'; readonly id: number };

/** Helper to main process: one answer a run. */
export interface FromHelper {
  readonly id: number;
  readonly result: RunResult;
}

/** Largest `maxOutputBytes` and `input`: one frame between the processes stays below twice that and a little. */
export const FRAME_BYTES = 16_777_216;
