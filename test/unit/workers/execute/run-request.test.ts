import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { Resources, ResourcesConfig } from '../../../../src/core/job.ts';
import type { ExecuteInput } from '../../../../src/workers/execute/protocol.ts';
import { buildRunRequest } from '../../../../src/workers/execute/run-request.ts';
import { codeIs } from '../../../contract/engine.ts';
import { runRequest } from '../../../support/run-request.ts';

const options = {
  maxStreamBytes: 10,
  maxResultBytes: 20,
  envAllowList: ['HOME', 'LC_*', 'UNSET'],
  hostEnv: { HOME: '/root', LC_ALL: 'C', SECRET: 'x' },
};

async function input(
  t: TestContext,
  env: Record<string, string>,
  resources?: Partial<Resources>,
  asked: ResourcesConfig = {},
): Promise<ExecuteInput> {
  const task = { Env: env, Resources: asked };
  const made = await runRequest(t, { engine: 'docker', task, ...(resources && { resources }) });
  const spec = new TextEncoder().encode(JSON.stringify(made.spec));
  return { header: made.header, spec, placement: made.placement, gpus: [] };
}

describe('buildRunRequest', () => {
  it('adds what the node says to what the task says', async (t) => {
    const given = await input(t, { A: '1', B: 'env:HOME', C: 'env:LC_ALL', D: 'env' });
    const request = buildRunRequest(given, [], options);
    assert.deepEqual(request.env, {
      A: '1',
      B: '/root',
      C: 'C',
      D: 'env',
      BACALHAU_EXECUTION_ID: given.header.executionId,
      BACALHAU_JOB_ID: given.header.jobId,
      BACALHAU_JOB_TYPE: 'batch',
      BACALHAU_PARTITION_INDEX: '0',
      BACALHAU_PARTITION_COUNT: '1',
    });
    assert.equal(request.resultsDirectory, `${given.placement.directory}/results`);
    assert.equal(request.maxStreamBytes, 10);
  });

  it('limits inputs and results to the disk that was asked for, else to the default', async (t) => {
    const asked = await input(t, {}, { disk: 5000 }, { Disk: '5kb' });
    assert.equal(buildRunRequest(asked, [], options).maxResultBytes, 5000);
    const raised = await input(t, {}, { disk: 7000 }, { Disk: '5kb' });
    assert.equal(buildRunRequest(raised, [], options).maxResultBytes, 7000, 'its inputs are larger');
    const unasked = await input(t, {}, { disk: 7 });
    assert.equal(buildRunRequest(unasked, [], options).maxResultBytes, 20, 'what inputs take is no limit');
  });

  for (const [what, env] of [
    ['a variable outside the allow-list', { A: 'env:SECRET' }],
    ['a variable the host does not have', { A: 'env:UNSET' }],
    ['a name of an object property', { A: 'env:LC_constructor' }],
    ['a name that is reserved', { BACALHAU_JOB_ID: 'mine' }],
  ] as const) {
    it(`refuses ${what}`, async (t) => {
      const given = await input(t, env);
      assert.throws(() => buildRunRequest(given, [], options), codeIs('ValidationFailed'));
    });
  }
});
