import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RecentJobs } from '../../../src/store/recent-jobs.ts';
import { testEvaluation, testJob, testRequesterExecution } from '../../support/store-records.ts';

describe('jobs written lately', () => {
  it('are seen with all that belongs to them, the last word of each', () => {
    const recent = new RecentJobs(100);
    const job = testJob();
    const first = testRequesterExecution({ jobId: job.id });
    const second = testRequesterExecution({ jobId: job.id });
    const evaluation = testEvaluation({ jobId: job.id });
    recent.put({
      job: { from: null, record: job },
      executions: [
        { from: null, record: first },
        { from: null, record: second },
      ],
    });
    recent.put({ evaluations: [{ from: null, record: evaluation }] });
    const moved = { ...first, revision: 2 };
    recent.put({ executions: [{ from: 'New', record: moved }] });
    assert.equal(recent.job(job.id), job);
    assert.equal(recent.execution(job.id, first.id), moved);
    assert.deepEqual(recent.executions(job.id), [moved, second]);
    assert.equal(recent.evaluation(job.id, evaluation.id), evaluation);
    assert.equal(recent.execution('another', first.id), undefined);
    assert.deepEqual(recent.executions('another'), []);
  });

  it('are forgotten when two commits have passed over them, and only past the limit', () => {
    const recent = new RecentJobs(2);
    const job = testJob();
    const early = testRequesterExecution({ jobId: job.id });
    const late = testRequesterExecution({ jobId: job.id });
    recent.put({ job: { from: null, record: job }, executions: [{ from: null, record: early }] });
    recent.age();
    recent.age();
    assert.equal(recent.job(job.id), job);
    recent.put({ executions: [{ from: null, record: late }] });
    recent.age();
    const moved = { ...late, revision: 2 };
    recent.put({ executions: [{ from: 'New', record: moved }] });
    assert.equal(recent.job(job.id), job);
    assert.equal(recent.execution(job.id, late.id), moved);
    assert.deepEqual(recent.executions(job.id).at(-1), moved);
    recent.put({});
    recent.age();
    // What was written of the job since does not keep what was written before.
    assert.equal(recent.job(job.id), undefined);
    assert.equal(recent.execution(job.id, early.id), undefined);
    assert.deepEqual(recent.executions(job.id), [moved]);
  });
});
