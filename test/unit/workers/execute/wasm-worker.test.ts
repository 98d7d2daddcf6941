import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type JobSpec, RUN_OUTPUT_BYTES } from '../../../../src/core/job.ts';
import type { Outcome } from '../../../../src/core/outcome.ts';
import { RunSlot } from '../../../../src/core/run-slot.ts';
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
  more: { isTakenBack?: boolean; args?: string[]; fileless?: boolean } = {},
): Promise<WasmInput> {
  const request = await wasmRequest(t, { module, args: more.args ?? [] });
  const slot = new RunSlot(new Int32Array(new SharedArrayBuffer(RunSlot.BYTES)));
  if (more.isTakenBack === true) slot.takeBack();
  const { header, placement, inputs } = request;
  const encode = (spec: JobSpec): Uint8Array => new TextEncoder().encode(JSON.stringify(spec));
  const rest = { placement, gpus: [], slot: slot.words };
  if (more.fileless !== true) return { ...rest, header, inputs, spec: encode(request.spec) };
  await rm(placement.directory, { recursive: true });
  const URL = `data:application/wasm;base64,${Buffer.from(module).toString('base64')}`;
  const source = { Source: { Type: 'inline', Params: { URL } }, Alias: '', Target: 'main.wasm' };
  const spec: JobSpec = { ...request.spec, Tasks: [{ ...request.spec.Tasks[0], InputSources: [source] }] };
  return { ...rest, header: { ...header, fileless: true }, inputs: [], spec: encode(spec) };
}

const resultsOf = (item: WasmInput): string => join(item.placement.directory, 'results');

test('jobs are run one after another; one that was taken back is not started', async (t) => {
  const { pool, said } = wasmThread(t);
  const runs = await input(t, await wat('(module (func (export "_start")))'));
  const taken = await input(t, await wat('(module (func (export "_start")))'), {
    isTakenBack: true,
  });
  const broken = await input(t, await wat('(module (func (export "other")))'));
  await pool.run([
    { id: 'a', input: runs },
    { id: 'b', input: taken },
    { id: 'c', input: broken },
  ]);
  assert.deepEqual(said, ['a finished', 'b notStarted', 'c WasmInvalid']);
  const hasRun = (item: WasmInput): boolean => new RunSlot(item.slot).hasRun;
  assert.deepEqual([runs, taken, broken].map(hasRun), [true, false, true]);
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

test('a job without files prints into memory, and into a file what is more than a result keeps', async (t) => {
  const { pool, said } = wasmThread(t);
  const little = await input(t, await builtProgram('job'), {
    args: ['print', 'out', 'err', '0'],
    fileless: true,
  });
  const much = await input(t, await builtProgram('job'), { args: ['bytes', '5000'], fileless: true });
  await pool.run([
    { id: 'little', input: little },
    { id: 'much', input: much },
  ]);
  assert.deepEqual(said, ['little finished', 'much finished']);
  const slot = new RunSlot(little.slot);
  assert.equal(String(slot.read('stdout', 1)), 'ut');
  assert.equal(String(slot.read('stderr', 0)), 'err');
  assert.equal(existsSync(little.placement.directory), false);
  assert.equal(new RunSlot(much.slot).read('stdout', 0), undefined);
  assert.equal((await readFile(join(resultsOf(much), 'stdout'))).length, 5000);
  assert.ok(5000 > RUN_OUTPUT_BYTES);
});

test('an endless job without files can be read while it blocks its thread', async (t) => {
  const { pool, hears } = wasmThread(t);
  const endless = await input(t, await builtProgram('job'), { args: ['hang'], fileless: true });
  const slot = new RunSlot(endless.slot);
  slot.watch();
  const stop = new AbortController();
  const run = pool.run([{ id: 'endless', input: endless }], { signal: stop.signal });
  await hears('endless output');
  assert.equal(String(slot.read('stdout', 0)), 'started\n');
  assert.ok(slot.hasRun && slot.thread > 0);
  stop.abort();
  await assert.rejects(run);
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
