import assert from 'node:assert/strict';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Ledger } from '../../src/capacity/ledger.ts';
import { newExecutionId, newJobId } from '../../src/core/ids.ts';
import type { Resources } from '../../src/core/job.ts';
import { type Limits, limits } from '../../src/core/limits.ts';
import type { RequesterBound } from '../../src/core/messages.ts';
import type { Rejection } from '../../src/core/outcome.ts';
import { NO_RESOURCES } from '../../src/core/resources.ts';
import { createSequencer } from '../../src/events/seq.ts';
import { IngestStage } from '../../src/pipeline/ingest/stage.ts';
import { Spine } from '../../src/pipeline/spine.ts';
import { createComputeStore } from '../../src/store/environment-compute-store.ts';
import { openMemoryEnvironment } from '../../src/store/memory-environment.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { OPTIONS as BID_OPTIONS } from '../support/bid.ts';
import { executeOptions, storageOptions } from '../support/execute-options.ts';
import { temporaryFolder } from '../support/folders.ts';
import { dockerJob, helloModule, mockJob, wasmJob } from '../support/jobs.ts';
import { type Wire, waitUntil } from '../support/node.ts';
import { MACHINE, MIB, silentLogger } from '../support/pipeline.ts';
import { parsePrometheus, sample } from '../support/prometheus.ts';
import { ManualClock } from '../support/requester/manual-clock.ts';
import { stallingKubo } from '../support/stalling.ts';
import { TEST_NODE } from '../support/store-records.ts';

const HALF = { CPU: '1', Memory: '8mb', Disk: '64mb' };

interface Setup {
  readonly spine: Spine;
  readonly ledger: Ledger;
  readonly clock: ManualClock;
  readonly executions: string;
  readonly rejections: Map<string, Rejection>;
  readonly gone: string[];
  readonly rooms: number[];
  /** Asks for a job as its requester would have stored it. */
  ask(job: Wire): Promise<string>;
  askBytes(spec: Uint8Array, jobId: string): string;
  /** Asks, waits for the offer and accepts it. */
  accept(job: Wire): Promise<string>;
  stateOf(id: string): string | undefined;
  messages(id: string): readonly RequesterBound[];
  metric(name: string, labels: Record<string, string>): Promise<number>;
}

/** The compute role's spine with its real pools, a store in memory and a clock that stands still. */
async function setup(
  t: TestContext,
  options: { bounds?: Partial<Limits>; queue?: Partial<Resources>; kubo?: string } = {},
): Promise<Setup> {
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
  const rejections = new Map<string, Rejection>();
  const gone: string[] = [];
  const rooms: number[] = [];
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
        jobLimit: MACHINE,
        storages,
      },
      admit: { executionsDirectory: executions },
      execute: { ...executeOptions(folder), storages },
      publish: { storages, archivesDirectory: archives, archivesUrl: 'http://127.0.0.1/results' },
    },
    {
      ingest,
      store,
      ledger,
      disk: { bytes: Number.POSITIVE_INFINITY, has: () => true },
      clock,
      logger: silentLogger,
      metrics,
      onRefused: ({ id }, rejection) => void rejections.set(id, rejection),
      onRoom: (openSlots) => void rooms.push(openSlots),
      onCapacity: () => undefined,
      onGone: ({ id }) => void gone.push(id),
      onFatal,
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
    const plain = { kind: 'ask', id, priority: 0, jobId, jobVersion: 1, requesterId, spec } as const;
    spine.intake.ask({ ...plain, header: undefined, dropped: false });
    return id;
  };
  const ask = async (job: Wire): Promise<string> => {
    const body = new TextEncoder().encode(JSON.stringify({ Job: job }));
    const plain = { contentType: 'application/json', clientInstanceId: '', clientInstallationId: '' };
    const checked = await ingest.check({ body, ...plain });
    return askBytes(checked.spec, checked.header.id);
  };
  return {
    spine,
    ledger,
    clock,
    executions,
    rejections,
    gone,
    rooms,
    ask,
    askBytes,
    async accept(job) {
      const id = await ask(job);
      await waitUntil(() => spine.items.has(id) || rejections.has(id), `${id} is offered`);
      assert.ok(spine.accept(id), JSON.stringify(rejections.get(id)));
      return id;
    },
    stateOf: (id) => store.get(id)?.state,
    messages: (id) =>
      store.outbox
        .pending(TEST_NODE, { limit: 1000 })
        .map(({ message }) => message as RequesterBound)
        .filter((message) => 'executionId' in message && message.executionId === id),
    metric: async (name, labels) => sample(parsePrometheus(await metrics.render()), name, labels),
  };
}

