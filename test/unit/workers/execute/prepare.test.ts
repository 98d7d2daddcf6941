import assert from 'node:assert/strict';
import { access, mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { NodeError } from '../../../../src/core/errors.ts';
import type { InputSource, ResultPath } from '../../../../src/core/job.ts';
import type { PrepareContext, Storage } from '../../../../src/storages/storage.ts';
import { type PrepareRequest, prepareExecution } from '../../../../src/workers/execute/prepare.ts';
import { codeIs } from '../../../contract/engine.ts';
import { runRequest } from '../../../support/run-request.ts';

const TARGET = '/in';

/** Writes as many bytes as the input says; remembers how much it was allowed each time. */
class SizedStorage implements Storage {
  readonly type = 'sized';
  readonly allowed: number[] = [];
  knowsSize = true;
  /** Inputs that must be on their way before any of them is done. */
  together = 1;
  running = 0;
  readonly #assembled = Promise.withResolvers<void>();

  hasLocally(): Promise<boolean> {
    return Promise.resolve(true);
  }

  size(input: InputSource): Promise<number | undefined> {
    return Promise.resolve(this.knowsSize ? Number(input.Source.Params?.['Bytes']) : undefined);
  }

  async prepare(input: InputSource, context: PrepareContext): ReturnType<Storage['prepare']> {
    const bytes = Number(input.Source.Params?.['Bytes']);
    this.allowed.push(context.maxBytes);
    this.running += 1;
    if (this.running === this.together) this.#assembled.resolve();
    await this.#assembled.promise;
    const path = join(context.directory, 'content');
    await writeFile(path, Buffer.alloc(Math.min(bytes, context.maxBytes)));
    if (input.Source.Params?.['Hang'] === true) {
      if (!context.signal.aborted) {
        await new Promise((resolve) => context.signal.addEventListener('abort', resolve));
      }
      throw new NodeError('InputUnavailable', 'given up');
    }
    if (input.Source.Params?.['Fail'] === true) throw new NodeError('InputUnavailable', 'no such thing');
    if (bytes > context.maxBytes) throw new NodeError('InputTooLarge', 'too much');
    return { path, target: input.Target, alias: input.Alias, readOnly: true, bytes };
  }
}

function source(params: Record<string, unknown>, type = 'Sized'): InputSource {
  return { Source: { Type: type, Params: params }, Alias: 'a', Target: TARGET };
}

async function request(
  t: TestContext,
  sources: InputSource[],
  maxInputBytes: number,
  paths: ResultPath[] = [],
  signal: AbortSignal = new AbortController().signal,
): Promise<PrepareRequest> {
  const made = await runRequest(t, { engine: 'docker', task: { InputSources: sources } });
  made.spec.Tasks[0].ResultPaths = paths;
  return { spec: made.spec, directory: made.placement.directory, maxInputBytes, signal };
}

const registry = (storage: Storage): ReadonlyMap<string, Storage> => new Map([['sized', storage]]);

describe('prepareExecution', () => {
  it('fetches all inputs at once and makes the result folders for any user', {
    timeout: 10_000,
  }, async (t) => {
    const storage = new SizedStorage();
    storage.together = 3;
    const sources = [10, 20, 30].map((Bytes) => source({ Bytes }));
    const asked = await request(t, sources, 100, [{ Name: 'outputs', Path: '/out' }]);
    const prepared = await prepareExecution(asked, registry(storage));
    assert.equal(prepared.inputBytes, 60);
    assert.deepEqual(
      prepared.inputs.map((input) => input.path),
      [0, 1, 2].map((index) => join(asked.directory, 'inputs', String(index), 'content')),
    );
    assert.ok(prepared.inputs.every((input) => !('bytes' in input)));
    const mode = (await stat(join(asked.directory, 'results/outputs'))).mode & 0o777;
    assert.equal(mode, 0o777);
  });

  it('touches no disk when there is nothing to prepare', async (t) => {
    const asked = await request(t, [], 100);
    assert.deepEqual(await prepareExecution(asked, new Map()), { inputs: [], inputBytes: 0 });
    assert.deepEqual(await readdir(asked.directory), ['results']);
  });

  it('gives a single input the whole budget', async (t) => {
    const storage = new SizedStorage();
    await prepareExecution(await request(t, [source({ Bytes: 100 })], 100), registry(storage));
    assert.deepEqual(storage.allowed, [100]);
  });

  it('never allows all inputs together more than the budget, and wastes none of it', async (t) => {
    const storage = new SizedStorage();
    storage.knowsSize = false;
    const sources = [1, 90].map((Bytes) => source({ Bytes }));
    const prepared = await prepareExecution(await request(t, sources, 100), registry(storage));
    assert.equal(prepared.inputBytes, 91);
    assert.deepEqual(storage.allowed, [50, 50, 99]);
  });

  it('refuses inputs that are too large together', async (t) => {
    for (const knowsSize of [true, false]) {
      const storage = new SizedStorage();
      storage.knowsSize = knowsSize;
      const sources = [60, 60].map((Bytes) => source({ Bytes }));
      const asked = await request(t, sources, 100);
      await assert.rejects(prepareExecution(asked, registry(storage)), codeIs('InputTooLarge'));
      assert.deepEqual(await readdir(join(asked.directory, 'inputs')), []);
    }
  });

  it('one failure ends the others, is the one that is told, and leaves nothing', async (t) => {
    const sources = [source({ Bytes: 1, Hang: true }), source({ Bytes: 1, Fail: true })];
    const asked = await request(t, sources, 100, [{ Name: 'outputs', Path: '/out' }]);
    await assert.rejects(prepareExecution(asked, registry(new SizedStorage())), /no such thing/);
    assert.deepEqual(await readdir(join(asked.directory, 'inputs')), []);
    await assert.rejects(access(join(asked.directory, 'results/outputs')));
  });

  it('ends with the reason of the stop', async (t) => {
    for (const [why, code] of [
      ['cancelled', 'ExecutionCancelled'],
      ['timeout', 'ExecutionTimedOut'],
    ] as const) {
      const stop = new AbortController();
      const asked = await request(t, [source({ Bytes: 1, Hang: true })], 100, [], stop.signal);
      const prepared = prepareExecution(asked, registry(new SizedStorage()));
      setImmediate(() => stop.abort({ kind: 'kill', why, cause: 'enough' }));
      await assert.rejects(prepared, codeIs(code));
    }
  });

  it('fetches nothing after a stop', async (t) => {
    const storage = new SizedStorage();
    const stopped = AbortSignal.abort({ kind: 'kill', why: 'cancelled', cause: 'enough' });
    const asked = await request(t, [source({ Bytes: 1 })], 100, [], stopped);
    await assert.rejects(prepareExecution(asked, registry(storage)), codeIs('ExecutionCancelled'));
    assert.deepEqual(storage.allowed, []);
  });

  it('refuses a storage it does not know', async (t) => {
    const asked = await request(t, [source({}, 'repoclone')], 100);
    await assert.rejects(prepareExecution(asked, registry(new SizedStorage())), codeIs('InputInvalid'));
  });

  for (const name of [
    '',
    '.',
    '..',
    'a/b',
    '../x',
    '/x',
    'a\\b',
    'a\0',
    'stdout',
    'stderr',
    'exitCode',
    'x'.repeat(256),
  ]) {
    it(`refuses the result name ${JSON.stringify(name.slice(0, 12))}`, async (t) => {
      const asked = await request(t, [], 100);
      asked.spec.Tasks[0].ResultPaths = [{ Name: name, Path: '/out' }];
      await mkdir(asked.directory, { recursive: true });
      await assert.rejects(prepareExecution(asked, new Map()), codeIs('ValidationFailed'));
      assert.deepEqual(await readdir(asked.directory), ['results']);
    });
  }

  it('refuses one result name twice', async (t) => {
    const paths = ['/a', '/b'].map((Path) => ({ Name: 'outputs', Path }));
    const asked = await request(t, [], 100, paths);
    await assert.rejects(prepareExecution(asked, new Map()), codeIs('ValidationFailed'));
  });
});
