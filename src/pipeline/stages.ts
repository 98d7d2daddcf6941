import { sep } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Outcome } from '../core/outcome.ts';
import type { AdmitInput, AdmitOutput } from '../workers/admit/protocol.ts';
import type { BidInput, BidOutput } from '../workers/bid/protocol.ts';
import {
  type ExecuteOutput,
  type ExecuteReport,
  type ExecuteRow,
  executeRow,
  type WasmOutput,
} from '../workers/execute/protocol.ts';
import { workerUrl } from '../workers/pool.ts';
import type { PublishInput, PublishOutput } from '../workers/publish/protocol.ts';
import { shapeOf } from './admission.ts';
import { Cleaner } from './admit/cleaner.ts';
import { WasmRunner } from './execute/wasm-runner.ts';
import { admitInput, bidInput, executeInput, publishInput, wasmInput } from './inputs.ts';
import type { Item, PendingAsk, StopCause } from './item.ts';
import { BoundedQueue } from './queue.ts';
import { StageRunner } from './runner.ts';
import type { Specs } from './specs.ts';
import type { SpineModules, SpineOptions } from './spine-options.ts';

/** Where the stages tell the spine what they think. */
export interface StageListener {
  bid(ask: PendingAsk, outcome: Outcome<BidOutput>): void;
  takeAdmissible(max: number): readonly Item[];
  admitted(item: Item, outcome: Outcome<AdmitOutput>): void;
  /** `hasEnded`: its outcome follows at once. */
  reported(item: Item, report: ExecuteReport, hasEnded: boolean): void;
  executed(item: Item, outcome: Outcome<ExecuteOutput>): void;
  ranWasm(item: Item, outcome: Outcome<WasmOutput>): void;
  published(item: Item, outcome: Outcome<PublishOutput>): void;
  publisherHasRoom(): void;
  /** An accepted item has begun or ceased to wait for capacity. */
  counted(item: Item, change: 1 | -1): void;
}

/** Batches of pure computation a thread has at once: the next is there when one is done. */
const COMPUTE_BATCHES = 2;

/** Batches that mostly wait: as many as capacity lets in, so the pool must not be what counts them. */
const WAITING_BATCHES = 65_536;

/** How long a stop waits for threads to let go of what they supervise or publish. */
const DETACH_MS = 3000;

/** An idle WASM thread is kept this long: starting one takes 33 ms, keeping one about 12 MB. */
const WASM_IDLE_MS = 30_000;

/** Items of one batch for WASM threads: a thread is idle between two batches, and these take it a few milliseconds. */
const WASM_BATCH_ITEMS = 64;

/** The stages behind ingest: a bounded queue, a pool and a handler each (execute has two such pairs). */
export interface Stages {
  readonly bid: StageRunner<PendingAsk, BidInput, BidOutput>;
  readonly admit: StageRunner<Item, AdmitInput, AdmitOutput>;
  readonly supervise: StageRunner<Item, ExecuteRow, ExecuteOutput, ExecuteReport>;
  readonly wasm: WasmRunner;
  readonly publish: StageRunner<Item, PublishInput, PublishOutput>;
  /** Starts the threads that the first bid needs; the others start with the first execution that needs them. */
  warm(): void;
  /** Keeps the places downstream that an admitted item will need. */
  reservePlaces(item: Item): boolean;
  releasePlaces(item: Item): void;
  /** Takes an item out of the execute stage's queues; false when a thread has it. */
  takeQueued(item: Item): boolean;
  kill(item: Item, cause: StopCause): void;
  /** Removes an ended execution's folder, off the main thread. */
  removeDirectory(id: string): void;
  close(): Promise<void>;
}

/** Where nothing is to be published. */
const NOT_PUBLISHED: Outcome<PublishOutput> = { kind: 'advance', value: { published: { Type: '' } } };

/** A WASM execution whose inputs its own thread reads in the spec. */
const PREPARED: Outcome<ExecuteOutput> = {
  kind: 'advance',
  value: { kind: 'prepared', inputs: [], inputBytes: 0 },
};

/** Where a fileless execution would have its folder, which nobody makes for now. */
function unplaced({ id, header, gpus }: Item, executionsDirectory: string): Outcome<AdmitOutput> | undefined {
  if (!header.fileless) return undefined;
  // `join` would look through the whole path again for every execution.
  const directory = executionsDirectory + sep + id;
  return { kind: 'advance', value: { directory, gpus: gpus.map((gpu) => gpu.Index) } };
}

