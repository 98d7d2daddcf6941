import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { test } from 'node:test';
import { DISK_FLOOR_BYTES, DiskView } from '../../src/capacity/disk-view.ts';
import { Ledger } from '../../src/capacity/ledger.ts';
import { newExecutionId, newJobId } from '../../src/core/ids.ts';
import { limits } from '../../src/core/limits.ts';
import type { Rejection } from '../../src/core/outcome.ts';
import { NO_RESOURCES } from '../../src/core/resources.ts';
import { Compute } from '../../src/pipeline/compute.ts';
import { dockerJob, helloModule, mockJob, wasmJob } from '../support/jobs.ts';
import { type Wire, waitUntil } from '../support/node.ts';
import { MIB } from '../support/pipeline.ts';
import { testSpine } from '../support/spine.ts';
import { stallingKubo } from '../support/stalling.ts';
import { TEST_NODE } from '../support/store-records.ts';

const HALF = { CPU: '1', Memory: '8mb', Disk: '64mb' };

function assertFree(ledger: Ledger): void {
  assert.deepEqual([ledger.promised(), ledger.used()], [NO_RESOURCES, NO_RESOURCES]);
}

test('from ask to settle: an offer that holds its promise, a run, a message, and nothing left', async (t) => {
  const { spine, ledger, executions, gone, ask, stateOf, messages } = await testSpine(t);
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
  const { spine, ledger, clock, ask, gone, stateOf, rooms } = await testSpine(t, {
    bounds: { admitQueue: 1 },
  });
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
  const { spine, ledger, ask, gone, store, rejections, messages } = await testSpine(t);
  const offered = await ask(mockJob({}, { resources: HALF }));
  await waitUntil(() => spine.items.has(offered), 'it is offered');
  await spine.turnDown(offered, 'another node is better');
  assert.deepEqual(gone, [offered]);
  assert.equal(spine.items.has(offered), false);
  assert.equal(store.get(offered), undefined);
  assert.deepEqual(store.list({ limit: 10 }), []);
  assert.deepEqual(store.history(offered), []);
  assert.deepEqual(
    messages(offered).map(({ type }) => type),
    ['BidResult'],
    'its requester is not told what it said itself',
  );
  await spine.turnDown(offered, 'twice');
  const dropped = await ask(mockJob({}, { resources: HALF }));
  spine.intake.drop(dropped);
  const other = await ask(mockJob({}, { resources: HALF }));
  await waitUntil(() => spine.items.has(other), 'the one after it is decided');
  assert.ok(!spine.items.has(dropped) && !rejections.has(dropped), 'nobody waits for the answer');
  await spine.turnDown(other, '');
  assertFree(ledger);
});

test('who finds no room is told so, and of what there is; nothing is promised twice', async (t) => {
  const { spine, ledger, ask, rejections } = await testSpine(t, { queue: { cpu: 3 } });
  const ids = await Promise.all(Array.from({ length: 5 }, () => ask(mockJob({}, { resources: HALF }))));
  await waitUntil(() => ids.every((id) => spine.items.has(id) || rejections.has(id)), 'all are decided');
  const refused = ids.filter((id) => rejections.has(id));
  assert.equal(refused.length, 2);
  assert.equal(ledger.promised().cpu, 3);
  const rejection = rejections.get(refused[0] ?? '');
  assert.deepEqual([rejection?.code, rejection?.final], ['no_room', false]);
  assert.match(rejection?.reason ?? '', /requested but only .* available/);
});

test('a disk that others have filled: put off with a code of its own, before a probe runs and at the reservation', async (t) => {
  const job = mockJob({}, { resources: { ...HALF, Disk: '64mb' } });
  const probed = await testSpine(t, {
    freeBytes: DISK_FLOOR_BYTES + 5_000_000,
    bid: { probeExec: 'echo "the probe has run" >&2; exit 1' },
  });
  const rejection: Rejection = {
    kind: 'reject',
    final: false,
    code: 'disk_low',
    reason: 'this node does not have disk left for the job (64.0 MB requested but only 5.0 MB is free)',
    requested: '64.0 MB',
    available: '5.0 MB',
  };
  assert.deepEqual((await probed.bid(await probed.check(job))).answer, rejection);
  probed.disk.set(1e12);
  const { answer } = await probed.bid(await probed.check(job));
  assert.equal(typeof answer === 'string' ? answer : answer.reason, 'the probe has run');
  // Filled while the bid was being decided on.
  const late = await testSpine(t, { bid: { disk: new DiskView().buffer } });
  late.disk.set(DISK_FLOOR_BYTES + 5_000_000);
  assert.deepEqual((await late.bid(await late.check(job))).answer, rejection);
  assertFree(late.ledger);
});

