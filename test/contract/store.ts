import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { newExecutionId, newJobId, shortId } from '../../src/core/ids.ts';
import {
  computeTransitions,
  type JobState,
  jobTransitions,
  localTransitions,
} from '../../src/core/states.ts';
import { createSequencer } from '../../src/events/seq.ts';
import type { ComputeStore, ExecutionChange } from '../../src/store/compute-store.ts';
import type { Environment, Key, TableSpec } from '../../src/store/environment.ts';
import { createComputeStore } from '../../src/store/environment-compute-store.ts';
import { createRequesterStore } from '../../src/store/environment-requester-store.ts';
import { compareKeys } from '../../src/store/keys.ts';
import type { JobRecord, LocalExecution } from '../../src/store/records.ts';
import type { RequesterStore } from '../../src/store/requester-store.ts';
import { type HistoryReader, lastSeq } from '../../src/store/role-log.ts';
import {
  TEST_NODE,
  TEST_SPEC,
  testEvaluation,
  testExecution,
  testHistory,
  testJob,
  testRequesterExecution,
} from '../support/store-records.ts';

/** How the suite gets an environment; every call makes a new, empty one. */
export interface StoreFactory {
  open(role: 'compute' | 'requester'): Promise<Environment>;
  /** Removes what was made. */
  dispose(): Promise<void>;
}

const rowsTable: TableSpec = { name: 'test-rows', encoding: 'msgpack' };
const bytesTable: TableSpec = { name: 'test-bytes', encoding: 'bytes' };
const illegal = { code: 'IllegalTransition' };

/** What every kind of environment, and both stores over it, must do. */
export function storeContract(kind: string, makeFactory: () => Promise<StoreFactory>): void {
  describe(`store over ${kind}`, () => {
    let factory: StoreFactory;
    before(async () => {
      factory = await makeFactory();
    });
    after(() => factory.dispose());
    describe('environment', () => environmentContract(() => factory));
    describe('compute store', () => computeContract(() => factory));
    describe('requester store', () => requesterContract(() => factory));
  });
}

async function withEnvironment(
  factory: StoreFactory,
  role: 'compute' | 'requester',
  use: (environment: Environment) => Promise<void>,
): Promise<void> {
  const environment = await factory.open(role);
  try {
    await use(environment);
  } finally {
    await environment.close();
  }
}