function assertFree(ledger: Ledger): void {
  assert.deepEqual([ledger.promised(), ledger.used()], [NO_RESOURCES, NO_RESOURCES]);
}

test('from ask to settle: an offer that holds its promise, a run, a message, and nothing left', async (t) => {
  const { spine, ledger, executions, gone, ask, stateOf, messages } = await setup(t);
  const id = await ask(mockJob({ Stdout: 'x\n' }, { publisher: 'local', resources: HALF }));
  assert.deepEqual(ledger.promised(), NO_RESOURCES, 'deciding holds nothing');
  await waitUntil(() => spine.items.get(id)?.station === 'offered', 'it is offered');
  assert.equal(ledger.promised().cpu, 1);
  assert.deepEqual(
    messages(id).map(({ type }) => type),
    ['BidResult'],
  );
  assert.ok(spine.accept(id));
  assert.ok(!spine.accept(id), 'only once');
  await waitUntil(() => gone.length === 1, 'it has gone');
  assert.equal(stateOf(id), 'Completed');
  const [, end] = messages(id);
  assert.equal(end?.type, 'RunResult');
  assert.deepEqual([end.result.Stdout, end.published.Type], ['x\n', 'urlDownload']);
  assertFree(ledger);
  assert.equal(spine.items.size, 0);
  await waitUntil(async () => (await readdir(executions)).length === 0, 'its folder is removed');
});

test('an offer that nobody answers is withdrawn, and what it held is free', async (t) => {
  const { spine, ledger, clock, ask, gone, stateOf, rooms } = await setup(t, { bounds: { admitQueue: 1 } });
  const id = await ask(mockJob({}, { resources: HALF }));
  await waitUntil(() => spine.items.has(id), 'it is offered');
  assert.equal(spine.openSlots, 0);
  rooms.length = 0;
  clock.advance(limits.offeredTimeoutMs + 1000);
  await waitUntil(() => gone.length === 1, 'it has gone');
  assert.equal(stateOf(id), 'Cancelled');
  assertFree(ledger);
  assert.equal(spine.openSlots, 1);
  await waitUntil(() => rooms.includes(1), 'its room is told of');
  assert.ok(!spine.accept(id), 'an answer that comes now finds nothing');
});

test('an offer that is turned down, and an ask that is dropped, leave nothing', async (t) => {
  const { spine, ledger, ask, gone, stateOf, rejections } = await setup(t);
  const offered = await ask(mockJob({}, { resources: HALF }));
  await waitUntil(() => spine.items.has(offered), 'it is offered');
  spine.turnDown(offered, 'another node is better');
  await waitUntil(() => gone.length === 1, 'it has gone');
  assert.equal(stateOf(offered), 'Cancelled');
  const dropped = await ask(mockJob({}, { resources: HALF }));
  spine.intake.drop(dropped);
  const other = await ask(mockJob({}, { resources: HALF }));
  await waitUntil(() => spine.items.has(other), 'the one after it is decided');
  assert.ok(!spine.items.has(dropped) && !rejections.has(dropped), 'nobody waits for the answer');
  spine.turnDown(other, '');
  assertFree(ledger);
});

test('who finds no room is told so, and of what there is; nothing is promised twice', async (t) => {
  const { spine, ledger, ask, rejections } = await setup(t, { queue: { cpu: 3 } });
  const ids = await Promise.all(Array.from({ length: 5 }, () => ask(mockJob({}, { resources: HALF }))));
  await waitUntil(() => ids.every((id) => spine.items.has(id) || rejections.has(id)), 'all are decided');
  const refused = ids.filter((id) => rejections.has(id));
  assert.equal(refused.length, 2);
  assert.equal(ledger.promised().cpu, 3);
  const rejection = rejections.get(refused[0] ?? '');
  assert.deepEqual([rejection?.code, rejection?.final], ['no_room', false]);
  assert.match(rejection?.reason ?? '', /requested but only .* available/);
});

