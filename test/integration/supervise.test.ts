import assert from 'node:assert/strict';
import { access, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import type { InputSource, Task } from '../../src/core/job.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { reapContainers } from '../../src/engines/docker/health.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import {
  type ExecuteInput,
  type ExecuteOptions,
  type ExecuteOutput,
  type ExecuteReport,
  type ExecuteRow,
  executeRow,
} from '../../src/workers/execute/protocol.ts';
import { Pool } from '../../src/workers/pool.ts';
import { containersOf, TEST_NODE, testDocker } from '../support/docker.ts';
import { runRequest } from '../support/run-request.ts';

type SupervisePool = Pool<ExecuteRow, ExecuteOutput, ExecuteReport>;

interface Supervised {
  readonly pool: SupervisePool;
  readonly reports: readonly (readonly [string, ExecuteReport['kind']])[];
  /** Runs an item on a thread; resolves with its outcome. */
  run(input: ExecuteInput): Promise<Outcome<ExecuteOutput>>;
  /** Resolves with the next or an earlier report of this kind on this item. */
  seen(id: string, kind: ExecuteReport['kind']): Promise<void>;
}

function supervised(t: TestContext, more: Partial<ExecuteOptions> = {}): Supervised {
  const outcomes = new Map<string, (outcome: Outcome<ExecuteOutput>) => void>();
  const reports: [string, ExecuteReport['kind']][] = [];
  const checks = new Set<() => void>();
  const options: ExecuteOptions = {
    nodeId: TEST_NODE,
    storages: {
      ipfsConnect: '',
      ipfsAuthorization: '',
      ipfsBlocks: '/nonexistent',
      allowListedLocalPaths: [],
      urlAllowList: [],
      urlTimeoutMs: 1000,
      urlRetries: 0,
    },
    dockerHost: '/nonexistent/docker.sock',
    acceptNetworked: false,
    allowHostNetwork: false,
    maxStreamBytes: 1_000_000,
    maxResultBytes: 1_000_000,
    envAllowList: [],
    hostEnv: {},
    dockerUsername: '',
    dockerPassword: '',
    ...more,
  };
  const pool: SupervisePool = new Pool(
    {
      name: 'supervise',
      file: new URL('../../src/workers/execute/supervise.worker.ts', import.meta.url),
      minThreads: 1,
      maxThreads: 1,
      batchesPerThread: 16,
      atomics: 'disabled',
      workerOptions: options,
    },
    {
      listener: {
        onOutcome: (id, outcome) => outcomes.get(id)?.(outcome),
        onReport: (id, report) => {
          reports.push([id, report.kind]);
          for (const check of checks) check();
        },
      },
      logger: createLogger({ level: 'silent', mode: 'json', colour: false }),
    },
  );
  t.after(() => pool.stop());
  return {
    pool,
    reports,
    run: (input) =>
      new Promise((resolve, reject) => {
        const id = input.header.executionId;
        outcomes.set(id, resolve);
        pool.run([{ id, input: executeRow(input) }]).catch(reject);
      }),
    seen: (id, kind) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (!reports.some(([of, is]) => of === id && is === kind)) return;
          checks.delete(check);
          resolve();
        };
        checks.add(check);
        check();
      }),
  };
}

async function input(
  t: TestContext,
  engine: string,
  params: Record<string, unknown>,
  task: Partial<Task> = {},
): Promise<ExecuteInput> {
  const request = await runRequest(t, { engine, params, task: { ...task, ResultPaths: [] } });
  request.spec.Tasks[0].ResultPaths = task.ResultPaths ?? [];
  await mkdir(join(request.placement.directory, 'inputs'));
  return {
    header: request.header,
    spec: new TextEncoder().encode(JSON.stringify(request.spec)),
    placement: request.placement,
    gpus: [],
  };
}

const HELLO: InputSource = {
  Source: { Type: 'inline', Params: { URL: 'data:text/plain;base64,aGVsbG8K' } },
  Alias: 'hello',
  Target: '/hello.txt',
};

function finished(outcome: Outcome<ExecuteOutput>): { stdout: string; exitCode: number } {
  assert.ok(outcome.kind === 'advance' && outcome.value.kind === 'finished', JSON.stringify(outcome));
  return { stdout: outcome.value.result.Stdout, exitCode: outcome.value.result.ExitCode };
}

