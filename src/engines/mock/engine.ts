import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { NodeError } from '../../core/errors.ts';
import { RUN_OUTPUT_BYTES, type RunCommandResult } from '../../core/job.ts';
import { formatBytes } from '../../core/resources.ts';
import type { Engine, RunContext, RunRequest, StopReason } from '../engine.ts';
import { toStopError } from '../stop.ts';
import { type MockParams, parseMockParams } from './params.ts';

const FILLER_CHUNK_BYTES = 65_536;
const FILLER = '.'.repeat(FILLER_CHUNK_BYTES);

/**
 * Runs nothing: behaves as Engine.Params say, for tests and for measuring the node without the cost of an
 * engine. Files are written synchronously, which in a pool thread is cheaper than the thread pool's round
 * trips; a fileless run without any output writes nothing.
 */
export class MockEngine implements Engine {
  readonly type = 'mock';

  async run(request: RunRequest, context: RunContext): Promise<RunCommandResult> {
    const params = parseMockParams(request.spec.Tasks[0].Engine.Params);
    await pass(params.prepareDelayMs, params, context.signal);
    context.report({ kind: 'running' });
    const stdout = Buffer.from(printedEnv(params, request) + params.stdout);
    const stderr = Buffer.from(params.stderr);
    const silent = stdout.length + stderr.length + params.outputBytes === 0;
    if (!silent || !request.header.fileless) {
      if (request.header.fileless) mkdirSync(request.resultsDirectory, { recursive: true, mode: 0o700 });
      await writeFiles(request, params, stdout, stderr, context);
    }
    if (!silent) context.report({ kind: 'output' });
    await pass(params.durationMs, params, context.signal);
    if (params.failWith !== undefined) {
      throw new NodeError(params.failWith, `the mock job was told to fail with ${params.failWith}`);
    }
    return {
      ...inline(stdout, stderr, params.outputBytes),
      ExitCode: params.exitCode,
      ErrorMsg: '',
    };
  }
}

/** Lets time pass. @throws NodeError for a stop, after the time the job is told to ignore it */
async function pass(ms: number, params: MockParams, signal: AbortSignal): Promise<void> {
  if (ms > 0 && !signal.aborted) {
    // An abort ends the sleep; why is asked below.
    await sleep(ms, undefined, { signal }).catch(() => undefined);
  }
  if (!signal.aborted) return;
  const reason = signal.reason as StopReason;
  if (reason.kind === 'kill') await sleep(params.ignoreKillForMs);
  throw toStopError(reason);
}

function printedEnv(params: MockParams, request: RunRequest): string {
  let text = '';
  for (const name of params.printEnv) text += `${name}=${request.env[name] ?? ''}\n`;
  if (params.printGpus) for (const gpu of request.gpus) text += `GPU ${gpu.Index} ${gpu.UUID ?? ''}\n`;
  return text;
}

async function writeFiles(
  request: RunRequest,
  params: MockParams,
  stdout: Uint8Array,
  stderr: Uint8Array,
  context: RunContext,
): Promise<void> {
  const path = (name: string): string => join(request.resultsDirectory, name);
  const limit = request.maxStreamBytes;
  writeFileSync(path('stderr'), stderr.subarray(0, limit));
  if (params.outputBytes === 0) writeFileSync(path('stdout'), stdout.subarray(0, limit));
  else await writeFiller(path('stdout'), stdout.subarray(0, limit), limit, params, context);
  writeFileSync(path('exitCode'), String(params.exitCode));
  for (const [name, bytes] of [
    ['stdout', stdout.length + params.outputBytes],
    ['stderr', stderr.length],
  ] as const) {
    if (bytes > limit) {
      throw new NodeError(
        'OutputTooLarge',
        `${name} of the job exceeds ${formatBytes(limit)} (expected less)`,
      );
    }
  }
}

/** Writes in turns of the loop, so that kills and other runs of the thread get theirs. */
async function writeFiller(
  path: string,
  begin: Uint8Array,
  limit: number,
  params: MockParams,
  context: RunContext,
): Promise<void> {
  const file = openSync(path, 'w');
  try {
    writeSync(file, begin);
    let left = Math.min(params.outputBytes, limit - begin.length);
    while (left > 0) {
      left -= writeSync(file, FILLER.slice(0, Math.min(left, FILLER_CHUNK_BYTES)));
      if (left > 0) await turn();
      if (context.signal.aborted) await pass(0, params, context.signal);
    }
  } finally {
    closeSync(file);
  }
}

function inline(
  stdout: Uint8Array,
  stderr: Uint8Array,
  fillerBytes: number,
): Omit<RunCommandResult, 'ExitCode' | 'ErrorMsg'> {
  const filler = FILLER.slice(0, Math.max(0, Math.min(fillerBytes, RUN_OUTPUT_BYTES - stdout.length)));
  return {
    Stdout: head(stdout) + filler,
    StdoutTruncated: stdout.length + fillerBytes > RUN_OUTPUT_BYTES,
    stderr: head(stderr),
    StderrTruncated: stderr.length > RUN_OUTPUT_BYTES,
  };
}

/** A character cut in half by the limit is left out. */
function head(bytes: Uint8Array): string {
  if (bytes.length === 0) return '';
  const cut = bytes.length > RUN_OUTPUT_BYTES;
  const kept = cut ? bytes.subarray(0, RUN_OUTPUT_BYTES) : bytes;
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(kept, { stream: cut });
}
