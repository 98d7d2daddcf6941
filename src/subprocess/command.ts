import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { RunRequest, RunResult } from './protocol.ts';

/** Time for the pipes to drain after the command ended: what still holds them then has left its process group. */
const DRAIN_MS = 200;

/** Where input is kept for the command: in memory where the system has such a folder. */
const INPUT_FOLDERS: readonly string[] = ['/dev/shm', tmpdir()];

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
  const stdin = request.input === undefined ? undefined : openInput(request.input);
  try {
    child = spawn(request.command, [...request.args], {
      detached: true,
      shell: false,
      stdio: [stdin ?? 'pipe', 'pipe', 'pipe'],
      ...(request.env === undefined ? {} : { env: { ...request.env } }),
      ...(request.workingDirectory === undefined ? {} : { cwd: request.workingDirectory }),
    });
  } catch (thrown) {
    return { result: Promise.resolve(notStarted(thrown)), kill: () => undefined };
  } finally {
    if (stdin !== undefined) closeSync(stdin);
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
    const keep = request.keep === 'last' ? keepLast : keepFirst;
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

/**
 * A file with the bytes at its start and without a name. Node's own pipes are sockets, which no program can open as
 * /dev/stdin, and which make bash read its start-up files. Undefined where no folder takes it.
 */
function openInput(bytes: Uint8Array): number | undefined {
  for (const folder of INPUT_FOLDERS) {
    let file: number | undefined;
    try {
      const path = join(folder, `bacalhau-${randomUUID()}`);
      file = openSync(path, 'wx+', 0o600);
      unlinkSync(path);
      // With a position, so that the command begins to read at 0.
      for (let at = 0; at < bytes.byteLength; ) at += writeSync(file, bytes, at, bytes.byteLength - at, at);
      return file;
    } catch {
      if (file !== undefined) closeSync(file);
    }
  }
  return undefined;
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

/** Bytes of a stream. It is read to its end, so that the writer is never stopped by a full pipe. */
interface Kept {
  bytes(): Uint8Array;
  truncated(): boolean;
}

function keepFirst(stream: Readable | null, most: number): Kept {
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

function keepLast(stream: Readable | null, most: number): Kept {
  let kept: Buffer = Buffer.alloc(0);
  let cut = false;
  stream?.on('data', (chunk: Buffer) => {
    const all = kept.length === 0 ? chunk : Buffer.concat([kept, chunk]);
    if (all.length > most) cut = true;
    kept = all.length > most ? Buffer.from(all.subarray(all.length - most)) : all;
  });
  stream?.on('error', () => undefined);
  return { bytes: () => new Uint8Array(kept), truncated: () => cut };
}
