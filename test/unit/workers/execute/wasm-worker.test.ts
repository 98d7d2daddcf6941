import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Outcome } from '../../../../src/core/outcome.ts';
import type {
  ExecuteOptions,
  ExecuteReport,
  WasmInput,
  WasmOutput,
} from '../../../../src/workers/execute/protocol.ts';
import { Pool, workerUrl } from '../../../../src/workers/pool.ts';
import { recordingLogger } from '../../../support/logs.ts';
import { builtProgram, wasmRequest } from '../../../support/wasm-run.ts';
import { wat } from '../../../support/wat.ts';

interface WasmThread {
  readonly pool: Pool<WasmInput, WasmOutput, ExecuteReport>;
  /** What the thread has said, in order. */
  readonly said: string[];
  /** Resolves when it says this. */
  hears(text: string): Promise<void>;
}

function told(outcome: Outcome<WasmOutput>): string {
  if (outcome.kind === 'advance') return outcome.value.kind;
  return outcome.kind === 'fail' ? outcome.error.code : outcome.kind;
}

/** A pool with one thread that runs the real worker file. */
function wasmThread(t: TestContext): WasmThread {
  const said: string[] = [];
  const waiting = new Map<string, () => void>();
  const say = (text: string): void => {
    said.push(text);
    waiting.get(text)?.();
  };
  const workerOptions: Partial<ExecuteOptions> = {
    maxStreamBytes: 1 << 20,
    maxResultBytes: 1 << 20,
    envAllowList: [],
    hostEnv: {},
  };
  const pool = new Pool<WasmInput, WasmOutput, ExecuteReport>(
    {
      name: 'wasm',
      file: workerUrl('../../../../src/workers/execute/wasm.worker', import.meta.url),
      minThreads: 1,
      maxThreads: 1,
      batchesPerThread: 1,
      atomics: 'disabled',
      workerOptions,
    },
    {
      logger: recordingLogger().logger,
      listener: {
        onStarted: (id) => say(`${id} started`),
        onReport: (id, report) => say(`${id} ${report.kind}`),
        onOutcome: (id, outcome) => say(`${id} ${told(outcome)}`),
      },
    },
  );
  t.after(() => pool.stop());
  const hears = (text: string): Promise<void> =>
    new Promise((resolve) => {
      waiting.set(text, resolve);
      if (said.includes(text)) resolve();
    });
  return { pool, said, hears };
}

async function input(
  t: TestContext,
  module: Uint8Array,
  more: { claim?: number; args?: string[] } = {},
): Promise<WasmInput> {
  const request = await wasmRequest(t, { module, args: more.args ?? [] });
  const claim = new Int32Array(new SharedArrayBuffer(4));
  claim[0] = more.claim ?? 0;
  const { header, placement, inputs } = request;
  const spec = new TextEncoder().encode(JSON.stringify(request.spec));
  return { header, placement, inputs, spec, gpus: [], claim };
}

const resultsOf = (item: WasmInput): string => join(item.placement.directory, 'results');

test('jobs are run one after another; one that was taken back is not started', async (t) => {
  const { pool, said } = wasmThread(t);
  const runs = await input(t, await wat('(module (func (export "_start")))'));
  const taken = await input(t, await wat('(module (func (export "_start")))'), { claim: 2 });
  const broken = await input(t, await wat('(module (func (export "other")))'));
  await pool.run([
    { id: 'a', input: runs },
    { id: 'b', input: taken },
    { id: 'c', input: broken },
  ]);
  assert.deepEqual(said, [
    'a started',
    'a running',
    'a finished',
    'b notStarted',
    'c started',
    'c running',
    'c WasmInvalid',
  ]);
  assert.deepEqual([runs.claim[0], taken.claim[0], broken.claim[0]], [1, 2, 1]);
  assert.equal(await readFile(join(resultsOf(runs), 'exitCode'), 'utf8'), '0');
});

test('the environment of the job is that of the request', async (t) => {
  const { pool, said } = wasmThread(t);
  const item = await input(t, await builtProgram('job'), { args: ['env', 'BACALHAU_JOB_ID'] });
  await pool.run([{ id: 'a', input: item }]);
  assert.equal(said.at(-1), 'a finished');
  const stdout = await readFile(join(resultsOf(item), 'stdout'), 'utf8');
  assert.equal(stdout, `BACALHAU_JOB_ID=${item.header.jobId}\n`);
});

for (const kind of ['hang', 'sleep']) {
  test(`ending the thread of an endless job (${kind}) leaves what it printed, and the pool goes on`, async (t) => {
    const { pool, said, hears } = wasmThread(t);
    const endless = await input(t, await builtProgram('job'), { args: [kind] });
    const stop = new AbortController();
    const run = pool.run([{ id: 'endless', input: endless }], { signal: stop.signal });
    await hears('endless output');
    stop.abort();
    await assert.rejects(run);
    assert.equal(await readFile(join(resultsOf(endless), 'stdout'), 'utf8'), 'started\n');
    assert.ok(!said.includes('endless finished'));
    const next = await input(t, await builtProgram('job'), { args: ['print', 'again', '', '0'] });
    await pool.run([{ id: 'next', input: next }]);
    assert.equal(said.at(-1), 'next finished');
    assert.equal(await readFile(join(resultsOf(next), 'stdout'), 'utf8'), 'again');
  });
}
