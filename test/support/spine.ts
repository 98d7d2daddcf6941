import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { DiskView } from '../../src/capacity/disk-view.ts';
import { Ledger } from '../../src/capacity/ledger.ts';
import { newExecutionId } from '../../src/core/ids.ts';
import type { Resources } from '../../src/core/job.ts';
import { type Limits, limits } from '../../src/core/limits.ts';
import type { RequesterBound } from '../../src/core/messages.ts';
import type { Rejection } from '../../src/core/outcome.ts';
import type { CheckedJob } from '../../src/core/ports.ts';
import { NO_RESOURCES } from '../../src/core/resources.ts';
import { createSequencer } from '../../src/events/seq.ts';
import { IngestStage } from '../../src/pipeline/ingest/stage.ts';
import { Spine } from '../../src/pipeline/spine.ts';
import type { ComputeStore } from '../../src/store/compute-store.ts';
import { createComputeStore } from '../../src/store/environment-compute-store.ts';
import { openMemoryEnvironment } from '../../src/store/memory-environment.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import type { BidOptions } from '../../src/workers/bid/protocol.ts';
import { OPTIONS as BID_OPTIONS } from './bid.ts';
import { executeOptions, storageOptions } from './execute-options.ts';
import { temporaryFolder } from './folders.ts';
import { type Wire, waitUntil } from './node.ts';
import { MACHINE, silentLogger } from './pipeline.ts';
import { parsePrometheus, sample } from './prometheus.ts';
import { ManualClock } from './requester/manual-clock.ts';
import { TEST_NODE } from './store-records.ts';

/** What a node answers an ask, told in the turn in which it is decided. */
export interface Bid {
  readonly id: string;
  readonly answer: 'offered' | 'waiting' | Rejection;
  readonly ms: number;
}

/** The compute role's main-thread half with its real threads. */
export interface TestSpine {
  readonly spine: Spine;
  readonly ledger: Ledger;
  readonly clock: ManualClock;
  readonly disk: DiskView;
  readonly executions: string;
  readonly rejections: Map<string, Rejection>;
  readonly gone: string[];
  readonly rooms: number[];
  /** A job as its requester would have stored it. */
  check(job: Wire): Promise<CheckedJob>;
  /** Asks for such a job. */
  ask(job: Wire): Promise<string>;
  askBytes(spec: Uint8Array, jobId: string): string;
  /** Asks, and tells what came of it in how long: milliseconds from the ask to the answer's row, or the refusal. */
  bid(job: CheckedJob): Promise<Bid>;
  /** Asks, waits for the offer and accepts it. */
  accept(job: Wire): Promise<string>;
  readonly store: ComputeStore;
  stateOf(id: string): string | undefined;
  messages(id: string): readonly RequesterBound[];
  metric(name: string, labels: Record<string, string>): Promise<number>;
}

export interface TestSpineOptions {
  readonly bounds?: Partial<Limits>;
  readonly queue?: Partial<Resources>;
  readonly kubo?: string;
  readonly bid?: Partial<BidOptions>;
  /** Free bytes of the disk; without it nothing is known of them. */
  readonly freeBytes?: number;
}