describe('supervise worker', () => {
  it('runs mock jobs, many at once, with the environment of the node and the task', async (t) => {
    const { run, reports } = supervised(t);
    const names = ['BACALHAU_EXECUTION_ID', 'BACALHAU_JOB_ID', 'GREETING'];
    const inputs = await Promise.all(
      Array.from({ length: 20 }, () => input(t, 'mock', { PrintEnv: names }, { Env: { GREETING: 'hi' } })),
    );
    const outcomes = await Promise.all(inputs.map(run));
    for (const [index, outcome] of outcomes.entries()) {
      const { executionId, jobId } = inputs[index]?.header ?? { executionId: '', jobId: '' };
      const expected = `BACALHAU_EXECUTION_ID=${executionId}\nBACALHAU_JOB_ID=${jobId}\nGREETING=hi\n`;
      assert.equal(finished(outcome).stdout, expected);
    }
    assert.equal(reports.filter(([, kind]) => kind === 'running').length, 20);
    assert.ok(!reports.some(([, kind]) => kind === 'preparing'), 'there was nothing to prepare');
  });

  it('hands a WASM job on with its inputs prepared', async (t) => {
    const { run, reports } = supervised(t);
    const given = await input(
      t,
      'wasm',
      {},
      { InputSources: [HELLO], ResultPaths: [{ Name: 'out', Path: '/out' }] },
    );
    const outcome = await run(given);
    assert.ok(outcome.kind === 'advance' && outcome.value.kind === 'prepared', JSON.stringify(outcome));
    const [prepared] = outcome.value.inputs;
    assert.equal(prepared?.target, '/hello.txt');
    assert.equal(await readFile(prepared?.path ?? '', 'utf8'), 'hello\n');
    assert.equal(outcome.value.inputBytes, 6);
    await access(join(given.placement.directory, 'results/out'));
    assert.deepEqual(
      reports.map(([, kind]) => kind),
      ['preparing'],
    );
  });

  for (const [why, expected] of [
    ['cancelled', { kind: 'cancelled', reason: 'not needed' }],
    ['timeout', { kind: 'fail', error: { code: 'ExecutionTimedOut', message: 'not needed' } }],
  ] as const) {
    it(`a kill reaches a running job: ${why}`, async (t) => {
      const { run, seen, pool } = supervised(t);
      const given = await input(t, 'mock', { Duration: '1h' });
      const outcome = run(given);
      const id = given.header.executionId;
      await seen(id, 'running');
      pool.control({ kind: 'kill', id, why, cause: 'not needed' });
      assert.deepEqual(await outcome, expected);
    });
  }

  it('fails with the code of what went wrong', async (t) => {
    const { run } = supervised(t);
    const code = (outcome: Outcome<ExecuteOutput>): string =>
      outcome.kind === 'fail' ? outcome.error.code : outcome.kind;
    const unknown = { ...HELLO, Source: { Type: 'carrierPigeon' } };
    assert.equal(code(await run(await input(t, 'mock', {}, { InputSources: [unknown] }))), 'InputInvalid');
    assert.equal(code(await run(await input(t, 'mock', { FailWith: 'WasmTrap' }))), 'WasmTrap');
    assert.equal(code(await run(await input(t, 'docker', { Image: 'busybox' }))), 'EngineUnavailable');
    assert.equal(code(await run(await input(t, 'docker', {}))), 'ValidationFailed');
  });

  it('runs a Docker job with an input, and leaves it running when the node detaches', async (t) => {
    const test = testDocker(t);
    if (test === undefined) return;
    const { run, seen, pool } = supervised(t, { dockerHost: test.dockerHost });
    const job = { Image: test.image, Parameters: ['cat', '/hello.txt'] };
    const outcome = await run(await input(t, 'docker', job, { InputSources: [HELLO] }));
    assert.deepEqual(finished(outcome), { stdout: 'hello\n', exitCode: 0 });

    const long = await input(t, 'docker', { Image: test.image, Parameters: ['sleep', '3600'] });
    const detached = run(long);
    await seen(long.header.executionId, 'running');
    pool.control({ kind: 'detach' });
    const end = await detached;
    assert.equal(end.kind === 'fail' ? end.error.code : end.kind, 'ExecutionLost');
    const request = { ...(await runRequest(t, { engine: 'docker' })), header: long.header };
    assert.equal((await containersOf(test, request)).length, 1);
    assert.equal(await reapContainers({ dockerHost: test.dockerHost }, TEST_NODE), 1);
    assert.deepEqual(await containersOf(test, request), []);
  });
});
