import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { shortId } from '../../src/core/ids.ts';
import { computeTransitions, type JobState, jobTransitions } from '../../src/core/states.ts';
import { createSequencer } from '../../src/events/seq.ts';
import { createRequesterStore } from '../../src/store/environment-requester-store.ts';
import type { EvaluationRecord, JobRecord } from '../../src/store/records.ts';
import type { RequesterStore } from '../../src/store/requester-store.ts';
import { type HistoryReader, lastSeq } from '../../src/store/role-log.ts';
import {
  TEST_NODE,
  TEST_SPEC,
  testEvaluation,
  testHistory,
  testJob,
  testRequesterExecution,
} from '../support/store-records.ts';
import { type StoreFactory, withEnvironment } from './store-environment.ts';

const illegal = { code: 'IllegalTransition' };

async function withRequester(
  factory: StoreFactory,
  use: (store: RequesterStore & HistoryReader) => Promise<void>,
): Promise<void> {
  await withEnvironment(factory, 'requester', async (environment) => {
    const sequencer = createSequencer(lastSeq(environment));
    await use(createRequesterStore({ environment, nextSeq: () => sequencer.next() }));
  });
}

function submit(store: RequesterStore, change: Partial<JobRecord> = {}): JobRecord {
  const record = testJob(change);
  store.transition({
    job: { from: null, record, spec: TEST_SPEC },
    history: [testHistory({ jobId: record.id, to: 'Pending' })],
  });
  return record;
}

function move(
  store: RequesterStore,
  record: JobRecord,
  state: JobState,
  change: Partial<JobRecord> = {},
): JobRecord {
  const next = { ...record, state: { type: state, message: '' }, revision: record.revision + 1, ...change };
  const isNewVersion = next.version !== record.version;
  store.transition({
    job: { from: record.state.type, record: next, ...(isNewVersion ? { spec: TEST_SPEC } : {}) },
    history: [testHistory({ jobId: record.id, from: record.state.type, to: state })],
  });
  return next;
}

