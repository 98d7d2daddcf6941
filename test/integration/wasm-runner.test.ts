import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Outcome } from '../../src/core/outcome.ts';
import { WasmRunner } from '../../src/pipeline/execute/wasm-runner.ts';
import { wasmInput } from '../../src/pipeline/inputs.ts';
import type { Item } from '../../src/pipeline/item.ts';
import { BoundedQueue } from '../../src/pipeline/queue.ts';
import { createStageMetrics, type StageMetrics } from '../../src/telemetry/metrics.ts';
import type { WasmOutput } from '../../src/workers/execute/protocol.ts';
import { executeOptions } from '../support/execute-options.ts';
import { temporaryFolder } from '../support/folders.ts';
import { endlessModule, helloModule, sleepModule, wasmJob } from '../support/jobs.ts';
import { waitUntil } from '../support/node.ts';
import { MIB, pipelineKit, request, silentLogger } from '../support/pipeline.ts';

interface Setup {
  readonly runner: WasmRunner;
  readonly metrics: StageMetrics;
  readonly outcomes: ReadonlyMap<string, Outcome<WasmOutput>>;
  /** Ids of runs that have reported that they run. */
  readonly ran: ReadonlySet<string>;
  item(module: Uint8Array): Promise<Item>;
  /** The same without a folder, its module inside the job. */
  fileless(module: Uint8Array): Item;
  /** Hands them over in one turn, so that one look of the runner sees them all. */
  offer(items: readonly Item[]): void;
}

async function setup(t: TestContext, threads: number): Promise<Setup> {
  const folder = await temporaryFolder(t);
  const kit = pipelineKit();
  const metrics = createStageMetrics('wasm');
  const outcomes = new Map<string, Outcome<WasmOutput>>();
  const ran = new Set<string>();
  const runner = new WasmRunner(
    {
      batchItems: 16,
      toInput: (item, slot) => wasmInput(item, kit.records.specs.of(item), slot),
      pool: {
        name: 'wasm',
        file: new URL('../../src/workers/execute/wasm.worker.ts', import.meta.url),
        minThreads: 0,
        maxThreads: threads,
        batchesPerThread: 1,
        atomics: 'sync',
        idleTimeoutMs: 1000,
        workerOptions: executeOptions(folder),
      },
    },
    {
      queue: new BoundedQueue({ name: 'wasm', bound: 100 }),
      metrics,
      logger: silentLogger,
      onFatal: (error) => assert.fail(error),
      onReport: ({ id }, { kind }) => void (kind === 'running' && ran.add(id)),
      onOutcome: ({ id }, outcome) => {
        assert.ok(!outcomes.has(id), `${id} ended twice`);
        outcomes.set(id, outcome);
      },
    },
  );
  t.after(() => runner.stop());
  return {
    runner,
    metrics,
    outcomes,
    ran,
    async item(module) {
      const resources = request({ cpu: 0.1, memory: 64 * MIB });
      const item = kit.item({ engine: 'wasm', resources });
      const directory = join(folder, item.id);
      await mkdir(join(directory, 'results'), { recursive: true });
      const path = join(directory, 'main.wasm');
      await writeFile(path, module);
      const engine = { Type: 'wasm', Params: { EntryModule: 'main.wasm' } };
      const spec = {
        ID: item.header.jobId,
        Tasks: [{ Engine: engine, Resources: {}, Network: { Type: 'None' } }],
      };
      return {
        ...item,
        spec: new TextEncoder().encode(JSON.stringify(spec)),
        placement: { directory, gpus: [] },
        inputs: [{ path, target: 'main.wasm', alias: '', readOnly: true }],
      };
    },
    fileless(module) {
      const item = kit.item({ engine: 'wasm', fileless: true });
      const spec = new TextEncoder().encode(JSON.stringify(wasmJob(module)));
      return { ...item, spec, placement: { directory: join(folder, item.id), gpus: [] } };
    },
    offer(items) {
      for (const item of items) {
        assert.ok(runner.queue.tryReserve());
        runner.offerReserved(item);
      }
    },
  };
}

function stdoutOf(outcome: Outcome<WasmOutput> | undefined): string {
  assert.equal(outcome?.kind, 'advance', JSON.stringify(outcome));
  assert.equal(outcome.value.kind, 'finished', 'it must have run');
  return outcome.value.result.Stdout;
}

test('jobs behind a slow one go to another thread, and none ends without having run', async (t) => {
  const { item, offer, outcomes, metrics } = await setup(t, 2);
  const [slow, hello, slower] = [await sleepModule(300), await helloModule(), await sleepModule(900)];
  // Two threads: the first is handed slow, slower, hello, the second three short ones. What is taken back from
  // the first runs at the second while the first comes to it and finds it taken.
  const items = await Promise.all([slow, slower, hello, hello, hello, hello].map(item));
  offer(items);
  await waitUntil(() => outcomes.size === items.length, 'all have ended');
  assert.deepEqual(
    items.map(({ id }) => stdoutOf(outcomes.get(id))),
    ['slept\n', 'slept\n', 'hello\n', 'hello\n', 'hello\n', 'hello\n'],
  );
  const counted = [...metrics.threads.values()].reduce((sum, count) => sum + count, 0);
  assert.equal(counted, items.length, 'each is counted where it ran');
});

