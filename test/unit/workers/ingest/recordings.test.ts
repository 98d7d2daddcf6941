import assert from 'node:assert/strict';
import { test } from 'node:test';
import { faultsOf, submit } from '../../../support/ingest.ts';
import { loadRecordings, recordingsFolder } from '../../../support/recordings.ts';

type Stored = Record<string, unknown> & { ID: string; Meta: Record<string, string> };

const recordings = loadRecordings();

/** Jobs as Bacalhau 1.9.3 stored them, by id. */
function storedJobs(): Map<string, Stored> {
  const jobs = new Map<string, Stored>();
  for (const { responseBody } of recordings ?? []) {
    const { Job: job } = (responseBody ?? {}) as { Job?: Stored };
    if (job?.ID !== undefined && !jobs.has(job.ID)) jobs.set(job.ID, job);
  }
  return jobs;
}

test('recorded submissions become the jobs the original stored', (t) => {
  if (recordings === undefined) {
    console.log(`SKIPPED: no recordings in ${recordingsFolder}`);
    t.skip(`no recordings in ${recordingsFolder}`);
    return;
  }
  const stored = storedJobs();
  let compared = 0;
  for (const { file, method, path, status, requestBody, responseBody } of recordings) {
    if (method !== 'PUT' || path !== '/api/v1/orchestrator/jobs' || status !== 200) continue;
    const answer = responseBody as { JobID: string; Warnings: unknown };
    const expected = stored.get(answer.JobID);
    const { job, warnings } = submit(requestBody);
    assert.deepEqual(warnings, answer.Warnings ?? [], file);
    // The second version of a job: what is stored under its id is the first.
    if (expected === undefined || file.startsWith('69')) continue;
    const ours = { ...job, ID: expected.ID, Meta: expected.Meta };
    if (expected['Name'] === expected.ID) ours.Name = expected.ID;
    const { State: _s, Version: _v, Revision: _r, CreateTime: _c, ModifyTime: _m, ...theirs } = expected;
    assert.equal(JSON.stringify(ours), JSON.stringify(theirs), file);
    const own = new Set(['bacalhau.org/client.instance.id']);
    const keys = (meta: object): string[] => Object.keys(meta).filter((key) => !own.has(key));
    assert.deepEqual(keys(job.Meta), keys(expected.Meta), file);
    compared += 1;
  }
  assert.ok(compared >= 10, `only ${compared} compared`);
});

test('recorded refusals are refused, with the original words in ours', (t) => {
  if (recordings === undefined) {
    t.skip(`no recordings in ${recordingsFolder}`);
    return;
  }
  let compared = 0;
  for (const { file, method, path, status, requestBody, responseBody } of recordings) {
    if (method !== 'PUT' || path !== '/api/v1/orchestrator/jobs' || status !== 400) continue;
    if (typeof requestBody === 'string' || file.startsWith('96')) continue;
    const faults = faultsOf(requestBody).join('\n');
    for (const line of (responseBody as { Message: string }).Message.split('\n')) {
      assert.ok(faults.includes(line), `${file}: ${line} is not in ${faults}`);
    }
    compared += 1;
  }
  assert.ok(compared >= 3, `only ${compared} compared`);
});
