import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { WasmRunner } from '../../src/pipeline/execute/wasm-runner.ts';
import { wasmInput } from '../../src/pipeline/inputs.ts';
import type { Item } from '../../src/pipeline/item.ts';
import { BoundedQueue } from '../../src/pipeline/queue.ts';
import { createStageMetrics } from '../../src/telemetry/metrics.ts';
import { workerUrl } from '../../src/workers/pool.ts';
import { helloModule, wasmJob } from '../../test/support/jobs.ts';
import { pipelineKit, silentLogger } from '../../test/support/pipeline.ts';
import type { Bench } from '../support/bench.ts';
import { ASKED } from '../support/bursts.ts';

const WARM_UP = 2000;
const BARE_MS = 1000;
const QUEUE = 512;
const BATCH_ITEMS = 64;

/** The WASM half of the execute stage as a node has it: queue, runner, pool, threads and engine, without what is around. */
export const stageBench: Bench = {
  name: 'stage',
  doc: 'the execute stage alone: WASM executions through its queue, runner and threads',
  run: async ({ jobs }) => {
    const module = await helloModule();
    const threads = availableParallelism();
    const [bare, bareMicros] = await withCpu(bareRate(module, threads));
    const count = jobs * 5;
    const [rate, micros] = await withCpu(stageRate(module, threads, count));
    const cpu = `${(micros / (count + WARM_UP)).toFixed(0)} µs, bare ${((bareMicros * 1000) / (bare * BARE_MS)).toFixed(0)} µs`;
    return [
      {
        what: `WASM executions, ${threads} threads`,
        value: rate,
        unit: 'ops/s',
        limit: { what: `bare instantiate + run, ${threads} threads`, value: bare },
        note: `CPU each, main thread and start included: ${cpu}`,
      },
    ];
  },
};

/** What it came to, and the CPU time of this process meanwhile, in microseconds. */
async function withCpu(work: Promise<number>): Promise<[number, number]> {
  const before = process.cpuUsage();
  const value = await work;
  const { user, system } = process.cpuUsage(before);
  return [value, user + system];
}

async function bareRate(module: Uint8Array, threads: number): Promise<number> {
  const rates = await Promise.all(
    Array.from({ length: threads }, async () => {
      const worker = new Worker(new URL('../support/bare-wasm-thread.ts', import.meta.url), {
        workerData: { module, milliseconds: BARE_MS },
      });
      const [rate] = (await once(worker, 'message')) as [number];
      return rate;
    }),
  );
  return rates.reduce((sum, rate) => sum + rate, 0);
}

async function stageRate(module: Uint8Array, threads: number, count: number): Promise<number> {
  const { promise: over, resolve: end } = Promise.withResolvers<void>();
  const total = WARM_UP + count;
  let made = 0;
  let landed = 0;
  let startedAt = 0;
  const makeItem = itemMaker();
  const spec = new TextEncoder().encode(JSON.stringify(wasmJob(module, { resources: ASKED })));
  const queue = new BoundedQueue<Item>({ name: 'wasm', bound: QUEUE });
  const runner = new WasmRunner(
    {
      batchItems: BATCH_ITEMS,
      toInput: (item, slot) => wasmInput(item, spec, slot),
      pool: {
        name: 'wasm',
        file: workerUrl('../../src/workers/execute/wasm.worker', import.meta.url),
        minThreads: threads,
        maxThreads: threads,
        batchesPerThread: 1,
        atomics: 'sync',
        workerOptions: { maxStreamBytes: 1 << 20, maxResultBytes: 1 << 20, envAllowList: [], hostEnv: {} },
      },
    },
    {
      queue,
      metrics: createStageMetrics('wasm'),
      logger: silentLogger,
      onReport: () => undefined,
      onFatal: (error) => {
        throw error;
      },
      onOutcome: (item, outcome) => {
        if (outcome.kind !== 'advance') throw new Error(`${item.id}: ${JSON.stringify(outcome)}`);
        landed += 1;
        if (landed === WARM_UP) startedAt = performance.now();
        if (landed === total) end();
        feed();
      },
    },
  );
  const feed = (): void => {
    while (made < total && queue.tryReserve()) {
      made += 1;
      runner.offerReserved(makeItem(made));
    }
  };
  feed();
  await over;
  const seconds = (performance.now() - startedAt) / 1000;
  await runner.stop();
  return count / seconds;
}

function itemMaker(): (number: number) => Item {
  const item = pipelineKit().item({ engine: 'wasm', fileless: true }, { state: 'BidAccepted' });
  const placement = { directory: '/nowhere', gpus: [] };
  return (number) => ({ ...item, id: `e-${number}`, placement });
}
