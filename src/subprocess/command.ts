import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import type { RunRequest, RunResult } from './protocol.ts';

/** Time for the pipes to drain after the command ended: what still holds them then has left its process group. */
const DRAIN_MS = 200;

/** A command that runs. */
export interface RunningCommand {
  /** Never rejects. */
  readonly result: Promise<RunResult>;
  /** Kills the command and all it started. */
  kill(): void;
}

/**
 * Starts a command as the leader of its own process group. When it ends, in whatever way, what is left of the
 * group is killed with it.
 */
export function startCommand(request: RunRequest): RunningCommand {
  let child: ChildProcess;
  try {
    child = spawn(request.command, [...request.args], {
      detached: true,
      shell: false,
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(request.env === undefined ? {} : { env: { ...request.env } }),
      ...(request.workingDirectory === undefined ? {} : { cwd: request.workingDirectory }),
    });
  } catch (thrown) {
    return { result: Promise.resolve(notStarted(thrown)), kill: () => undefined };
  }
  const killGroup = (): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // The group is gone.
    }
  };
  return { result: collect(child, request, killGroup), kill: killGroup };
}

function collect(child: ChildProcess, request: RunRequest, killGroup: () => void): Promise<RunResult> {
  return new Promise((resolve) => {
    const stdout = keep(child.stdout, request.maxOutputBytes);
    const stderr = keep(child.stderr, request.maxOutputBytes);
    let timedOut = false;
    let drain: NodeJS.Timeout | undefined;
    const timer = setTimeout(() => {
      timedOut = true;
      killGroup();
    }, request.timeoutMs);
    child.once('error', (error) => {
      // Also told when a kill or a message fails; only a command without a pid was never started.
      if (child.pid !== undefined) return;
      clearTimeout(timer);
      resolve(notStarted(error));
    });
    child.once('exit', () => {
      clearTimeout(timer);
      killGroup();
      drain = setTimeout(() => {
        child.stdout?.destroy();
        child.stderr?.destroy();
      }, DRAIN_MS);
    });
    child.once('close', (code, signal) => {
      clearTimeout(drain);
      if (child.pid === undefined) return;
      resolve({
        code,
        signal,
        stdout: stdout.bytes(),
        stderr: stderr.bytes(),
        timedOut,
        truncated: stdout.truncated() || stderr.truncated(),
      });
    });
    // A command that does not read its input closes the pipe under us.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(request.input ?? new Uint8Array(0));
  });
}

function notStarted(thrown: unknown): RunResult {
  const code = (thrown as NodeJS.ErrnoException).code ?? 'EUNKNOWN';
  return {
    code: null,
    signal: null,
    stdout: new Uint8Array(0),
    stderr: new Uint8Array(0),
    timedOut: false,
    truncated: false,
    startError: code,
  };
}

/** Keeps the first bytes of a stream and reads on, so that the writer is never stopped by a full pipe. */
function keep(stream: Readable | null, most: number): { bytes(): Uint8Array; truncated(): boolean } {
  const chunks: Buffer[] = [];
  let left = most;
  let cut = false;
  stream?.on('data', (chunk: Buffer) => {
    if (chunk.length > left) cut = true;
    if (left > 0) chunks.push(chunk.length > left ? Buffer.from(chunk.subarray(0, left)) : chunk);
    left = Math.max(0, left - chunk.length);
  });
  stream?.on('error', () => undefined);
  return { bytes: () => new Uint8Array(Buffer.concat(chunks)), truncated: () => cut };
}