test('ending a runaway job ends its thread and nothing else', async (t) => {
  const { item, offer, outcomes, runner, ran } = await setup(t, 1);
  const endless = await item(await endlessModule());
  const others = await Promise.all([await helloModule(), await helloModule()].map(item));
  offer([endless, ...others]);
  await waitUntil(() => ran.has(endless.id), 'the endless one runs');
  const cause = { why: 'timeout', cause: 'it took too long' } as const;
  endless.stop = cause;
  assert.ok(runner.kill(endless.id, cause));
  assert.equal(outcomes.size, 0, 'it still runs: its end has not come');
  await waitUntil(() => outcomes.size === 3, 'all have ended');
  assert.deepEqual(outcomes.get(endless.id), {
    kind: 'fail',
    error: { code: 'ExecutionTimedOut', message: 'it took too long' },
  });
  for (const { id } of others) assert.equal(stdoutOf(outcomes.get(id)), 'hello\n');
});

test('what is over waits neither for a long job behind it nor for the end of its thread', async (t) => {
  const { fileless, offer, outcomes, runner, metrics } = await setup(t, 1);
  const [first, second] = [fileless(await helloModule()), fileless(await helloModule())];
  const endless = fileless(await endlessModule());
  offer([first, second, endless]);
  await waitUntil(() => outcomes.size === 2, 'both are told while the endless one blocks their thread');
  for (const { id } of [first, second]) assert.equal(stdoutOf(outcomes.get(id)), 'hello\n');
  assert.equal(
    [...metrics.threads.values()].reduce((sum, count) => sum + count, 0),
    2,
  );
  const cause = { why: 'cancelled', cause: 'enough' } as const;
  assert.ok(runner.kill(endless.id, cause));
  await waitUntil(() => outcomes.has(endless.id), 'it has ended');
  const last = fileless(await helloModule());
  const next = fileless(await endlessModule());
  offer([last, next]);
  await waitUntil(() => next.slot?.hasRun === true, 'the next endless one runs');
  assert.ok(runner.kill(next.id, cause));
  await waitUntil(() => outcomes.has(next.id), 'it has ended at once');
  assert.equal(stdoutOf(outcomes.get(last.id)), 'hello\n');
});

test('a job that was taken back is killed at the thread that has it now', async (t) => {
  const { item, offer, outcomes, runner, ran } = await setup(t, 2);
  const [slow, hello] = [await sleepModule(400), await helloModule()];
  const first = await item(slow);
  const endless = await item(await endlessModule());
  const items = [first, endless, await item(hello), await item(hello), await item(hello), await item(hello)];
  offer(items);
  await waitUntil(() => ran.has(endless.id), 'the endless one runs at the second thread');
  await waitUntil(() => outcomes.has(first.id), 'the first thread comes to what was taken from it');
  // Lets the messages of the first thread come in before the kill.
  const probe = await item(hello);
  offer([probe]);
  await waitUntil(() => outcomes.has(probe.id), 'the first thread runs something else');
  const cause = { why: 'cancelled', cause: 'enough' } as const;
  endless.stop = cause;
  assert.ok(runner.kill(endless.id, cause));
  await waitUntil(() => outcomes.has(endless.id), 'it has ended');
  assert.deepEqual(outcomes.get(endless.id), { kind: 'cancelled', reason: 'enough' });
});

test('a job that waits behind another is taken out without ending the thread', async (t) => {
  const { item, offer, outcomes, runner, ran } = await setup(t, 1);
  const slow = await item(await sleepModule(500));
  const waiting = await item(await helloModule());
  offer([slow, waiting]);
  await waitUntil(() => ran.has(slow.id), 'the first one runs');
  const cause = { why: 'cancelled', cause: 'enough' } as const;
  // It is still in the thread's batch, or has been taken back already.
  if (runner.takeOut(waiting.id) === undefined) {
    assert.ok(runner.kill(waiting.id, cause));
    assert.deepEqual(outcomes.get(waiting.id), { kind: 'cancelled', reason: 'enough' });
  }
  await waitUntil(() => outcomes.has(slow.id), 'the slow one ends by itself');
  assert.equal(stdoutOf(outcomes.get(slow.id)), 'slept\n');
  assert.ok(!ran.has(waiting.id));
  assert.equal(runner.inFlight, 0);
});

test('a job that was taken back and waits for a free thread can be taken out', async (t) => {
  const { item, offer, outcomes, runner, ran } = await setup(t, 1);
  const endless = await item(await endlessModule());
  const waiting = await item(await helloModule());
  offer([endless, waiting]);
  await waitUntil(() => ran.has(endless.id), 'the endless one runs');
  await waitUntil(() => runner.inFlight === 1, 'what is behind it is taken back');
  assert.equal(runner.takeOut(waiting.id)?.id, waiting.id);
  const cause = { why: 'cancelled', cause: 'enough' } as const;
  endless.stop = cause;
  runner.kill(endless.id, cause);
  await waitUntil(() => outcomes.has(endless.id), 'it has ended');
  assert.ok(!outcomes.has(waiting.id), 'who takes it out ends it');
});
