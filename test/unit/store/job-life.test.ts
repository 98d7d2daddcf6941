import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { newExecutionId, newJobId } from '../../../src/core/ids.ts';
import { createSequencer } from '../../../src/events/seq.ts';
import type { ComputeStore } from '../../../src/store/compute-store.ts';
import type { Environment, WriteBatch } from '../../../src/store/environment.ts';
import { createComputeStore } from '../../../src/store/environment-compute-store.ts';
import { createRequesterStore } from '../../../src/store/environment-requester-store.ts';
import { openLmdbEnvironment } from '../../../src/store/lmdb-environment.ts';
import { encodeValue, type NamedTable } from '../../../src/store/recorder.ts';
import type { HistoryInput } from '../../../src/store/records.ts';
import type { RequesterStore } from '../../../src/store/requester-store.ts';
import {
  TEST_NODE,
  TEST_SPEC,
  testExecution,
  testHistory,
  testJob,
  testRequesterExecution,
} from '../../support/store-records.ts';

/** Jobs that go through their lives side by side, as on a busy node. */
const JOBS = 20;

interface Count {
  operations: number;
  bytes: number;
}

/** An environment that counts what is written into it. */
function counting(environment: Environment, count: Count): Environment {
  const counted =
    (change: (batch: WriteBatch) => void) =>
    (batch: WriteBatch): void =>
      change({
        put(table, key, value) {
          count.operations += 1;
          count.bytes += encodeValue((table as NamedTable<unknown>).spec, value).length;
          batch.put(table, key, value);
        },
        remove(table, key) {
          count.operations += 1;
          batch.remove(table, key);
        },
      });
  return {
    kind: environment.kind,
    path: environment.path,
    table: (spec) => environment.table(spec),
    write: (change) => environment.write(counted(change)),
    writeLater: (change) => environment.writeLater(counted(change)),
    committed: () => environment.committed(),
    flushed: () => environment.flushed(),
    beforeCommit: (hook) => environment.beforeCommit(counted(hook)),
    failure: () => environment.failure(),
    close: () => environment.close(),
  };
}

type Step = (stores: { readonly jobs: RequesterStore; readonly executions: ComputeStore }) => void;

/** What both roles of a node write of a job that is asked of the node at once, accepted, and run. */
function lifeOf(): readonly Step[] {
  const [jobId, executionId] = [newJobId(), newExecutionId()];
  const row = (from: string, to: string, topic: string): HistoryInput =>
    testHistory({ jobId, executionId, from, to, topic });
  const ofJob = (from: string, to: string): HistoryInput =>
    testHistory({ jobId, from, to, topic: 'State Update' });
  const job = testJob({ id: jobId });
  const asked = testRequesterExecution({
    id: executionId,
    jobId,
    computeState: { type: 'AskForBid', message: '' },
  });
  const placed = { ...asked, computeState: { type: 'BidAccepted', message: 'Accepted' } } as const;
  const bid = testExecution({ jobId, executionId });
  const accepted = { ...bid, state: 'BidAccepted' } as const;
  return [
    ({ jobs }) =>
      jobs.transition({
        job: { from: null, record: job, spec: TEST_SPEC },
        executions: [{ from: null, record: asked }],
        history: [ofJob('', 'Pending'), row('New', 'AskForBid', 'Scheduling')],
      }),
    ({ executions }) =>
      executions.transition({
        from: null,
        record: bid,
        spec: TEST_SPEC,
        history: [row('', 'Created', 'Bidding')],
      }),
    ({ jobs }) =>
      jobs.transition({
        job: { from: 'Pending', record: { ...job, state: { type: 'Running', message: '' } } },
        executions: [{ from: 'AskForBid', record: placed }],
        history: [
          ofJob('Pending', 'Running'),
          { ...row('AskForBid', 'BidAccepted', 'Bidding'), unlisted: true },
        ],
      }),
    ({ executions }) =>
      executions.transition({
        from: 'Created',
        record: accepted,
        history: [row('Created', 'BidAccepted', 'Bidding')],
      }),
    ({ executions }) =>
      executions.transition({
        from: 'BidAccepted',
        record: { ...accepted, state: 'Completed' },
        history: [row('BidAccepted', 'Running', 'Execution'), row('Running', 'Completed', 'Execution')],
      }),
    ({ jobs }) =>
      jobs.transition({
        job: { from: 'Running', record: { ...job, state: { type: 'Completed', message: '' } } },
        executions: [
          { from: 'BidAccepted', record: { ...placed, computeState: { type: 'Completed', message: '' } } },
        ],
        history: [
          row('BidAccepted', 'Running', 'Execution'),
          row('Running', 'Completed', 'Execution'),
          ofJob('Running', 'Completed'),
        ],
      }),
  ];
}

it('a job costs so many operations of the two stores, and no more', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'bacalhau-life-'));
  const sequencer = createSequencer(0);
  const common = { nextSeq: () => sequencer.next(), ownNode: TEST_NODE };
  const open = async (role: 'compute' | 'requester', count: Count): Promise<Environment> =>
    counting(await openLmdbEnvironment({ path: join(directory, role), role, nodeId: TEST_NODE }), count);
  const counts = { requester: { operations: 0, bytes: 0 }, compute: { operations: 0, bytes: 0 } };
  try {
    const environments = {
      requester: await open('requester', counts.requester),
      compute: await open('compute', counts.compute),
    };
    const jobs = createRequesterStore({ environment: environments.requester, ...common });
    const executions = createComputeStore({ environment: environments.compute, ...common });
    const lives = Array.from({ length: JOBS }, lifeOf);
    for (let step = 0; step < 6; step += 1) {
      for (const life of lives) life[step]?.({ jobs, executions });
      await Promise.all([jobs.flushed(), executions.flushed()]);
    }
    assert.deepEqual([jobs.counts().Completed, executions.counts().Completed], [JOBS, JOBS]);
    await Promise.all([jobs.close(), executions.close()]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  // Three transactions of each store, with a row of counters each and a chunk of history, but the bids' keep theirs.
  assert.deepEqual(
    { requester: counts.requester.operations, compute: counts.compute.operations },
    { requester: (11 + 3) * JOBS + 3 * 2, compute: (7 + 2) * JOBS + 3 + 2 },
  );
  const bytes = (counts.requester.bytes + counts.compute.bytes) / JOBS;
  assert.ok(bytes < 2900, `${bytes} bytes a job`);
});