test('what this node can never run is refused for good, with the reason', async (t) => {
  const { ask, askBytes, rejections } = await testSpine(t);
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
  const { accept, gone, ledger, stateOf, metric } = await testSpine(t, { bounds: ones });
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
  const { spine, accept, clock, ledger, gone, stateOf } = await testSpine(t, {
    kubo: `http://${kubo.address}`,
  });
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
  const { spine, accept, ask, stateOf, gone, rejections } = await testSpine(t);
  const running = await accept(mockJob({ Duration: '1h' }, { resources: HALF }));
  await waitUntil(() => spine.items.get(running)?.ran === true, 'it runs');
  await spine.close();
  assert.equal(stateOf(running), 'BidAccepted');
  assert.deepEqual(gone, []);
  const late = await ask(mockJob());
  assert.deepEqual([rejections.get(late)?.code, rejections.get(late)?.final], ['stopping', false]);
  assert.equal(spine.openSlots, 0);
});

test('an ask keeps its own bytes, not the frame it came in', async (t) => {
  const { spine, store, check } = await testSpine(t);
  const compute = new Compute(
    {
      nodeId: TEST_NODE,
      executionsDirectory: '/nowhere',
      archivesDirectory: '/nowhere',
      acceptBidsFrom: 'any',
    },
    { spine, store, post: () => undefined, onRefusal: () => undefined },
  );
  const { spec, header } = await check(mockJob());
  const frame = Buffer.alloc(100_000);
  frame.set(spec, 5000);
  const executionId = newExecutionId();
  await compute.handle('peer', {
    type: 'AskForBid',
    executionId,
    jobId: header.id,
    jobVersion: 1,
    spec: frame.subarray(5000, 5000 + spec.byteLength),
  });
  const item = await waitUntil(() => spine.items.get(executionId), 'it is offered');
  assert.deepEqual(Buffer.from(item.spec ?? []), Buffer.from(spec));
  assert.equal(item.spec?.buffer.byteLength, spec.byteLength);
});

test('specs beyond their bound are read from the store when their executions start', async (t) => {
  const { spine, ask, check, messages, gone } = await testSpine(t, { bounds: { itemSpecBytes: 1500 } });
  const jobs = ['a', 'b', 'c'].map((Stdout) => mockJob({ Stdout }, { resources: HALF }));
  const { byteLength } = (await check(mockJob({ Stdout: 'a' }, { resources: HALF }))).spec;
  assert.ok(byteLength > 500 && byteLength < 1200, 'one fits, two do not');
  const ids: string[] = [];
  for (const job of jobs) {
    const id = await ask(job);
    ids.push(id);
    await waitUntil(() => spine.items.has(id), 'it is offered');
  }
  const isKept = (id: string): boolean => spine.items.get(id)?.spec !== undefined;
  assert.deepEqual(ids.map(isKept), [true, false, false]);
  for (const id of ids) assert.ok(spine.accept(id));
  await waitUntil(() => gone.length === ids.length, 'all have gone');
  const ends = ids.flatMap(messages).filter(({ type }) => type === 'RunResult');
  assert.deepEqual(
    ends.map((end) => end.type === 'RunResult' && end.result.Stdout),
    ['a', 'b', 'c'],
  );
  const next = await ask(mockJob({}, { resources: HALF }));
  await waitUntil(() => spine.items.has(next), 'one more is offered');
  assert.ok(isKept(next), 'what has gone makes room');
});

test('specs of asks being decided have a bound of bytes; one always fits, and room comes back', async (t) => {
  const { spine, askBytes, check, rejections } = await testSpine(t, { bounds: { askBytes: 1000 } });
  const { spec, header } = await check(mockJob({}, { resources: HALF }));
  const large = Buffer.concat([spec, Buffer.alloc(2000, ' ')]);
  const first = askBytes(large, header.id);
  const second = askBytes(spec, header.id);
  const refusal = rejections.get(second);
  assert.deepEqual([refusal?.code, refusal?.final], ['busy', false]);
  assert.match(refusal?.reason ?? '', /as many bytes as it can hold/);
  await waitUntil(() => spine.items.get(first)?.station === 'offered', 'the first is offered');
  const third = askBytes(spec, header.id);
  await waitUntil(() => spine.items.get(third)?.station === 'offered', 'the third is offered');
});
