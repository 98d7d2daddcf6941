import type { NodeId } from '../../src/core/ids.ts';
import { newExecutionId, newJobId } from '../../src/core/ids.ts';
import type { JobSpec } from '../../src/core/job.ts';
import { createComputeStore } from '../../src/store/environment-compute-store.ts';
import { createRequesterStore } from '../../src/store/environment-requester-store.ts';
import { openLmdbEnvironment } from '../../src/store/lmdb-environment.ts';
import type { HistoryInput } from '../../src/store/records.ts';
import {
  TEST_SPEC,
  testExecution,
  testHistory,
  testJob,
  testRequesterExecution,
} from '../../test/support/store-records.ts';

/** Jobs of one commit; while it is under way, the next are made. */
const BATCH = 4000;

/** Fills the stores of a node that does not run with jobs that ended, as a life of it would have left them. */
export async function fillWithEnded(dataDir: string, nodeId: NodeId, count: number): Promise<void> {
  let seq = 0;
  const nextSeq = (): number => (seq += 1);
  const open = (role: 'compute' | 'requester', file: string): ReturnType<typeof openLmdbEnvironment> =>
    openLmdbEnvironment({ path: `${dataDir}/${nodeId}-${role}/${file}`, role, nodeId });
  const jobs = createRequesterStore({ environment: await open('requester', 'jobs.db'), nextSeq });
  const executions = createComputeStore({ environment: await open('compute', 'executions.db'), nextSeq });
  const template = JSON.parse(new TextDecoder().decode(TEST_SPEC)) as JobSpec;
  const encoder = new TextEncoder();
  let written: Promise<unknown> = Promise.resolve();
  for (let done = 0; done < count; done += 1) {
    const [jobId, executionId] = [newJobId(), newExecutionId()];
    const spec = encoder.encode(JSON.stringify({ ...template, ID: jobId, Name: jobId }));
    const row = (from: string, to: string): HistoryInput =>
      testHistory({ jobId, executionId, nodeId, from, to });
    const job = testJob({ id: jobId, name: jobId });
    const asked = testRequesterExecution({
      id: executionId,
      jobId,
      nodeId,
      computeState: { type: 'AskForBid', message: '' },
    });
    jobs.transition({
      job: { from: null, record: job, spec },
      executions: [{ from: null, record: asked }],
      history: [row('', 'Pending'), row('New', 'AskForBid')],
    });
    jobs.transition({
      job: { from: 'Pending', record: { ...job, state: { type: 'Completed', message: '' } } },
      executions: [
        { from: 'AskForBid', record: { ...asked, computeState: { type: 'Completed', message: '' } } },
      ],
      history: [row('Pending', 'Running'), row('AskForBid', 'Completed'), row('Running', 'Completed')],
    });
    const record = testExecution({ jobId, executionId });
    executions.transition({ from: null, record, spec, history: [row('', 'Created')] });
    const accepted = { ...record, state: 'BidAccepted' } as const;
    executions.transition({ from: 'Created', record: accepted, history: [row('Created', 'BidAccepted')] });
    const ended = { ...record, state: 'Completed' } as const;
    executions.transition({ from: 'BidAccepted', record: ended, history: [row('Running', 'Completed')] });
    if (done % BATCH !== 0) continue;
    await written;
    written = Promise.all([jobs.flushed(), executions.flushed()]);
    // Commits begin between two turns of the loop.
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all([jobs.close(), executions.close()]);
}