/** What the requester role's store must do over any environment. */
export function requesterContract(factory: () => StoreFactory): void {
  it('writes job, executions, evaluations, history and outbox of a change together', () =>
    withRequester(factory(), async (store) => {
      const job = testJob({ name: 'my job', labels: { a: 'b' } });
      const execution = testRequesterExecution({ jobId: job.id });
      const evaluation = testEvaluation({ jobId: job.id });
      store.transition({
        job: { from: null, record: job, spec: TEST_SPEC },
        executions: [{ from: null, record: execution }],
        evaluations: [{ from: null, record: evaluation }],
        history: [testHistory({ jobId: job.id, to: 'Pending' })],
        outbox: [
          {
            to: TEST_NODE,
            message: { type: 'AskForBid', executionId: execution.id, jobId: job.id, jobVersion: 1 },
          },
        ],
      });
      for (const when of ['before', 'after'] as const) {
        assert.deepEqual(store.job(job.id), job, when);
        assert.deepEqual(Buffer.from(store.spec(job.id, 1) ?? []), Buffer.from(TEST_SPEC), when);
        assert.equal(store.byName('default', 'my job'), job.id, when);
        assert.deepEqual(store.execution(job.id, execution.id), execution, when);
        assert.deepEqual(store.executions(job.id), [execution], when);
        assert.deepEqual(store.evaluation(job, evaluation.id), evaluation, when);
        await store.flushed();
      }
      assert.equal(store.byName('other', 'my job'), undefined);
      assert.deepEqual(store.pendingEvaluations({ limit: 5 }), [evaluation]);
      assert.deepEqual(store.inProgress({ limit: 5 }), [job.id]);
      assert.equal(store.history(job.id, { offset: 0, limit: 9 }).length, 1);
      assert.equal(store.outbox.pending(TEST_NODE, { limit: 9 })[0]?.message.type, 'AskForBid');
      store.transition({ evaluations: [{ from: 'pending', record: { ...evaluation, status: 'complete' } }] });
      assert.equal(store.evaluation(job, evaluation.id), undefined);
      await store.committed();
      assert.deepEqual(store.pendingEvaluations({ limit: 5 }), []);
    }));

  it('refuses illegal steps of jobs and executions, whole', () =>
    withRequester(factory(), async (store) => {
      const job = submit(store);
      const ended = move(store, job, 'Completed');
      assert.throws(() => move(store, ended, 'Running'), illegal);
      assert.throws(() => move(store, job, 'Running'), illegal);
      assert.throws(() => submit(store, { id: job.id }), illegal);
      assert.throws(() => move(store, { ...ended, version: 5 }, 'Pending', { version: 5 }), illegal);
      const again = move(store, ended, 'Pending', { version: 2 });
      const execution = testRequesterExecution({ jobId: job.id });
      const bad = {
        from: 'New' as const,
        record: { ...execution, computeState: { type: 'Running' as const, message: '' } },
      };
      assert.throws(
        () =>
          store.transition({
            job: { from: 'Pending', record: { ...again, state: { type: 'Running', message: '' } } },
            executions: [bad],
          }),
        illegal,
      );
      await store.committed();
      assert.equal(store.job(job.id)?.state.type, 'Pending');
      assert.deepEqual(store.versions(job.id), [1, 2]);
      assert.deepEqual(store.executions(job.id), []);
      assert.deepEqual(store.inProgress({ limit: 5 }), [job.id]);
      assert.equal(store.counts().Pending, 1);
    }));

  it('goes by what its owner knows of a job, but not against what it knows itself', () =>
    withRequester(factory(), async (store) => {
      const job = submit(store);
      const stale = { ...job, state: { type: 'Queued' as const, message: '' } };
      const running = { ...job, state: { type: 'Running' as const, message: '' } };
      const step = { from: 'Queued', before: stale, record: running } as const;
      assert.throws(() => store.transition({ job: step }), illegal);
      const execution = testRequesterExecution({ jobId: job.id });
      const ended = { ...execution, computeState: { type: 'Cancelled' as const, message: '' } };
      store.transition({
        job: { from: 'Pending', before: job, record: running },
        executions: [{ from: null, record: execution }],
      });
      const from = execution.computeState.type;
      store.transition({ executions: [{ from, before: execution, record: ended }] });
      assert.throws(
        () => store.transition({ executions: [{ from, before: execution, record: ended }] }),
        illegal,
      );
      await store.committed();
      assert.deepEqual(store.job(job.id), running);
      assert.deepEqual(store.inProgress({ limit: 5 }), [job.id]);
      // An id between others was not made here just now: it is looked for.
      for (let others = 0; others < 3000; others += 1) submit(store);
      await store.flushed();
      await store.flushed();
      assert.throws(() => submit(store, { id: job.id }), illegal);
    }));

  it('keeps counters, live index and histories right over random paths', () =>
    withRequester(factory(), async (store) => {
      const states = Object.keys(jobTransitions) as JobState[];
      await fc.assert(
        fc.asyncProperty(fc.array(fc.constantFrom(...states), { maxLength: 10 }), async (path) => {
          let job = submit(store);
          let rows = 1;
          for (const [i, state] of path.entries()) {
            if (!jobTransitions[job.state.type].includes(state)) {
              if (state !== job.state.type) assert.throws(() => move(store, job, state), illegal);
              continue;
            }
            job = move(store, job, state, { modifyTime: job.modifyTime + i + 1 });
            rows += 1;
            if (i % 3 === 0) await store.committed();
          }
          await store.committed();
          const history = store.history(job.id, { offset: 0, limit: 100 });
          assert.equal(history.length, rows);
          assert.deepEqual(store.history(job.id, { offset: 1, limit: 2 }), history.slice(1, 3));
        }),
        { numRuns: 50 },
      );
      const { items } = store.jobs({
        namespace: '*',
        offset: 0,
        limit: 1e6,
        orderBy: 'created_at',
        reverse: false,
        matches: () => true,
      });
      const recount = Object.fromEntries(
        states.map((s) => [s, items.filter((job) => job.state.type === s).length]),
      );
      assert.deepEqual(store.counts(), recount);
      const live = items.filter((job) => !['Completed', 'Failed', 'Stopped'].includes(job.state.type));
      assert.deepEqual(
        store.inProgress({ limit: 1e6 }),
        live.map((job) => job.id),
      );
      const changed = store.jobs({
        namespace: '',
        offset: 0,
        limit: 1e6,
        orderBy: 'modified_at',
        reverse: true,
        matches: () => true,
      });
      assert.deepEqual(
        changed.items.map((job) => job.modifyTime),
        items.map((job) => job.modifyTime).sort((a, b) => b - a),
      );
      assert.equal(new Set(changed.items.map((job) => job.id)).size, items.length);
    }));

  it('pages lists of jobs by namespace, order and predicate', () =>
    withRequester(factory(), async (store) => {
      const jobs = Array.from({ length: 700 }, (_, i) =>
        submit(store, { namespace: i % 2 === 0 ? 'even' : 'odd', labels: { third: String(i % 3) } }),
      );
      await store.committed();
      const query = { namespace: 'even', offset: 2, limit: 3, orderBy: 'created_at', reverse: true } as const;
      const matches = (job: JobRecord): boolean => job.labels['third'] === '1';
      const expected = jobs.filter((job) => job.namespace === 'even' && matches(job)).toReversed();
      const page = store.jobs({ ...query, matches });
      assert.deepEqual(page.items, expected.slice(2, 5));
      assert.equal(page.more, true);
      assert.deepEqual(await store.listJobs({ ...query, matches }), page);
      const end = store.jobs({ ...query, offset: expected.length - 1, reverse: false, matches });
      assert.deepEqual(end, { items: [expected[0]], more: false });
      const all = store.jobs({ ...query, namespace: '*', offset: 0, limit: 700, matches: () => true });
      assert.equal(all.items.length, 700);
      assert.equal(all.more, false);
    }));

  it('finds jobs by prefix and short form', () =>
    withRequester(factory(), async (store) => {
      const jobs = Array.from({ length: 5000 }, () => submit(store));
      await store.committed();
      const wanted = jobs[17]?.id ?? '';
      assert.deepEqual(await store.byShortId(shortId(wanted)), [wanted]);
      assert.deepEqual(await store.byShortId('j-00000000'), []);
      assert.deepEqual(store.byPrefix(wanted.slice(0, 30), 2), [wanted]);
      assert.equal(store.byPrefix('j-', 3).length, 3);
      assert.deepEqual(store.byPrefix('j-zz', 3), []);
      assert.deepEqual(store.inProgress({ after: jobs[4997]?.id ?? '', limit: 9 }), [
        jobs[4998]?.id,
        jobs[4999]?.id,
      ]);
    }));

  it('takes names and namespaces of any length', () =>
    withRequester(factory(), async (store) => {
      const name = 'ü'.repeat(5000);
      const namespace = 'n'.repeat(5000);
      const job = submit(store, { name, namespace });
      await store.committed();
      assert.equal(store.byName(namespace, name), job.id);
      assert.equal(store.job(name), undefined);
      assert.deepEqual(store.byPrefix(name, 3), []);
      const query = { namespace, offset: 0, limit: 3, orderBy: 'created_at', reverse: true } as const;
      assert.deepEqual(store.jobs({ ...query, matches: () => true }).items, [job]);
    }));

  it('orders blocked evaluations by priority, then age, and forgets them when they are woken', () =>
    withRequester(factory(), async (store) => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(
            fc.record({
              priority: fc.integer({ min: 0, max: 5 }),
              fate: fc.constantFrom('stay', 'wake', 'end'),
            }),
            {
              maxLength: 30,
            },
          ),
          async (plan) => {
            const evaluations = plan.map(({ priority }) => testEvaluation({ priority, status: 'blocked' }));
            const put = (
              record: EvaluationRecord,
              from: 'pending' | 'blocked' | null,
              status: EvaluationRecord['status'],
            ): void => store.transition({ evaluations: [{ from, record: { ...record, status } }] });
            for (const evaluation of evaluations) put(evaluation, null, 'blocked');
            if (plan.length % 2 === 0) await store.committed();
            for (const [i, evaluation] of evaluations.entries()) {
              const fate = plan[i]?.fate;
              if (fate === 'wake') put(evaluation, 'blocked', 'pending');
              if (fate === 'end') put(evaluation, 'blocked', 'complete');
            }
            await store.committed();
            const expected = evaluations
              .filter((_, i) => plan[i]?.fate === 'stay')
              .sort((a, b) => b.priority - a.priority || a.createTime - b.createTime);
            assert.equal(store.blockedCount(), expected.length);
            const seen = [];
            for (;;) {
              const after = seen.at(-1);
              const page = store.blocked({ ...(after === undefined ? {} : { after }), limit: 4 });
              seen.push(...page);
              if (page.length < 4) break;
            }
            assert.deepEqual(seen, expected);
            const woken = evaluations.filter((_, i) => plan[i]?.fate === 'wake').map((e) => e.id);
            assert.deepEqual(
              store.pendingEvaluations({ limit: 100 }).map((e) => e.id),
              woken,
            );
            for (const [i, evaluation] of evaluations.entries()) {
              const fate = plan[i]?.fate;
              if (fate !== 'end') put(evaluation, fate === 'wake' ? 'pending' : 'blocked', 'cancelled');
            }
            await store.committed();
            assert.equal(store.blockedCount(), 0);
          },
        ),
        { numRuns: 30 },
      );
    }));

  it('follows an execution through all states of its table', () =>
    withRequester(factory(), async (store) => {
      const job = submit(store);
      let record = testRequesterExecution({ jobId: job.id });
      store.transition({ executions: [{ from: null, record }] });
      for (const state of [
        'AskForBid',
        'AskForBidAccepted',
        'BidAccepted',
        'Running',
        'Completed',
      ] as const) {
        const from = record.computeState.type;
        assert.ok(computeTransitions[from].includes(state));
        record = { ...record, computeState: { type: state, message: '' } };
        store.transition({ executions: [{ from, record }] });
        assert.throws(() => store.transition({ executions: [{ from, record }] }), illegal);
      }
      await store.committed();
      assert.deepEqual(store.execution(job.id, record.id), record);
      record = { ...record, desiredState: { type: 'Stopped', message: '' } };
      store.transition({ executions: [{ from: 'Completed', record }] });
      assert.deepEqual(store.executions(job.id), [record]);
    }));
}
