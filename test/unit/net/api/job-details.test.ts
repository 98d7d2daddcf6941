import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { EXECUTION_ID, exampleRecord, exampleSpec, JOB_ID } from '../../../support/api-doubles.ts';
import { Asker, raises } from '../../../support/ask.ts';

const JOBS = '/api/v1/orchestrator/jobs';

let asker: Asker;
let requester: Asker['requester'];

const ask: Asker['ask'] = (...given) => asker.ask(...given);
const lastCall = (): unknown[] => asker.lastCall();

beforeEach(() => {
  asker = new Asker();
  ({ requester } = asker);
});

describe('history', () => {
  const row = {
    seq: 900,
    seqNum: 3,
    time: 1_795_361_244_852_134,
    role: 'requester',
    level: 'execution',
    jobId: JOB_ID,
    jobVersion: 1,
    executionId: EXECUTION_ID,
    nodeId: 'n',
    from: 'New',
    to: 'AskForBid',
    topic: 'Scheduling',
    message: 'Requested execution on n',
    details: { NodeID: 'n' },
  } as const;

  it('has a token while more may come, and none when nothing will', async () => {
    requester.page = { items: [row], nextOffset: 3 };
    const live = (await ask('GET', `${JOBS}/x/history?limit=2`)).body as {
      NextToken: string;
      Items: unknown[];
    };
    assert.equal(Buffer.from(live.NextToken, 'base64url').toString(), ':N:2:3');
    assert.deepEqual(live.Items, [
      {
        SeqNum: 3,
        Type: 'ExecutionLevel',
        JobID: JOB_ID,
        JobVersion: 1,
        ExecutionID: EXECUTION_ID,
        Event: {
          Message: 'Requested execution on n',
          Topic: 'Scheduling',
          Timestamp: '2026-11-22T15:27:24.852134Z',
          Details: { NodeID: 'n' },
        },
        Time: '2026-11-22T15:27:24.852134Z',
      },
    ]);
    requester.page = { items: [], nextOffset: 3 };
    const idle = (await ask('GET', `${JOBS}/x/history?next_token=${live.NextToken}`)).body as {
      NextToken: string;
    };
    assert.equal(idle.NextToken, live.NextToken);
    requester.page = { items: [], nextOffset: undefined };
    assert.equal(((await ask('GET', `${JOBS}/x/history`)).body as { NextToken: string }).NextToken, '');
  });

  it('passes its filters on; the query’s limit counts more than the token’s', async () => {
    const token = Buffer.from(':N:7:4').toString('base64url');
    await ask(
      'GET',
      `${JOBS}/x/history?event_type=job&execution_id=e-1&since=5&all_job_versions=true&job_version=2&next_token=${token}`,
    );
    const query = {
      since: 5,
      eventType: 'job',
      executionId: 'e-1',
      jobVersion: 2,
      allVersions: true,
      limit: 7,
      offset: 4,
    };
    assert.deepEqual(lastCall(), ['x', 'default', query]);
    await ask('GET', `${JOBS}/x/history?limit=9&next_token=${token}`);
    assert.equal((lastCall()[2] as { limit: number }).limit, 9);
    await ask('GET', `${JOBS}/x/history?event_type=`);
    assert.equal((lastCall()[2] as { limit: number }).limit, 100);
    await assert.rejects(ask('GET', `${JOBS}/x/history?event_type=node`), raises('BadQuery'));
    await assert.rejects(ask('GET', `${JOBS}/x/history?since=-1`), raises('BadQuery'));
  });

  it('has state changes for clients that follow them without a look', async () => {
    requester.page = {
      items: [row, { ...row, level: 'job', to: 'Running', from: '' }],
      nextOffset: undefined,
    };
    const items = async (version: string): Promise<Record<string, unknown>[]> =>
      (
        (await ask('GET', `${JOBS}/x/history`, { headers: { 'x-bacalhau-git-version': version } })).body as {
          Items: Record<string, unknown>[];
        }
      ).Items;
    const [execution, job] = await items('v1.4.0');
    assert.deepEqual(execution?.['ExecutionState'], { Previous: 0, New: 0 });
    assert.deepEqual(job?.['JobState'], { Previous: 'Undefined', New: 'Running' });
    assert.equal((await items('v1.5.0'))[0]?.['ExecutionState'], undefined);
  });
});

describe('executions', () => {
  it('carry the version of the job that they belong to', async () => {
    const execution = (version: number): (typeof requester.rows)[number] => ({
      id: EXECUTION_ID,
      jobId: JOB_ID,
      jobVersion: version,
      evaluationId: 'ev',
      namespace: 'default',
      name: '',
      nodeId: 'n',
      computeState: { type: 'Failed', message: 'no', details: { a: 'b' } },
      desiredState: { type: 'Stopped', message: '' },
      resources: { cpu: 0.5, memory: 1, disk: 0, gpu: 0 },
      published: { Type: '' },
      runOutput: null,
      revision: 2,
      createTime: 1,
      modifyTime: 2,
    });
    requester.rows = [execution(1), execution(2)];
    requester.views = [1, 2].map((version) => ({
      record: { ...exampleRecord(), version },
      spec: exampleSpec(),
    }));
    const { body } = await ask(
      'GET',
      `${JOBS}/x/executions?all_job_versions=1&order_by=modify_time&reverse=1&limit=5`,
    );
    const { Items: items } = body as {
      Items: { Job: { Version: number }; ComputeState: unknown; CreateTime: number }[];
    };
    assert.deepEqual(
      items.map((item) => item.Job.Version),
      [1, 2],
    );
    assert.deepEqual(items[0]?.ComputeState, { StateType: 10, Message: 'no', Details: { a: 'b' } });
    assert.equal(items[0]?.CreateTime, 1000);
    const query = requester.calls.find((call) => call.method === 'executions')?.arguments[2];
    assert.deepEqual(query, {
      version: 0,
      allVersions: true,
      orderBy: 'modified_at',
      reverse: true,
      limit: 5,
    });
    await assert.rejects(ask('GET', `${JOBS}/x/executions?order_by=id`), raises('BadQuery'));
  });

  it('of a job that is unknown are an error', async () => {
    requester.views = [];
    await assert.rejects(ask('GET', `${JOBS}/x/executions`), raises('JobNotFound'));
  });

  it('leave results out that nobody published', async () => {
    requester.published = [{ Type: '' }, { Type: 'urlDownload', Params: { URL: 'http://a/?b&c' } }];
    const { body } = await ask('GET', `${JOBS}/x/results`);
    assert.deepEqual(body, {
      NextToken: '',
      Items: [{ Type: 'urlDownload', Params: { URL: 'http://a/?b&c' } }],
    });
  });
});