/** The compute role's spine with its real pools, a store in memory and a clock that stands still. */
export async function testSpine(t: TestContext, options: TestSpineOptions = {}): Promise<TestSpine> {
  const folder = await temporaryFolder(t);
  const [executions, archives] = [join(folder, 'executions'), join(folder, 'results')];
  await mkdir(executions);
  await mkdir(archives);
  const clock = new ManualClock();
  const bounds: Limits = { ...limits, ...options.bounds };
  const metrics = createMetrics({ version: 'test', processMetrics: false });
  const onFatal = (error: Error): void => assert.fail(error);
  const ingest = new IngestStage(
    {
      limits: bounds,
      threads: 1,
      ingest: {
        nodeId: TEST_NODE,
        instanceId: '',
        defaultPublisher: '',
        defaultResources: NO_RESOURCES,
        bodyBytes: bounds.bodyBytes,
      },
    },
    { logger: silentLogger, metrics, onFatal },
  );
  const sequencer = createSequencer(0);
  const store = createComputeStore({ environment: openMemoryEnvironment(), nextSeq: () => sequencer.next() });
  const ledger = new Ledger({ total: MACHINE, queue: { ...MACHINE, cpu: 1000, ...options.queue } });
  const asking = new Map<string, (answer: Bid['answer']) => void>();
  const answered = (id: string, answer: Bid['answer']): void => {
    asking.get(id)?.(answer);
    asking.delete(id);
  };
  const told: RequesterBound[] = [];
  store.outbox.onAppend((rows) => {
    for (const { message } of rows) {
      told.push(message as RequesterBound);
      if (message.type === 'BidResult' && message.accepted) answered(message.executionId, 'offered');
      else if (message.type === 'BidWaiting') answered(message.executionId, 'waiting');
    }
  });
  const rejections = new Map<string, Rejection>();
  const gone: string[] = [];
  const rooms: number[] = [];
  const disk = new DiskView();
  if (options.freeBytes !== undefined) disk.set(options.freeBytes);
  const storages = { ...storageOptions(folder), ipfsConnect: options.kubo ?? '' };
  const spine = new Spine(
    {
      nodeId: TEST_NODE,
      limits: bounds,
      threads: { bid: 1, admit: 1, supervise: 1, wasm: 1, publish: 1 },
      defaultExecutionTimeoutMs: 600_000,
      gpus: [],
      approvalTimeoutMs: 86_400_000,
      bid: {
        ...BID_OPTIONS,
        nodeId: TEST_NODE,
        minExecutionTimeoutMs: 0,
        maxExecutionTimeoutMs: Number.POSITIVE_INFINITY,
        defaultExecutionTimeoutMs: 600_000,
        timeoutBypass: [],
        defaultResources: NO_RESOURCES,
        jobLimit: MACHINE,
        storages,
        ledger: ledger.share(),
        disk: disk.buffer,
        ...options.bid,
      },
      admit: { executionsDirectory: executions },
      execute: { ...executeOptions(folder), storages },
      publish: { storages, archivesDirectory: archives, archivesUrl: 'http://127.0.0.1/results' },
    },
    {
      store,
      ledger,
      disk,
      clock,
      logger: silentLogger,
      metrics,
      onRefused: ({ id }, rejection) => {
        rejections.set(id, rejection);
        answered(id, rejection);
      },
      onRoom: (openSlots) => void rooms.push(openSlots),
      onCapacity: () => undefined,
      onGone: ({ id }) => void gone.push(id),
      onFatal,
      bidAtOnce: () => undefined,
      onQuestion: () => Promise.reject(new Error('nobody asks')),
    },
  );
  spine.setOffer({ engines: ['mock', 'wasm'], storages: ['inline'], publishers: ['local', 'ipfs'] });
  t.after(async () => {
    await spine.close();
    await ingest.stop();
  });
  const askBytes = (spec: Uint8Array, jobId: string): string => {
    const id = newExecutionId();
    const requesterId = TEST_NODE;
    const plain = { id, priority: 0, jobId, jobVersion: 1, requesterId, spec };
    spine.intake.ask({ ...plain, header: undefined, dropped: false });
    return id;
  };
  const check = (job: Wire): Promise<CheckedJob> => {
    const body = new TextEncoder().encode(JSON.stringify({ Job: job }));
    const plain = { contentType: 'application/json', clientInstanceId: '', clientInstallationId: '' };
    return ingest.check({ body, ...plain });
  };
  const ask = async (job: Wire): Promise<string> => {
    const checked = await check(job);
    return askBytes(checked.spec, checked.header.id);
  };
  return {
    spine,
    ledger,
    clock,
    disk,
    executions,
    rejections,
    gone,
    rooms,
    ask,
    askBytes,
    check,
    async bid({ spec, header }) {
      const startedAt = performance.now();
      const id = askBytes(spec, header.id);
      const answer = await new Promise<Bid['answer']>((resolve) => asking.set(id, resolve));
      return { id, answer, ms: performance.now() - startedAt };
    },
    async accept(job) {
      const id = await ask(job);
      await waitUntil(() => spine.items.has(id) || rejections.has(id), `${id} is offered`);
      assert.ok(spine.accept(id), JSON.stringify(rejections.get(id)));
      return id;
    },
    store,
    stateOf: (id) => store.get(id)?.state,
    messages: (id) => told.filter((message) => 'executionId' in message && message.executionId === id),
    metric: async (name, labels) => sample(parsePrometheus(await metrics.render()), name, labels),
  };
}
