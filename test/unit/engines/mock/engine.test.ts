import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { MockEngine } from '../../../../src/engines/mock/engine.ts';
import { codeIs } from '../../../contract/engine.ts';
import { recordingContext, runRequest } from '../../../support/run-request.ts';

const engine = new MockEngine();
const KILL = { kind: 'kill', why: 'cancelled', cause: 'enough' } as const;

describe('MockEngine', () => {
  it('makes no folder for a fileless run that prints nothing, and one for its output', async (t) => {
    const silent = await runRequest(t, { engine: 'mock', publisher: '', fileless: true });
    assert.equal((await engine.run(silent, recordingContext())).ExitCode, 0);
    assert.equal(existsSync(silent.resultsDirectory), false);
    const params = { Stdout: 'said' };
    const printing = await runRequest(t, { engine: 'mock', publisher: '', fileless: true, params });
    await engine.run(printing, recordingContext());
    assert.equal(await readFile(join(printing.resultsDirectory, 'stdout'), 'utf8'), 'said');
  });

  it('fails as it is told, after its output', async (t) => {
    const params = { FailWith: 'OutOfMemory', Stdout: 'so far\n' };
    const request = await runRequest(t, { engine: 'mock', params });
    await assert.rejects(engine.run(request, recordingContext()), codeIs('OutOfMemory'));
    assert.equal((await stat(join(request.resultsDirectory, 'stdout'))).size, 7);
  });

  it('takes its time: before the start and in the run', async (t) => {
    const params = { PrepareDelay: '40ms', Duration: 60 };
    const request = await runRequest(t, { engine: 'mock', params });
    const startedAt = performance.now();
    const context = recordingContext();
    const run = engine.run(request, context);
    assert.equal(context.reports.length, 0);
    await context.seen('running');
    const began = performance.now() - startedAt;
    await run;
    assert.ok(began >= 38, `began after ${began} ms`);
    assert.ok(performance.now() - startedAt >= 97);
  });

  it('prints filler after its text, and says when it is cut', async (t) => {
    const params = { Stdout: 'abc', OutputBytes: 3_000_000 };
    const request = await runRequest(t, { engine: 'mock', params });
    const result = await engine.run(request, recordingContext());
    assert.equal(result.Stdout, `abc${'.'.repeat(2045)}`);
    assert.equal(result.StdoutTruncated, true);
    assert.equal((await stat(join(request.resultsDirectory, 'stdout'))).size, 3_000_003);
  });

  it('ignores a kill for as long as it is told', async (t) => {
    const request = await runRequest(t, {
      engine: 'mock',
      params: { Duration: '1h', IgnoreKillFor: '80ms' },
    });
    const context = recordingContext();
    const run = engine.run(request, context);
    await context.seen('running');
    const killedAt = performance.now();
    context.stop(KILL);
    await assert.rejects(run, codeIs('ExecutionCancelled'));
    assert.ok(performance.now() - killedAt >= 78);
  });

  it('is lost when the node detaches', async (t) => {
    const request = await runRequest(t, { engine: 'mock', params: { Duration: '1h' } });
    const context = recordingContext();
    const run = engine.run(request, context);
    await context.seen('running');
    context.stop({ kind: 'detach' });
    await assert.rejects(run, codeIs('ExecutionLost'));
  });

  for (const params of [
    { Duration: 'soon' },
    { Duration: -1 },
    { ExitCode: 256 },
    { ExitCode: '1' },
    { FailWith: 'Nonsense' },
    { Stdout: 7 },
    { OutputBytes: 1.5 },
    { PrintEnv: 'HOME' },
  ]) {
    it(`refuses ${JSON.stringify(params)}`, async (t) => {
      const request = await runRequest(t, { engine: 'mock', params });
      await assert.rejects(engine.run(request, recordingContext()), codeIs('ValidationFailed'));
    });
  }
});
