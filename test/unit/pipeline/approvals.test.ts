import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Rest } from '../../../src/capacity/ledger-steps.ts';
import type { ExecutionHeader } from '../../../src/core/item.ts';
import type { RequesterBound } from '../../../src/core/messages.ts';
import type { Rejection } from '../../../src/core/outcome.ts';
import { NO_RESOURCES } from '../../../src/core/resources.ts';
import { Admission } from '../../../src/pipeline/admission.ts';
import { Approvals } from '../../../src/pipeline/approvals.ts';
import type { Item } from '../../../src/pipeline/item.ts';
import { BoundedQueue } from '../../../src/pipeline/queue.ts';
import { endingMessage, Settle } from '../../../src/pipeline/settle.ts';
import { transient } from '../../../src/pipeline/verdicts.ts';
import { MACHINE, type PipelineKit, pipelineKit, silentLogger } from '../../support/pipeline.ts';
import { turns } from '../../support/requester/manual-clock.ts';
import { TEST_NODE, TEST_SPEC, testExecution } from '../../support/store-records.ts';

const DAY_MS = 86_400_000;

interface Setup extends PipelineKit {
  readonly approvals: Approvals;
  readonly offered: Item[];
  readonly gone: string[];
  /** Whether the next reservation succeeds. */
  readonly room: { free: boolean };
  begin(reason?: string, parts?: Partial<ExecutionHeader>): string | Rejection;
  messages(id: string): readonly RequesterBound[];
  /** The same node's next life: what the store holds, found again. */
  restarted(): Approvals;
}

function setup(bound = 10): Setup {
  const kit = pipelineKit();
  const { clock, ledger, store, records } = kit;
  const offered: Item[] = [];
  const gone: string[] = [];
  const room = { free: true };
  const told: RequesterBound[] = [];
  store.outbox.onAppend((rows) => told.push(...rows.map(({ message }) => message as RequesterBound)));
  const queue = new BoundedQueue<Item>({ name: 'admit', bound: 10 });
  const admission = new Admission({
    queue,
    ledger,
    clock,
    gpus: [],
    hasDisk: () => true,
    reservePlaces: () => true,
    onChange: () => undefined,
  });
  const settle = new Settle({
    nodeId: TEST_NODE,
    store,
    admission,
    clock,
    logger: silentLogger,
    onGone: ({ id }) => gone.push(id),
  });
  const create = (): Approvals =>
    new Approvals(
      { bound, jobLimit: MACHINE, timeoutMs: DAY_MS },
      {
        clock,
        records,
        settle,
        reserve: ({ resources }) =>
          (room.free ? ledger.reserve(resources) : undefined) ?? transient('no_room', 'full'),
        outlook: () => ({ startsNow: false, ahead: 3 }),
        onWaiting: () => undefined,
        onOffered: (item) => offered.push(item),
      },
    );
  const approvals = create();
  return {
    ...kit,
    approvals,
    offered,
    gone,
    room,
    begin(reason = 'ask Ann', parts = {}) {
      const header = { ...testExecution().header, resources: { ...NO_RESOURCES, cpu: 1 }, ...parts };
      return approvals.begin(header, TEST_SPEC, reason) ?? header.executionId;
    },
    messages: (id) => told.filter((message) => 'executionId' in message && message.executionId === id),
    restarted() {
      approvals.stop();
      const next = create();
      for (const { record, spec } of store.live({ limit: 100 })) next.restore(records.item(record, spec));
      return next;
    },
  };
}

test('one that waits has a record, a deadline and word to its requester, and holds nothing', async () => {
  const { begin, store, clock, messages, ledger, approvals } = setup();
  const id = String(begin());
  await store.committed();
  const record = store.get(id);
  const untilMs = clock.nowMs() + DAY_MS;
  assert.deepEqual(
    [record?.state, record?.wait],
    ['Created', { kind: 'approval', untilMs, reason: 'ask Ann' }],
  );
  const jobId = record?.header.jobId;
  assert.deepEqual(messages(id), [
    { type: 'BidWaiting', executionId: id, jobId, reason: 'ask Ann', untilMs },
  ]);
  assert.deepEqual(ledger.promised(), NO_RESOURCES);
  assert.deepEqual(
    approvals.items.map((item) => item.id),
    [id],
  );
});

