import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { EXECUTION_ID, exampleRecord, exampleSpec, JOB_ID } from '../../../support/api-doubles.ts';
import { Asker, raises, routerOf } from '../../../support/ask.ts';

const JOBS = '/api/v1/orchestrator/jobs';

let asker: Asker;
let requester: Asker['requester'];
let ingest: Asker['ingest'];
let compute: Asker['compute'];

const ask: Asker['ask'] = (...given) => asker.ask(...given);
const lastCall = (): unknown[] => asker.lastCall();

beforeEach(() => {
  asker = new Asker();
  ({ requester, ingest, compute } = asker);
});

describe('routes by role', () => {
  it('are not there without the role', () => {
    const bare = routerOf({});
    assert.equal(bare.find('GET', '/api/v1/agent/alive').entry.route.path, '/api/v1/agent/alive');
    for (const [method, path] of [
      ['GET', JOBS],
      ['GET', '/api/v1/auth'],
      ['GET', '/api/v1/orchestrator/nodes'],
      ['GET', '/api/v1/compute/executions'],
      ['GET', `/results/${EXECUTION_ID}.tar.gz`],
    ] as const) {
      assert.throws(() => bare.find(method, path), raises('RouteNotFound'), path);
    }
    assert.throws(() => routerOf({ compute }).find('GET', JOBS), raises('RouteNotFound'));
    assert.throws(
      () => routerOf({ requester, ingest }).find('GET', '/api/v1/compute/executions'),
      raises('RouteNotFound'),
    );
  });

  it('tell whole paths from parameters', () => {
    const router = routerOf({ requester, ingest, compute });
    assert.equal(router.find('PUT', `${JOBS}/diff`).entry.route.path, `${JOBS}/diff`);
    assert.equal(router.find('GET', `${JOBS}/a%2Fb`).params['id'], 'a/b');
    assert.equal(router.find('HEAD', JOBS).entry.route.method, 'GET');
    assert.throws(() => router.find('GET', `${JOBS}/`), raises('RouteNotFound'));
    assert.throws(() => router.find('GET', `${JOBS}/x/nope`), raises('RouteNotFound'));
    assert.throws(() => router.find('PATCH', JOBS), raises('MethodNotAllowed'));
  });
});