export function createStages(
  options: SpineOptions & { readonly specs: Specs },
  modules: SpineModules,
  spine: StageListener,
): Stages {
  const { limits, threads, specs } = options;
  const { logger, metrics, onQuestion, onFatal } = modules;
  const from = import.meta.url;

  const bid = new StageRunner<PendingAsk, BidInput, BidOutput>(
    {
      batchItems: limits.batchItems,
      onThreadDeath: 'again',
      toInput: bidInput,
      pool: {
        name: 'bid',
        file: workerUrl('../workers/bid/bid.worker', from),
        minThreads: threads.bid,
        maxThreads: threads.bid,
        batchesPerThread: WAITING_BATCHES,
        atomics: 'disabled',
        workerOptions: options.bid,
      },
    },
    {
      queue: new BoundedQueue({ name: 'bid', bound: limits.bidQueue }),
      metrics: metrics.createStageMetrics('bid'),
      logger,
      onFatal,
      onOutcome: (ask, outcome) => spine.bid(ask, outcome),
      passes: (ask) => (ask.explain === undefined ? modules.bidAtOnce(bidInput(ask), ask.facts) : undefined),
      onQuestion,
    },
  );

  const admit = new StageRunner<Item, AdmitInput, AdmitOutput>(
    {
      batchItems: limits.batchItems,
      onThreadDeath: 'again',
      toInput: admitInput,
      pool: {
        name: 'admit',
        file: workerUrl('../workers/admit/admit.worker', from),
        minThreads: threads.admit,
        maxThreads: threads.admit,
        batchesPerThread: COMPUTE_BATCHES,
        atomics: 'disabled',
        workerOptions: options.admit,
      },
    },
    {
      queue: new BoundedQueue({
        name: 'admit',
        bound: limits.admitQueue,
        shapeOf,
        onCount: (item, change) => spine.counted(item, change),
      }),
      metrics: metrics.createStageMetrics('admit'),
      logger,
      onFatal,
      onOutcome: (item, outcome) => spine.admitted(item, outcome),
      take: (max) => spine.takeAdmissible(max),
      passes: (item) => unplaced(item, options.admit.executionsDirectory),
    },
  );
  const cleaner = new Cleaner(admit, logger);

  const supervise = new StageRunner<Item, ExecuteRow, ExecuteOutput, ExecuteReport>(
    {
      batchItems: limits.batchItems,
      onThreadDeath: 'fail',
      toInput: (item) => executeRow(executeInput(item, specs.of(item))),
      pool: {
        name: 'supervise',
        file: workerUrl('../workers/execute/supervise.worker', from),
        minThreads: threads.supervise,
        maxThreads: threads.supervise,
        batchesPerThread: WAITING_BATCHES,
        atomics: 'disabled',
        workerOptions: options.execute,
      },
    },
    {
      queue: new BoundedQueue({ name: 'execute', bound: limits.executeQueue, onSpace: () => admit.wake() }),
      metrics: metrics.createStageMetrics('execute'),
      logger,
      onFatal,
      onOutcome: (item, outcome) => spine.executed(item, outcome),
      onReport: (item, report, hasEnded) => spine.reported(item, report, hasEnded),
      onQuestion,
      passes: ({ header }) => (header.fileless && header.engine === 'wasm' ? PREPARED : undefined),
    },
  );

  const wasm = new WasmRunner(
    {
      batchItems: Math.min(WASM_BATCH_ITEMS, limits.batchItems),
      toInput: (item, slot) => wasmInput(item, specs.of(item), slot),
      pool: {
        name: 'wasm',
        file: workerUrl('../workers/execute/wasm.worker', from),
        minThreads: 0,
        maxThreads: threads.wasm,
        batchesPerThread: 1,
        atomics: 'sync',
        idleTimeoutMs: WASM_IDLE_MS,
        workerOptions: options.execute,
      },
    },
    {
      queue: new BoundedQueue({ name: 'wasm', bound: limits.wasmQueue, onSpace: () => admit.wake() }),
      metrics: metrics.createStageMetrics('wasm'),
      logger,
      onFatal,
      onOutcome: (item, outcome) => spine.ranWasm(item, outcome),
      onReport: (item, report) => spine.reported(item, report, false),
    },
  );

  const publish = new StageRunner<Item, PublishInput, PublishOutput>(
    {
      batchItems: limits.batchItems,
      onThreadDeath: 'again',
      // The ends of a turn's runs are written while threads have the next ones.
      isLate: true,
      toInput: (item) => publishInput(item, specs.of(item), options.admit.executionsDirectory),
      pool: {
        name: 'publish',
        file: workerUrl('../workers/publish/publish.worker', from),
        minThreads: threads.publish,
        maxThreads: threads.publish,
        batchesPerThread: WAITING_BATCHES,
        atomics: 'disabled',
        workerOptions: options.publish,
      },
    },
    {
      queue: new BoundedQueue({
        name: 'publish',
        bound: limits.publishQueue,
        onSpace: () => spine.publisherHasRoom(),
      }),
      metrics: metrics.createStageMetrics('publish'),
      logger,
      onFatal,
      onOutcome: (item, outcome) => spine.published(item, outcome),
      passes: ({ header }) => (header.publisher === '' ? NOT_PUBLISHED : undefined),
      onQuestion,
    },
  );

  const runners = [bid, admit, supervise, wasm, publish] as const;
  return {
    bid,
    admit,
    supervise,
    wasm,
    publish,
    warm() {
      bid.warm();
    },
    reservePlaces(item) {
      const needsWasm = item.header.engine === 'wasm';
      // Looked at before anything is taken: giving back the last place would announce room that was never gone.
      if (supervise.queue.free <= 0 || (needsWasm && wasm.queue.free <= 0)) return false;
      return supervise.queue.tryReserve() && (!needsWasm || wasm.queue.tryReserve());
    },
    releasePlaces(item) {
      supervise.queue.releaseReserved();
      if (item.header.engine === 'wasm') wasm.queue.releaseReserved();
    },
    takeQueued(item) {
      if (supervise.takeOut(item.id) !== undefined) {
        if (item.header.engine === 'wasm') wasm.queue.releaseReserved();
        return true;
      }
      return wasm.takeOut(item.id) !== undefined;
    },
    kill(item, cause) {
      if (!wasm.kill(item.id, cause)) supervise.kill(item.id, cause.why, cause.cause);
    },
    removeDirectory: (id) => cleaner.remove(id),
    async close() {
      for (const runner of runners) runner.pause();
      supervise.control({ kind: 'detach' });
      publish.control({ kind: 'detach' });
      const landed = Promise.all([supervise.landed(), publish.landed()]);
      await Promise.race([landed, delay(DETACH_MS, undefined, { ref: false })]);
      await Promise.all(runners.map((runner) => runner.stop()));
    },
  };
}
