import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NodeError } from '../../../../src/core/errors.ts';
import { newExecutionId } from '../../../../src/core/ids.ts';
import type { ExecutionHeader } from '../../../../src/core/item.ts';
import type { JobSpec } from '../../../../src/core/job.ts';
import { checkAsk } from '../../../../src/workers/checks/ask.ts';
import { INGEST_OPTIONS, smallJob, submit } from '../../../support/ingest.ts';

type Ask = Parameters<typeof checkAsk>[0] & { readonly spec: Uint8Array };

function ask(job: unknown, change: Partial<Ask> = {}): ExecutionHeader {
  const { spec, ...ids } = {
    executionId: newExecutionId(),
    jobId: (job as JobSpec).ID,
    jobVersion: 2,
    requesterId: 'requester',
    spec: new TextEncoder().encode(JSON.stringify(job)),
    ...change,
  };
  return checkAsk(ids, spec, INGEST_OPTIONS.defaultResources).header;
}

function refused(job: unknown, text: RegExp, change: Partial<Ask> = {}): void {
  assert.throws(
    () => ask(job, change),
    (error) => error instanceof NodeError && text.test(error.message),
    String(text),
  );
}

test('a stored job becomes a header; its own resources win over the defaults', () => {
  const { job } = submit(
    smallJob(
      {
        Resources: { CPU: '0', Memory: '1gb', GPU: '2' },
        Timeouts: { TotalTimeout: 300, QueueTimeout: 5 },
        Publisher: { Type: 'IPFS' },
      },
      { Priority: 7 },
    ),
  );
  const header = ask(job);
  assert.deepEqual(header.resources, { cpu: 0.5, memory: 1e9, disk: 0, gpu: 2 });
  assert.equal(header.executionTimeoutMs, 300_000, 'falls back to the total');
  assert.equal(header.totalTimeoutMs, 300_000);
  assert.equal(header.queueTimeoutMs, 5000);
  assert.equal(header.publisher, 'ipfs');
  assert.equal(header.priority, 7);
  assert.equal(header.jobVersion, 2);
});

test('a field this version does not know is no fault', () => {
  const { job } = submit(smallJob());
  ask({ ...job, FromTheFuture: { a: 1 } });
});

test('what no requester would have stored is refused', () => {
  const { job } = submit(smallJob());
  const [task] = job.Tasks;
  refused({ ...job, Tasks: [task, task] }, /Job\.Tasks: expected exactly one task/);
  refused({ ...job, Constraints: null }, /Job\.Constraints: is not in its normal form/);
  refused(
    { ...job, Tasks: [{ ...task, Network: null }] },
    /Job\.Tasks\[0\]\.Network: is not in its normal form/,
  );
  refused(
    { ...job, Tasks: [{ ...task, ResultPaths: [{ Name: '../../x', Path: '/x' }] }] },
    /ResultPaths\[0\]\.Name/,
  );
  refused({ ...job, tasks: [{ ...task, Name: 'other' }] }, /normal form/);
  refused([], /Job: expected an object/, { jobId: job.ID });
});

test('ids become paths, so they are whole', () => {
  const { job } = submit(smallJob());
  refused(job, /executionId: expected "e-<uuid>"/, { executionId: '../../etc' });
  refused(job, /executionId/, { executionId: job.ID });
  refused({ ...job, ID: 'j-x' }, /jobId: expected "j-<uuid>"/);
  refused(job, /Job\.ID: expected the id/, { jobId: submit(smallJob()).job.ID });
  refused(job, /not JSON/, { spec: new TextEncoder().encode('{') });
});
