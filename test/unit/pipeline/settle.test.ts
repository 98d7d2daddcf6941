import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RunCommandResult } from '../../../src/core/job.ts';
import { NO_RESOURCES } from '../../../src/core/resources.ts';
import { Admission } from '../../../src/pipeline/admission.ts';
import type { Item } from '../../../src/pipeline/item.ts';
import { BoundedQueue } from '../../../src/pipeline/queue.ts';
import { Settle } from '../../../src/pipeline/settle.ts';
import type { ComputeStore } from '../../../src/store/compute-store.ts';
import { type PipelineKit, pipelineKit, request, silentLogger } from '../../support/pipeline.ts';
import { turns } from '../../support/requester/manual-clock.ts';
import { TEST_NODE } from '../../support/store-records.ts';

const RESULT: RunCommandResult = {
  Stdout: 'x\n',
  StdoutTruncated: false,
  stderr: '',
  StderrTruncated: false,
  ExitCode: 3,
  ErrorMsg: '',
};
const NOTHING = { Type: '' };

interface Setup extends PipelineKit {
  readonly settle: Settle;
  readonly gone: string[];
  /** An accepted execution that holds half a core. */
  accepted(): Item;
}

function setup(change: (store: ComputeStore) => ComputeStore = (store) => store): Setup {
  const kit = pipelineKit();
  const gone: string[] = [];
  const queue = new BoundedQueue<Item>({ name: 'admit', bound: 10 });
  const { clock, ledger } = kit;
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
    store: change(kit.store),
    admission,
    clock,
    logger: silentLogger,
    onGone: ({ id }) => gone.push(id),
  });
  return {
    ...kit,
    settle,
    gone,
    accepted() {
      const item = kit.item({ resources: request({ cpu: 0.5 }) }, { state: 'BidAccepted' });
      item.ticket = ledger.reserve(item.header.resources) ?? 0;
      assert.ok(ledger.accept(item.ticket));
      item.station = 'admit';
      return item;
    },
  };
}

test('an end is written with its message, once; capacity is free at once, the item goes when it is on disk', async () => {
  const { settle, accepted, gone, store, ledger } = setup();
  const item = accepted();
  item.ran = true;
  item.result = RESULT;
  settle.end(item, { state: 'Completed', published: { Type: 'ipfs', Params: { CID: 'c' } } });
  settle.end(item, { state: 'Failed', error: { code: 'Internal', message: 'too late' } });
  assert.deepEqual(ledger.promised(), NO_RESOURCES);
  assert.deepEqual(gone, []);
  await store.flushed();
  await turns();
  assert.deepEqual(gone, [item.id]);
  const record = store.get(item.id);
  assert.equal(record?.state, 'Completed');
  assert.equal(record.attempts, 1, 'a run too short to be told of has been one all the same');
  const messages = store.outbox.pending(TEST_NODE, { limit: 10 });
  assert.deepEqual(
    messages.map(({ to, message }) => ({ to, message })),
    [
      {
        to: item.header.requesterId,
        message: {
          type: 'RunResult',
          executionId: item.id,
          jobId: item.header.jobId,
          result: RESULT,
          published: { Type: 'ipfs', Params: { CID: 'c' } },
        },
      },
    ],
  );
  const rows = store.history(item.id).map(({ from, to, message }) => `${from} → ${to}: ${message}`);
  assert.deepEqual(rows.slice(-2), [
    'BidAccepted → Running: Running',
    'Running → Completed: Completed successfully',
  ]);
});

for (const [code, topic] of [
  ['ExecutionTimedOut', 'Exec Timeout'],
  ['ImageNotFound', 'Exec Scanning'],
  ['InputUnavailable', 'Downloading Inputs'],
  ['PublishFailed', 'Publishing Results'],
  ['ExecutionLost', 'Execution'],
] as const) {
  test(`a failure says why, and where in its life: ${code}`, async () => {
    const { settle, accepted, store } = setup();
    const item = accepted();
    settle.end(item, { state: 'Failed', error: { code, message: 'because' } });
    await store.flushed();
    assert.equal(store.get(item.id)?.comment, 'because');
    const row = store.history(item.id).at(-1);
    assert.deepEqual([row?.topic, row?.message, row?.details['ErrorCode']], [topic, 'because', code]);
    const [sent] = store.outbox.pending(TEST_NODE, { limit: 1 });
    assert.equal(sent?.message.type, 'ComputeError');
    assert.deepEqual([sent.message.error, sent.message.topic], [{ code, message: 'because' }, topic]);
  });
}

test('what a failed run left goes with its failure', async () => {
  const { settle, accepted, store } = setup();
  const item = accepted();
  item.ran = true;
  item.result = RESULT;
  const error = { code: 'ExecutionTimedOut', message: 'too long' } as const;
  settle.end(item, { state: 'Failed', error, published: { Type: 'local' } });
  await store.flushed();
  const [sent] = store.outbox.pending(TEST_NODE, { limit: 1 });
  assert.equal(sent?.message.type, 'ComputeError');
  assert.deepEqual([sent.message.result, sent.message.published], [RESULT, { Type: 'local' }]);
});

test('its clocks are cancelled', () => {
  const { settle, accepted, clock } = setup();
  const item = accepted();
  item.timers = [clock.at(clock.nowMs() + 1000, () => assert.fail('it has ended'))];
  settle.end(item, { state: 'Cancelled', error: { code: 'ExecutionCancelled', message: 'enough' } });
  assert.equal(item.timers, undefined);
  clock.advance(2000);
});

test('an end that the disk refuses leaves the item where it can be seen, and its capacity free', async () => {
  const refusing = (store: ComputeStore): ComputeStore =>
    Object.assign(Object.create(store) as ComputeStore, {
      transition: store.transition.bind(store),
      flushed: () => Promise.reject(new Error('no space left')),
    });
  const { settle, accepted, gone, ledger } = setup(refusing);
  const item = accepted();
  settle.end(item, { state: 'Completed', published: NOTHING });
  await turns();
  assert.deepEqual(gone, []);
  assert.equal(item.station, 'settling');
  assert.deepEqual(ledger.promised(), NO_RESOURCES);
});