test('a yes reserves, makes the bid, and is given once', async () => {
  const { begin, approvals, offered, ledger, store, messages } = setup();
  const id = String(begin());
  assert.equal(approvals.approve(id, 'Ann says yes'), 'offered');
  assert.equal(approvals.approve(id, ''), undefined);
  assert.equal(approvals.refuse(id, ''), false);
  assert.equal(ledger.promised().cpu, 1);
  assert.deepEqual(
    offered.map((item) => [item.id, ledger.phase(item.ticket)]),
    [[id, Rest.leased]],
  );
  await store.committed();
  assert.deepEqual(
    messages(id).map((message) => [message.type, 'accepted' in message && message.accepted]),
    [
      ['BidWaiting', false],
      ['BidResult', true],
    ],
  );
  const bid = messages(id).at(-1);
  assert.deepEqual(bid?.type === 'BidResult' && [bid.startsNow, bid.ahead], [false, 3], 'with its outlook');
  assert.equal(store.get(id)?.wait?.kind, 'offered');
  assert.match(store.history(id).at(-1)?.message ?? '', /^Bid approved and made: Ann says yes$/);
});

test('a no ends it for good, in the operator’s words, however often the ask is repeated', async () => {
  const { begin, approvals, store, messages, gone, ledger } = setup();
  const id = String(begin());
  assert.equal(approvals.refuse(id, 'not this one'), true);
  await turns();
  assert.deepEqual(gone, [id]);
  const record = store.get(id);
  assert.equal(record?.state, 'Cancelled');
  const jobId = record?.header.jobId;
  const answer = {
    type: 'BidResult',
    executionId: id,
    jobId,
    accepted: false,
    reason: 'not this one',
    rejection: { code: 'approval', final: true },
  } as const;
  assert.deepEqual(messages(id).at(-1), answer);
  assert.ok(record !== undefined);
  assert.deepEqual(endingMessage(record), answer);
  assert.deepEqual(ledger.promised(), NO_RESOURCES);
});

test('it runs out at its own time, with a reason, and not before', () => {
  const { begin, approvals, clock, messages } = setup();
  const first = String(begin());
  clock.advance(DAY_MS / 2);
  const second = String(begin());
  clock.advance(DAY_MS / 2 - 1);
  assert.equal(approvals.size, 2);
  clock.advance(2);
  assert.deepEqual(
    approvals.items.map((item) => item.id),
    [second],
  );
  const last = messages(first).at(-1);
  assert.equal(
    last?.type === 'BidResult' && last.reason,
    'this node does not accept the job: its bid was not approved in 24h0m0s',
  );
  approvals.setTimeout(1000);
  const third = String(begin());
  clock.advance(1001);
  assert.deepEqual(
    approvals.items.map((item) => item.id),
    [second],
  );
  assert.equal(messages(third).at(-1)?.type, 'BidResult');
});

test('approved without room: it keeps its word and its deadline, over a restart too', async () => {
  const { begin, approvals, room, offered, store, restarted } = setup();
  const id = String(begin());
  room.free = false;
  assert.equal(approvals.approve(id, ''), 'waiting for room');
  assert.equal(approvals.approve(id, ''), 'waiting for room');
  approvals.retry();
  assert.equal(offered.length, 0);
  await store.committed();
  assert.equal(store.get(id)?.wait?.approved, true);
  const next = restarted();
  room.free = true;
  next.retry();
  assert.deepEqual(
    offered.map((item) => item.id),
    [id],
  );
  assert.equal(next.size, 0);
});

test('approved, and no room in all its time', () => {
  const { begin, approvals, room, clock, messages } = setup();
  const id = String(begin());
  room.free = false;
  assert.equal(approvals.approve(id, ''), 'waiting for room');
  clock.advance(DAY_MS + 1);
  const last = messages(id).at(-1);
  assert.match(last?.type === 'BidResult' ? last.reason : '', /found no room after it was approved in 24h/);
});

test('limits are checked again, and no more wait than may', async () => {
  const { begin, approvals, store, messages } = setup(2);
  const large = String(begin('', { resources: { ...MACHINE, cpu: MACHINE.cpu + 1 } }));
  assert.equal(approvals.approve(large, ''), 'refused');
  await store.committed();
  const last = messages(large).at(-1);
  assert.equal(last?.type === 'BidResult' && last.rejection?.code, 'max_capacity');
  assert.match(last?.type === 'BidResult' ? (last.rejection?.requested ?? '') : '', /CPU: 3/);
  begin();
  begin();
  const refused = begin();
  assert.equal(typeof refused === 'object' && `${refused.code} ${refused.final}`, 'busy false');
});

test('what a requester wants no more is taken out', () => {
  const { begin, approvals, clock } = setup();
  const id = String(begin());
  assert.equal(approvals.remove(id)?.id, id);
  assert.equal(approvals.remove(id), undefined);
  clock.advance(2 * DAY_MS);
  assert.equal(approvals.size, 0);
});