describe('jobs', () => {
  it('are submitted by PUT and POST; no warnings are null', async () => {
    ingest.result = { jobId: JOB_ID, evaluationId: 'e', warnings: ['job state is ignored'] };
    assert.deepEqual((await ask('PUT', JOBS, { body: '{}' })).body, {
      JobID: JOB_ID,
      EvaluationID: 'e',
      Warnings: ['job state is ignored'],
    });
    ingest.result = { ...ingest.result, warnings: [] };
    assert.deepEqual((await ask('POST', JOBS, { body: '{}' })).body, {
      JobID: JOB_ID,
      EvaluationID: 'e',
      Warnings: null,
    });
  });

  it('are listed with the token’s order over the query’s', async () => {
    requester.more = true;
    const first = await ask('GET', `${JOBS}?limit=1&order_by=created_at&reverse=True&labels=a%3Db&labels=`);
    assert.deepEqual(lastCall(), [
      { namespace: '*', labels: ['a=b'], offset: 0, limit: 1, orderBy: 'created_at', reverse: true },
    ]);
    const { NextToken: token } = first.body as { NextToken: string };
    await ask('GET', `${JOBS}?limit=50&namespace=ops&next_token=${token}`);
    assert.deepEqual(lastCall(), [
      { namespace: 'ops', labels: [], offset: 1, limit: 1, orderBy: 'created_at', reverse: true },
    ]);
    await ask('GET', `${JOBS}?limit=4000000000`);
    assert.equal((lastCall()[0] as { limit: number }).limit, 1000);
    await assert.rejects(ask('GET', `${JOBS}?order_by=nonsense`), raises('BadQuery'));
  });

  it('are listed under the old name too for clients before v1.4, and for those that do not say', async () => {
    const keys = async (version: string): Promise<string[]> =>
      Object.keys(
        (await ask('GET', JOBS, { headers: { 'x-bacalhau-git-version': version } })).body as object,
      );
    assert.deepEqual(await keys('v1.9.3'), ['NextToken', 'Items']);
    assert.deepEqual(await keys('v1.4.0'), ['NextToken', 'Items']);
    assert.deepEqual(await keys('v0.0.0-xxxxxxx'), ['NextToken', 'Items']);
    assert.deepEqual(await keys('v0.1.0'), ['NextToken', 'Items']);
    assert.deepEqual(await keys('v1.3.2'), ['NextToken', 'Items', 'Jobs']);
    assert.deepEqual(await keys(''), ['NextToken', 'Items', 'Jobs']);
  });

  it('are shown with what is asked for', async () => {
    const { body } = await ask(
      'GET',
      `${JOBS}/abc?include=executions,history,nonsense&job_version=2&namespace=ops`,
    );
    assert.deepEqual(Object.keys(body as object), ['Job', 'History', 'Executions']);
    assert.deepEqual(requester.calls[0], { method: 'job', arguments: ['abc', 'ops', 2] });
    assert.deepEqual(Object.keys((await ask('GET', `${JOBS}/abc?include=`)).body as object), ['Job']);
    assert.deepEqual(lastCall(), ['abc', 'default', undefined]);
  });

  it('are stopped with a reason from the body, in any letter case, or from the query', async () => {
    await ask('DELETE', `${JOBS}/x`, { body: '{"REASON":"because","namespace":"ops","Credential":null}' });
    assert.deepEqual(lastCall(), ['x', 'ops', 'because']);
    await ask('POST', `${JOBS}/x?reason=None&namespace=n`, { body: '{}' });
    assert.deepEqual(lastCall(), ['x', 'n', '']);
    assert.deepEqual((await ask('DELETE', `${JOBS}/x?reason=r`)).body, { EvaluationID: 'eval-1' });
    assert.deepEqual(lastCall(), ['x', 'default', 'r']);
    for (const body of ['{"reason":5}', '[1]', '{', '\u00ff']) {
      await assert.rejects(ask('DELETE', `${JOBS}/x`, { body }), raises('MalformedBody'), body);
    }
  });

  it('are run again', async () => {
    const { body } = await ask('PUT', `${JOBS}/x/rerun`, {
      body: '{"jobversion":3,"Reason":"r","Namespace":null}',
    });
    assert.deepEqual(body, { JobID: JOB_ID, JobVersion: 2, EvaluationID: 'eval-1', Warnings: null });
    assert.deepEqual(lastCall(), ['x', 'default', 3, 'r']);
    await assert.rejects(
      ask('PUT', `${JOBS}/x/rerun`, { body: '{"JobVersion":-1}' }),
      raises('MalformedBody'),
    );
  });

  it('are compared by name only', async () => {
    assert.deepEqual((await ask('PUT', `${JOBS}/diff`, { body: '{}' })).body, { Diff: '+a', Warnings: [] });
    ingest.name = JOB_ID;
    await assert.rejects(ask('PUT', `${JOBS}/diff`, { body: '{}' }), raises('ValidationFailed'));
  });

  it('make a page that ends early when they are large', async () => {
    const spec = { ...exampleSpec(), Meta: { large: 'x'.repeat(6_000_000) } };
    requester.views = Array.from({ length: 4 }, () => ({ record: exampleRecord(), spec }));
    const { body } = await ask('GET', `${JOBS}?limit=10`);
    const { Items: items, NextToken: token } = body as { Items: unknown[]; NextToken: string };
    assert.equal(items.length, 2);
    assert.equal(Buffer.from(token, 'base64url').toString(), ':N:10:2');
  });
});

describe('the handshake', () => {
  it('refuses what proves nothing, and methods that it does not have', async () => {
    for (const data of [
      '',
      '!!!',
      Buffer.from('{}').toString('base64'),
      Buffer.from('{"PublicKey":"AA==","PhraseSignature":"AA=="}').toString('base64'),
    ]) {
      const { status, body } = await ask('POST', '/api/v1/auth/clientkey', {
        body: JSON.stringify({ MethodData: data }),
      });
      assert.equal(status, 401);
      assert.equal((body as { Authentication: { success: boolean } }).Authentication.success, false);
    }
    await assert.rejects(ask('POST', '/api/v1/auth/password', { body: '{}' }), raises('RouteNotFound'));
  });
});
