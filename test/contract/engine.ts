import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { NodeError } from '../../src/core/errors.ts';
import { RUN_OUTPUT_BYTES } from '../../src/core/job.ts';
import type { Engine, RunRequest } from '../../src/engines/engine.ts';
import {
  type RecordingContext,
  type RunRequestParts,
  recordingContext,
  runRequest,
} from '../support/run-request.ts';

/** What the suite needs a job to do; each engine says how it is written down for it. */
export type ContractJob =
  /** Prints the texts, then exits. */
  | { readonly kind: 'print'; readonly stdout: string; readonly stderr: string; readonly exitCode: number }
  /** Prints so many bytes to stdout, of any content, in small writes where the engine has writes. */
  | { readonly kind: 'bytes'; readonly count: number }
  /** Prints "NAME=value" of an environment variable and a line feed. */
  | { readonly kind: 'env'; readonly name: string }
  /** Prints "started" and a line feed, then runs for an hour. */
  | { readonly kind: 'hang' };

/** One engine under the suite. */
export interface EngineUnderTest {
  readonly engine: Engine;
  /** Engine type, Params and whatever else the job needs. */
  parts(job: ContractJob): RunRequestParts;
  /** True when nothing of this execution runs any more. */
  isGone(request: RunRequest): Promise<boolean>;
}

interface Started {
  readonly request: RunRequest;
  readonly context: RecordingContext;
  readonly run: ReturnType<Engine['run']>;
}

/**
 * What holds for every engine. `factory` is called once a test; the suite is skipped with the reason it returns
 * instead of an engine.
 */