test('what this node can never run is refused for good, with the reason', async (t) => {
  const { ask, askBytes, rejections } = await setup(t);
  const cases: readonly (readonly [Wire, RegExp])[] = [
    [mockJob({}, { resources: { CPU: '64' } }), /CPU|cpu|capacity|limit/],
    [mockJob({}, { publisher: { Type: 's3', Params: { Bucket: 'b', Key: 'k' } } }), /s3|publisher/i],
    [dockerJob('busybox:1', ['true']), /docker/],
  ];
  const ids = await Promise.all(cases.map(([job]) => ask(job)));
  await waitUntil(() => ids.every((id) => rejections.has(id)), 'all are refused');
  for (const [index, [, why]] of cases.entries()) {
    const rejection = rejections.get(ids[index] ?? '');
    assert.equal(rejection?.final, true, JSON.stringify(rejection));
    assert.match(rejection.reason, why);
  }
  // A peer may send anything.
  const forged = askBytes(new TextEncoder().encode('{"Tasks":[]}'), newJobId());
  await waitUntil(() => rejections.has(forged), 'it is refused');
  assert.deepEqual([rejections.get(forged)?.code, rejections.get(forged)?.final], ['invalid', true]);
});

test('through queues of one, nothing is lost and no queue holds two', async (t) => {
  const ones = { bidQueue: 1, executeQueue: 1, wasmQueue: 1, publishQueue: 1 };
  const { accept, gone, ledger, stateOf, metric } = await setup(t, { bounds: ones });
  const small = { CPU: '10m', Memory: '4mb', Disk: '1mb' };
  const module = await helloModule();
  const ids: string[] = [];
  for (let count = 0; count < 40; count += 1) {
    const parts = { publisher: 'local', resources: small };
    ids.push(await accept(count % 2 === 0 ? wasmJob(module, parts) : mockJob({ Stdout: 'x' }, parts)));
  }
  await waitUntil(() => gone.length === ids.length, 'all have gone');
  assert.deepEqual(new Set(gone), new Set(ids));
  assert.ok(ids.every((id) => stateOf(id) === 'Completed'));
  for (const stage of ['bid', 'execute', 'wasm', 'publish']) {
    assert.ok((await metric('bacalhau_stage_queue_high_water', { stage })) <= 1, stage);
  }
  assertFree(ledger);
});

test('publishing holds disk only; a timed out run whose results nobody wants any more is cancelled', async (t) => {
  const kubo = await stallingKubo(t);
  const { spine, accept, clock, ledger, gone, stateOf } = await setup(t, { kubo: `http://${kubo.address}` });
  const job = mockJob(
    { Duration: '1h', Stdout: 'x' },
    {
      publisher: 'ipfs',
      resources: { CPU: '1', Memory: '64mb', Disk: '640mb' },
      timeouts: { ExecutionTimeout: 5 },
    },
  );
  const id = await accept(job);
  const item = spine.items.get(id);
  await waitUntil(() => item?.ran === true, 'it runs');
  assert.equal(ledger.used().cpu, 1);
  clock.advance(5000);
  await waitUntil(() => kubo.waiting === 1, 'its results are being published');
  assert.equal(item?.failure?.code, 'ExecutionTimedOut');
  assert.deepEqual(ledger.used(), { ...NO_RESOURCES, disk: Math.ceil(640_000_000 / MIB) * MIB });
  assert.ok(item !== undefined);
  spine.stop(item, { why: 'cancelled', cause: 'enough' });
  await waitUntil(() => gone.length === 1, 'it has gone');
  assert.equal(stateOf(id), 'Cancelled');
  assertFree(ledger);
});

test('closing lets go: records stay where they are, and no run ends by it', async (t) => {
  const { spine, accept, ask, stateOf, gone, rejections } = await setup(t);
  const running = await accept(mockJob({ Duration: '1h' }, { resources: HALF }));
  await waitUntil(() => spine.items.get(running)?.ran === true, 'it runs');
  await spine.close();
  assert.equal(stateOf(running), 'BidAccepted');
  assert.deepEqual(gone, []);
  const late = await ask(mockJob());
  assert.deepEqual([rejections.get(late)?.code, rejections.get(late)?.final], ['stopping', false]);
  assert.equal(spine.openSlots, 0);
});
