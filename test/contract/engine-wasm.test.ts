import { Worker } from 'node:worker_threads';
import { type ErrorData, fromErrorData, NodeError } from '../../src/core/errors.ts';
import type { RunCommandResult } from '../../src/core/job.ts';
import type { Engine, RunContext, RunReport, RunRequest, StopReason } from '../../src/engines/engine.ts';
import { type ContractJob, type EngineUnderTest, engineContract } from './engine.ts';

type Told = { report: RunReport } | { result: RunCommandResult } | { error: ErrorData };

/** The WASM engine as the node uses it: a thread runs the job, and is ended with a job that must end. */
class ThreadedWasmEngine implements Engine {
  readonly type = 'wasm';
  readonly running = new Set<string>();

  async run(request: RunRequest, context: RunContext): Promise<RunCommandResult> {
    if (context.signal.aborted) throw stopError(context.signal.reason as StopReason);
    const id = request.header.executionId;
    const thread = new Worker(new URL('../support/wasm-thread.ts', import.meta.url), {
      workerData: { request },
    });
    this.running.add(id);
    const ended = new Promise<void>((resolve) => {
      thread.once('exit', () => {
        this.running.delete(id);
        resolve();
      });
    });
    try {
      return await new Promise<RunCommandResult>((resolve, reject) => {
        context.signal.addEventListener('abort', () =>
          reject(stopError(context.signal.reason as StopReason)),
        );
        thread.once('error', reject);
        thread.on('message', (told: Told) => {
          if ('report' in told) context.report(told.report);
          else if ('result' in told) resolve(told.result);
          else reject(fromErrorData(told.error));
        });
      });
    } finally {
      await thread.terminate();
      await ended;
    }
  }
}

function stopError(reason: StopReason): NodeError {
  if (reason.kind === 'detach') return new NodeError('ExecutionLost', 'the node stops');
  return new NodeError(reason.why === 'timeout' ? 'ExecutionTimedOut' : 'ExecutionCancelled', reason.cause);
}

function args(job: ContractJob): string[] {
  switch (job.kind) {
    case 'print':
      return ['print', job.stdout, job.stderr, String(job.exitCode)];
    case 'bytes':
      return ['bytes', String(job.count)];
    case 'env':
      return ['env', job.name];
    case 'hang':
      return ['hang'];
  }
}

const program = new URL('../support/wasm/job.wasm', import.meta.url);

engineContract('wasm', (): Promise<EngineUnderTest> => {
  const engine = new ThreadedWasmEngine();
  return Promise.resolve({
    engine,
    parts: (job) => ({
      engine: 'wasm',
      params: { EntryModule: 'job.wasm', Parameters: args(job) },
      inputs: [{ path: program.pathname, target: '/job.wasm', alias: '', readOnly: true }],
    }),
    isGone: (request) => Promise.resolve(!engine.running.has(request.header.executionId)),
  });
});