function environmentContract(factory: () => StoreFactory): void {
  it('reads what was committed, in the order of the keys', () =>
    withEnvironment(factory(), 'compute', async (environment) => {
      const table = environment.table<string>(rowsTable);
      const keys: Key[] = [
        ['b', 2],
        'a',
        10,
        ['b', 10],
        -3,
        ['b'],
        2.5,
        ['b', 2, 'x'],
        'ä',
        '',
        '\u{1f600}',
        '\uff5e',
      ];
      environment.write((batch) => {
        for (const key of keys) if (key !== '') batch.put(table, key, JSON.stringify(key));
      });
      await environment.committed();
      const sorted = keys.filter((key) => key !== '').sort(compareKeys);
      assert.deepEqual(
        table.range().map((row) => row.value),
        sorted.map((key) => JSON.stringify(key)),
      );
      assert.deepEqual(
        table.range({ start: ['b', 2], end: ['b', 10] }).map((row) => row.value),
        ['["b",2]', '["b",2,"x"]'],
      );
      assert.deepEqual(table.keys({ start: ['b', 10], end: ['b', 2], reverse: true, limit: 1, offset: 1 }), [
        ['b', 2, 'x'],
      ]);
      assert.equal(table.count({ start: 'a' }), sorted.length - 3);
      assert.equal(table.size(), sorted.length);
      assert.equal(table.get('missing'), undefined);
      assert.equal(table.has(['b', 10]), true);
    }));

  it('keeps bytes as they are, empty ones too', () =>
    withEnvironment(factory(), 'compute', async (environment) => {
      const table = environment.table<Uint8Array>(bytesTable);
      environment.write((batch) => {
        batch.put(table, 'full', new Uint8Array([0, 255, 1]));
        batch.put(table, 'empty', new Uint8Array(0));
      });
      await environment.flushed();
      assert.deepEqual([...(table.get('full') ?? [])], [0, 255, 1]);
      assert.equal(table.has('empty'), true);
      assert.equal(table.get('empty')?.length, 0);
      assert.deepEqual(table.keys(), ['empty', 'full']);
    }));

  it('forgets the writes of a callback that throws, and refuses a key that is too long', () =>
    withEnvironment(factory(), 'compute', async (environment) => {
      const table = environment.table<number>(rowsTable);
      environment.write((batch) => batch.put(table, 'kept', 1));
      assert.throws(
        () =>
          environment.write((batch) => {
            batch.put(table, 'lost', 1);
            batch.remove(table, 'kept');
            batch.put(table, 'x'.repeat(3000), 1);
          }),
        { code: 'StoreFailed' },
      );
      await environment.committed();
      assert.deepEqual(table.keys(), ['kept']);
    }));

  it('applies writes of one turn in order, and stores a value as it was when it was put', () =>
    withEnvironment(factory(), 'compute', async (environment) => {
      const table = environment.table<{ n: number }>(rowsTable);
      const value = { n: 1 };
      environment.write((batch) => batch.put(table, 'a', value));
      value.n = 2;
      environment.write((batch) => {
        batch.put(table, 'b', { n: 1 });
        batch.remove(table, 'b');
        batch.remove(table, 'never was');
        batch.put(table, 'c', { n: 1 });
        batch.put(table, 'c', { n: 3 });
      });
      await environment.committed();
      assert.deepEqual(table.range(), [
        { key: 'a', value: { n: 1 } },
        { key: 'c', value: { n: 3 } },
      ]);
    }));

  it('runs beforeCommit hooks in the transaction', () =>
    withEnvironment(factory(), 'compute', async (environment) => {
      const table = environment.table<number>(rowsTable);
      let n = 0;
      environment.beforeCommit((batch) => {
        n += 1;
        batch.put(table, 'hook', n);
      });
      environment.write((batch) => batch.put(table, 'a', 1));
      await environment.committed();
      assert.equal(table.get('hook'), n);
      assert.ok(n > 0);
    }));

  it('agrees with a plain sorted array on any sequence of writes and any range', async () => {
    const key = fc.oneof(
      fc.integer({ min: -50, max: 50 }),
      fc.constantFrom('a', 'aa', 'b', '\u00e9', '\uffee', '\u{10000}', 'a b'),
      fc.tuple(fc.constantFrom('a', 'b'), fc.oneof(fc.nat(20), fc.constantFrom('x', 'yy'))),
    );
    const range = fc.record(
      {
        start: key,
        end: key,
        reverse: fc.boolean(),
        limit: fc.integer({ min: 1, max: 9 }),
        offset: fc.nat(3),
      },
      { requiredKeys: [] },
    );
    let run = 0;
    await withEnvironment(factory(), 'compute', (environment) =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.record({ key, put: fc.boolean() }), { maxLength: 120 }),
          fc.array(range, { minLength: 1, maxLength: 5 }),
          async (writes, ranges) => {
            run += 1;
            const table = environment.table<number>({ name: `p${run % 8}`, encoding: 'msgpack' });
            environment.write((batch) => {
              for (const old of table.keys()) batch.remove(table, old);
            });
            const model: Key[] = [];
            environment.write((batch) => {
              for (const write of writes) {
                const at = model.findIndex((other) => compareKeys(other, write.key) === 0);
                if (at >= 0) model.splice(at, 1);
                if (write.put) {
                  model.push(write.key);
                  batch.put(table, write.key, 1);
                } else batch.remove(table, write.key);
              }
            });
            await environment.committed();
            model.sort(compareKeys);
            assert.equal(table.size(), model.length);
            for (const options of ranges) {
              const down = options.reverse === true;
              const expected = (down ? model.toReversed() : model).filter((k) => {
                const fromStart = options.start === undefined ? 0 : compareKeys(k, options.start);
                const toEnd = options.end === undefined ? (down ? 1 : -1) : compareKeys(k, options.end);
                return down ? fromStart <= 0 && toEnd > 0 : fromStart >= 0 && toEnd < 0;
              });
              const offset = options.offset ?? 0;
              const page = expected.slice(offset, offset + (options.limit ?? expected.length));
              assert.deepEqual(table.keys(options), page, JSON.stringify(options));
            }
          },
        ),
        { numRuns: 60 },
      ),
    );
  });

  it('refuses everything after close', async () => {
    const environment = await factory().open('compute');
    const table = environment.table<number>(rowsTable);
    environment.write((batch) => batch.put(table, 'a', 1));
    await environment.close();
    await environment.close();
    assert.throws(() => environment.write((batch) => batch.put(table, 'a', 2)), { code: 'StoreFailed' });
  });
}

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

function computeContract(factory: () => StoreFactory): void {
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
      assert.equal(store.firstSeq(), row?.seq);
      const [pending] = store.outbox.pending({ limit: 10 });
      assert.equal(pending?.message.type, 'ExecutionStarted');
      assert.equal(pending?.to, TEST_NODE);
      store.outbox.remove([pending?.seq ?? 0]);
      await store.committed();
      assert.deepEqual(store.outbox.pending({ limit: 10 }), []);
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

function requesterContract(factory: () => StoreFactory): void {
  it('writes job, executions, evaluations, history and outbox of a change together', () =>
    withRequester(factory(), async (store) => {
      const job = testJob({ name: 'my job', labels: { a: 'b' } });
      const execution = testRequesterExecution({ jobId: job.id });
      const evaluation = testEvaluation({ jobId: job.id });
      store.transition({
        job: { from: null, record: job, spec: TEST_SPEC },
        executions: [{ from: null, record: execution }],
        evaluations: [evaluation],
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
        assert.deepEqual(store.evaluation(evaluation.id), evaluation, when);
        await store.flushed();
      }
      assert.equal(store.byName('other', 'my job'), undefined);
      assert.deepEqual(store.pendingEvaluations({ limit: 5 }), [evaluation]);
      assert.deepEqual(store.inProgress({ limit: 5 }), [job.id]);
      assert.equal(store.history(job.id, { offset: 0, limit: 9 }).length, 1);
      assert.equal(store.outbox.pending({ limit: 9 })[0]?.message.type, 'AskForBid');
      store.transition({ evaluations: [{ ...evaluation, status: 'complete' }] });
      assert.equal(store.evaluation(evaluation.id), undefined);
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
            for (const evaluation of evaluations) store.transition({ evaluations: [evaluation] });
            if (plan.length % 2 === 0) await store.committed();
            for (const [i, evaluation] of evaluations.entries()) {
              const fate = plan[i]?.fate;
              if (fate === 'wake') store.transition({ evaluations: [{ ...evaluation, status: 'pending' }] });
              if (fate === 'end') store.transition({ evaluations: [{ ...evaluation, status: 'complete' }] });
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
            for (const evaluation of evaluations) {
              store.transition({ evaluations: [{ ...evaluation, status: 'cancelled' }] });
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
