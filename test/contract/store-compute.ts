import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { newExecutionId, newJobId } from '../../src/core/ids.ts';
import { localTransitions } from '../../src/core/states.ts';
import { createSequencer } from '../../src/events/seq.ts';
import type { ComputeStore, ExecutionChange } from '../../src/store/compute-store.ts';
import type { Environment } from '../../src/store/environment.ts';
import { createComputeStore } from '../../src/store/environment-compute-store.ts';
import type { LocalExecution } from '../../src/store/records.ts';
import { type HistoryReader, lastSeq } from '../../src/store/role-log.ts';
import { TEST_NODE, TEST_SPEC, testExecution, testHistory } from '../support/store-records.ts';
import { type StoreFactory, withEnvironment } from './store-environment.ts';

const illegal = { code: 'IllegalTransition' };

function step(record: LocalExecution, state: LocalExecution['state']): ExecutionChange {
  return {
    from: record.state,
    record: { ...record, state, version: record.version + 1 },
    history: [
      testHistory({
        jobId: record.header.jobId,
        executionId: record.header.executionId,
        from: record.state,
        to: state,
      }),
    ],
  };
}

async function withCompute(
  factory: StoreFactory,
  use: (store: ComputeStore & HistoryReader, environment: Environment) => Promise<void>,
): Promise<void> {
  await withEnvironment(factory, 'compute', async (environment) => {
    const sequencer = createSequencer(lastSeq(environment));
    await use(createComputeStore({ environment, nextSeq: () => sequencer.next() }), environment);
  });
}

function create(store: ComputeStore, change: Parameters<typeof testExecution>[0] = {}): LocalExecution {
  const record = testExecution(change);
  store.transition({ from: null, record, spec: TEST_SPEC, history: [] });
  return record;
}

const idsOf = (records: readonly LocalExecution[]): string[] =>
  records.map(({ header }) => header.executionId);

/** Every way to look shows the newest of these two, in that state, as it shows the other. */
function looksLike(
  store: ComputeStore & HistoryReader,
  [newest, older]: readonly [LocalExecution, LocalExecution],
  state: LocalExecution['state'],
): void {
  const { executionId: id, jobId } = newest.header;
  const after = older.header.executionId;
  assert.equal(store.get(id)?.state, state);
  assert.deepEqual(Buffer.from(store.spec(id) ?? []), Buffer.from(TEST_SPEC));
  assert.deepEqual(idsOf(store.list({ limit: 9 })), [id, after]);
  assert.deepEqual(idsOf(store.list({ limit: 1 })), [id]);
  assert.deepEqual(idsOf(store.list({ jobId, limit: 9 })), [id]);
  assert.deepEqual(idsOf(store.list({ states: [state], jobId, limit: 9 })), [id]);
  assert.deepEqual(store.list({ states: ['Completed'], limit: 9 }), []);
  assert.deepEqual(
    store.live({ limit: 9 }).map(({ record }) => record.header.executionId),
    [after, id],
  );
  assert.equal(store.live({ after, limit: 9 }).length, 1);
  assert.deepEqual(store.live({ after: id, limit: 9 }), []);
  const log = store.log({ after: 0, limit: 9 });
  assert.deepEqual(
    log.filter(({ executionId }) => executionId === id),
    store.history(id),
  );
  const seqs = log.map(({ seq }) => seq);
  assert.deepEqual(
    seqs,
    seqs.map((_, at) => at + 1),
  );
  assert.deepEqual(store.log({ after: 0, limit: 1 }), log.slice(0, 1));
  assert.deepEqual(store.log({ after: 1, limit: 9 }), log.slice(1));
}