export function engineContract(
  name: string,
  factory: (t: TestContext) => Promise<EngineUnderTest | { readonly skip: string }>,
): void {
  const test = (title: string, body: (t: TestContext, under: EngineUnderTest) => Promise<void>): void => {
    it(title, async (t) => {
      const under = await factory(t);
      if ('skip' in under) {
        console.log(`SKIPPED engine contract of ${name}: ${title}: ${under.skip}`);
        t.skip(under.skip);
        return;
      }
      await body(t, under);
    });
  };
  const start = async (
    t: TestContext,
    under: EngineUnderTest,
    job: ContractJob,
    more: Partial<RunRequestParts> = {},
  ): Promise<Started> => {
    const request = await runRequest(t, { ...under.parts(job), ...more });
    const context = recordingContext();
    const run = under.engine.run(request, context);
    run.catch(() => undefined);
    return { request, context, run };
  };
  const read = (request: RunRequest, file: string): Promise<string> =>
    readFile(join(request.resultsDirectory, file), 'utf8');

  describe(`engine contract: ${name}`, { concurrency: false }, () => {
    test('stdout, stderr and exitCode are files and part of the result', async (t, under) => {
      const job: ContractJob = { kind: 'print', stdout: 'to out\n', stderr: 'to err\n', exitCode: 0 };
      const { request, context, run } = await start(t, under, job);
      assert.deepEqual(await run, {
        Stdout: 'to out\n',
        StdoutTruncated: false,
        stderr: 'to err\n',
        StderrTruncated: false,
        ExitCode: 0,
        ErrorMsg: '',
      });
      assert.equal(await read(request, 'stdout'), 'to out\n');
      assert.equal(await read(request, 'stderr'), 'to err\n');
      assert.equal(await read(request, 'exitCode'), '0');
      const kinds = context.reports.map((report) => report.kind);
      assert.equal(kinds.filter((kind) => kind === 'running').length, 1);
      assert.ok(kinds.includes('output'), 'readers of the output are woken');
      assert.ok(await under.isGone(request));
    });

    test('a run that prints nothing has empty files', async (t, under) => {
      const job: ContractJob = { kind: 'print', stdout: '', stderr: '', exitCode: 0 };
      const { request, run } = await start(t, under, job);
      const result = await run;
      assert.deepEqual([result.Stdout, result.stderr, result.ExitCode], ['', '', 0]);
      assert.equal(await read(request, 'stdout'), '');
      assert.equal(await read(request, 'stderr'), '');
      assert.equal(await read(request, 'exitCode'), '0');
    });

    test('a non-zero exit code is a result, not an error', async (t, under) => {
      const job: ContractJob = { kind: 'print', stdout: '', stderr: 'it broke\n', exitCode: 3 };
      const { request, run } = await start(t, under, job);
      const result = await run;
      assert.equal(result.ExitCode, 3);
      assert.equal(result.stderr, 'it broke\n');
      assert.equal(await read(request, 'exitCode'), '3');
    });

    for (const [count, truncated] of [
      [RUN_OUTPUT_BYTES - 1, false],
      [RUN_OUTPUT_BYTES, false],
      [RUN_OUTPUT_BYTES + 1, true],
    ] as const) {
      test(`a result keeps ${RUN_OUTPUT_BYTES} bytes of a stream, printed: ${count}`, async (t, under) => {
        const { request, run } = await start(t, under, { kind: 'bytes', count });
        const result = await run;
        assert.equal(result.Stdout.length, Math.min(count, RUN_OUTPUT_BYTES));
        assert.equal(result.StdoutTruncated, truncated);
        assert.equal(result.StderrTruncated, false);
        assert.equal((await read(request, 'stdout')).length, count);
        assert.ok((await read(request, 'stdout')).startsWith(result.Stdout));
      });
    }

    test('the environment of the request reaches the job', async (t, under) => {
      const env = { BACALHAU_JOB_ID: 'j-1', GREETING: 'grüß = Gott' };
      const { run } = await start(t, under, { kind: 'env', name: 'GREETING' }, { env });
      assert.equal((await run).Stdout, 'GREETING=grüß = Gott\n');
    });

    test('a stream over its limit ends the run with OutputTooLarge', async (t, under) => {
      const more = { maxStreamBytes: 10_000 };
      const { request, run } = await start(t, under, { kind: 'bytes', count: 200_000 }, more);
      await assert.rejects(run, codeIs('OutputTooLarge'));
      assert.equal((await stat(join(request.resultsDirectory, 'stdout'))).size, 10_000);
      assert.ok(await under.isGone(request));
    });

    test('a stream of exactly its limit is no error', async (t, under) => {
      const more = { maxStreamBytes: 10_000 };
      const { run } = await start(t, under, { kind: 'bytes', count: 10_000 }, more);
      assert.equal((await run).ExitCode, 0);
    });

    for (const [why, code] of [
      ['cancelled', 'ExecutionCancelled'],
      ['timeout', 'ExecutionTimedOut'],
    ] as const) {
      test(`a killed run (${why}) settles once, when nothing of it runs`, async (t, under) => {
        const { request, context, run } = await start(t, under, { kind: 'hang' });
        let settled = 0;
        const count = (): void => {
          settled += 1;
        };
        run.then(count, count);
        await context.seen('output');
        assert.equal(await read(request, 'stdout'), 'started\n');
        assert.equal(settled, 0);
        context.stop({ kind: 'kill', why, cause: `ended by the test: ${why}` });
        await assert.rejects(run, (error) => {
          assert.ok(codeIs(code)(error));
          assert.match((error as Error).message, /ended by the test/);
          return true;
        });
        assert.ok(await under.isGone(request));
        assert.equal(settled, 1);
      });
    }

    test('a run that is killed before it starts never starts', async (t, under) => {
      const request = await runRequest(t, under.parts({ kind: 'hang' }));
      const context = recordingContext();
      context.stop({ kind: 'kill', why: 'cancelled', cause: 'no longer wanted' });
      await assert.rejects(under.engine.run(request, context), codeIs('ExecutionCancelled'));
      assert.ok(!context.reports.some((report) => report.kind === 'running'));
      assert.ok(await under.isGone(request));
    });

    test('runs at the same time do not see each other', async (t, under) => {
      const jobs = ['one', 'two'].map((word, index): ContractJob => {
        return { kind: 'print', stdout: `${word}\n`, stderr: '', exitCode: index };
      });
      const started = await Promise.all(jobs.map((job) => start(t, under, job)));
      const results = await Promise.all(started.map(({ run }) => run));
      assert.deepEqual(
        results.map((result) => [result.Stdout, result.ExitCode]),
        [
          ['one\n', 0],
          ['two\n', 1],
        ],
      );
      for (const [index, { request }] of started.entries()) {
        assert.equal(await read(request, 'exitCode'), String(index));
      }
    });
  });
}

/** A check for `assert.rejects`: a NodeError of this code. */
export function codeIs(code: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof NodeError, `expected a NodeError, got ${String(error)}`);
    assert.equal(error.code, code, error.message);
    return true;
  };
}