/** What the compute role's store must do over any environment. */
export function computeContract(factory: () => StoreFactory): void {
  it('forgets a bid that came to nothing, and tells how it ended', () =>
    withCompute(factory(), async (store, environment) => {
      const kept = create(store);
      const record = testExecution();
      const id = record.header.executionId;
      const row = (to: string): ReturnType<typeof testHistory> =>
        testHistory({ jobId: record.header.jobId, executionId: id, from: '', to });
      const before = { ...store.counts() };
      const told: string[] = [];
      store.onHistory((rows) => told.push(...rows.map(({ to }) => to)));
      const message = { type: 'BidResult', executionId: id, jobId: record.header.jobId } as const;
      store.transition({
        from: null,
        record,
        spec: TEST_SPEC,
        history: [row('Created')],
        outbox: [{ to: TEST_NODE, message: { ...message, accepted: false, reason: '' } }],
      });
      await store.forget(id, row('Cancelled'));
      for (let look = 0; look < 2; look += 1) {
        assert.deepEqual([store.get(id), store.spec(id)], [undefined, undefined]);
        assert.deepEqual(store.history(id), []);
        assert.deepEqual(store.list({ jobId: record.header.jobId, limit: 9 }), []);
        assert.deepEqual(
          store.live({ limit: 9 }).map(({ record: one }) => one.header.executionId),
          [kept.header.executionId],
        );
        assert.deepEqual(store.counts(), before);
        await environment.flushed();
      }
      // Seqs are never used again, and who listens hears of both.
      const last = lastSeq(environment);
      assert.ok(last >= 2, String(last));
      while (told.length < 2) await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(told, ['Created', 'Cancelled']);
      assert.equal(store.outbox.size(), 1, 'the answer it had is delivered all the same');
      // The same bid may be made again.
      store.transition({ from: null, record, spec: TEST_SPEC, history: [] });
      assert.equal(store.get(id)?.state, 'Created');
      await store.forget('e-unknown', row('Cancelled'));
      store.transition(step(record, 'BidAccepted'));
      await assert.rejects(store.forget(id, row('Cancelled')), illegal);
    }));

  it('shows a bid wherever an execution is shown: open, found again, accepted; never twice, never not at all', () =>
    withCompute(factory(), async (store, environment) => {
      const older = create(store);
      const record = testExecution();
      const { jobId, executionId: id } = record.header;
      const history = [testHistory({ jobId, executionId: id, from: '', to: 'Created' })];
      store.transition({ from: null, record, spec: TEST_SPEC, history });
      store.transition(step(older, 'BidAccepted'));
      await store.flushed();
      // The same store as another life would find it.
      const sequencer = createSequencer(lastSeq(environment));
      const again = createComputeStore({ environment, nextSeq: () => sequencer.next() });
      looksLike(store, [record, older], 'Created');
      looksLike(again, [record, older], 'Created');
      const [made] = again.history(id);
      again.transition(step(record, 'BidAccepted'));
      for (let turn = 0; turn < 3; turn += 1) {
        assert.equal(again.get(id)?.state, 'BidAccepted');
        assert.equal(again.list({ limit: 9 }).length, 2);
        assert.deepEqual(again.history(id)[0], made);
        await environment.flushed();
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.equal(again.history(id).length, 2);
      looksLike(again, [record, older], 'BidAccepted');
    }));

  it('writes record, history and outbox of a transition together', () =>
    withCompute(factory(), async (store) => {
      const seen: number[] = [];
      const told: string[] = [];
      store.onHistory((rows) => seen.push(...rows.map((row) => row.seq)));
      store.outbox.onAppend((rows) => told.push(...rows.map((row) => row.message.type)));
      const record = create(store);
      const id = record.header.executionId;
      const accepted = step(record, 'BidAccepted');
      store.transition({
        ...accepted,
        outbox: [
          {
            to: TEST_NODE,
            message: { type: 'ExecutionStarted', executionId: id, jobId: record.header.jobId },
          },
        ],
      });
      assert.equal(store.get(id)?.state, 'BidAccepted', 'own writes show at once');
      assert.deepEqual(told, ['ExecutionStarted']);
      await store.flushed();
      assert.deepEqual(store.get(id), accepted.record);
      assert.deepEqual(Buffer.from(store.spec(id) ?? []), Buffer.from(TEST_SPEC));
      const [row] = store.history(id);
      assert.equal(row?.to, 'BidAccepted');
      assert.equal(row?.role, 'compute');
      assert.deepEqual(store.log({ after: 0, limit: 10 }), store.history(id));
      assert.equal(store.floor(), 1);
      const [pending] = store.outbox.pending(TEST_NODE, { limit: 10 });
      assert.equal(pending?.message.type, 'ExecutionStarted');
      assert.equal(pending?.to, TEST_NODE);
      store.outbox.remove(TEST_NODE, [pending?.seq ?? 0]);
      await store.committed();
      assert.deepEqual(store.outbox.pending(TEST_NODE, { limit: 10 }), []);
      await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(seen, [row?.seq]);
    }));

  it('never writes an illegal transition', () =>
    withCompute(factory(), async (store, environment) => {
      const states = Object.keys(localTransitions) as LocalExecution['state'][];
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.constantFrom(...states), { minLength: 1, maxLength: 8 }),
          async (path) => {
            let record = create(store);
            const id = record.header.executionId;
            for (const state of path) {
              const change = step(record, state);
              const allowed = localTransitions[record.state];
              const legal = allowed.includes(state) || (state === record.state && allowed.length > 0);
              const before = store.counts();
              if (legal) {
                store.transition(change);
                record = change.record;
              } else {
                assert.throws(() => store.transition(change), illegal);
                assert.deepEqual(store.counts(), before);
              }
              // What is claimed must be what is stored.
              const lie = states.find(
                (other) => other !== record.state && localTransitions[other].includes('Failed'),
              );
              if (lie !== undefined) {
                assert.throws(() => store.transition({ ...step(record, 'Failed'), from: lie }), illegal);
              }
            }
            await environment.committed();
            assert.deepEqual(store.get(id), record);
            assert.equal(store.history(id).at(-1)?.to ?? 'Created', record.state);
          },
        ),
        { numRuns: 60 },
      );
      const recount: Record<string, number> = {};
      for (const record of store.list({ limit: 100_000 }))
        recount[record.state] = (recount[record.state] ?? 0) + 1;
      for (const state of states) assert.equal(store.counts()[state], recount[state] ?? 0, state);
    }));

  it('refuses a new execution without its spec, a spec twice, and an unknown one', () =>
    withCompute(factory(), async (store) => {
      const record = testExecution();
      assert.throws(() => store.transition({ from: null, record, history: [] }), illegal);
      assert.throws(() => store.transition({ ...step(record, 'Failed'), from: 'Created' }), illegal);
      assert.throws(
        () =>
          store.transition({
            from: null,
            record: { ...record, state: 'Publishing' },
            spec: TEST_SPEC,
            history: [],
          }),
        illegal,
      );
      store.transition({ from: null, record, spec: TEST_SPEC, history: [] });
      assert.throws(() => store.transition({ from: null, record, spec: TEST_SPEC, history: [] }), illegal);
      await store.committed();
      assert.equal(store.list({ limit: 10 }).length, 1);
    }));

  it('lists newest first, by state and by job, and pages through what is live', () =>
    withCompute(factory(), async (store) => {
      const jobId = newJobId();
      const records = Array.from({ length: 600 }, (_, i) => create(store, i % 3 === 0 ? { jobId } : {}));
      for (const [i, record] of records.entries()) {
        if (i % 2 === 0) store.transition(step(record, i % 4 === 0 ? 'Failed' : 'Cancelled'));
        else if (i % 5 === 0) store.transition(step(record, 'BidAccepted'));
      }
      await store.committed();
      const ids = (list: readonly LocalExecution[]): string[] =>
        list.map((record) => record.header.executionId);
      const at = (keep: (i: number) => boolean): string[] =>
        ids(records.filter((_, i) => keep(i))).toReversed();
      assert.deepEqual(ids(store.list({ limit: 7 })), at(() => true).slice(0, 7));
      assert.deepEqual(
        ids(store.list({ states: ['Failed', 'BidAccepted'], limit: 1000 })),
        at((i) => i % 4 === 0 || (i % 2 === 1 && i % 5 === 0)),
      );
      assert.deepEqual(
        ids(store.list({ states: ['BidAccepted'], limit: 20 })),
        at((i) => i % 2 === 1 && i % 5 === 0).slice(0, 20),
      );
      assert.deepEqual(ids(store.list({ jobId, limit: 5 })), at((i) => i % 3 === 0).slice(0, 5));
      assert.deepEqual(
        ids(store.list({ jobId, states: ['Cancelled'], limit: 500 })),
        at((i) => i % 3 === 0 && i % 4 === 2),
      );
      const live: string[] = [];
      for (;;) {
        const after = live.at(-1);
        const page = store.live({ ...(after === undefined ? {} : { after }), limit: 64 });
        live.push(...ids(page.map((item) => item.record)));
        if (page.length < 64) break;
      }
      assert.deepEqual(live, at((i) => i % 2 === 1).toReversed());
    }));

  it('reads records written long ago', () =>
    withCompute(factory(), async (store) => {
      const first = create(store);
      for (let i = 0; i < 3; i++) {
        for (let j = 0; j < 2500; j++) create(store);
        await store.committed();
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.deepEqual(store.get(first.header.executionId), first);
      assert.equal(store.get(newExecutionId()), undefined);
      store.transition(step(first, 'Cancelled'));
      await store.committed();
      assert.equal(store.get(first.header.executionId)?.state, 'Cancelled');
    }));
}
