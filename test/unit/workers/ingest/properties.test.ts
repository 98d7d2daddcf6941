import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NodeError } from '../../../../src/core/errors.ts';
import { newExecutionId } from '../../../../src/core/ids.ts';
import { checkAsk } from '../../../../src/workers/checks/ask.ts';
import { Faults } from '../../../../src/workers/checks/faults.ts';
import { normaliseJob } from '../../../../src/workers/checks/normalise.ts';
import { validateJob } from '../../../../src/workers/checks/validate.ts';
import { INGEST_OPTIONS, submit } from '../../../support/ingest.ts';

const PATH = /^(?:Job|Spec|Force)(?:\.[\w./-]+|\[(?:\d+|"(?:[^"\\]|\\.)*")\])*: ./;

/** Any JSON, where the keys the stage looks at come up often. */
const key = fc.constantFrom(
  ...['Job', 'Spec', 'Tasks', 'Type', 'Engine', 'Params', 'InputSources', 'Source', 'Target', 'ResultPaths'],
  ...['Resources', 'CPU', 'Env', 'Meta', 'Labels', 'Network', 'Ports', 'Timeouts', 'Count', 'docker', 'wasm'],
  ...[
    'EntryModule',
    'ImportModules',
    'Constraints',
    'payload',
    'Force',
    'Namespace',
    'job_spec_vm',
    '__proto__',
  ],
);
const anyJson = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 6, depthSize: 'small' },
    fc.constantFrom<unknown>(
      null,
      true,
      0,
      -1,
      1.5,
      1e300,
      '',
      'batch',
      'wasm',
      'docker',
      'ipfs',
      '/x',
      '..',
    ),
    fc.string(),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.array(fc.tuple(fc.oneof(key, fc.string()), tie('value')), { maxLength: 6 }).map((entries) => {
      const object: Record<string, unknown> = {};
      for (const [name, value] of entries) {
        Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
      }
      return object;
    }),
  ),
})).value;

function outcomeOf(body: string, contentType: string): 'job' | NodeError {
  try {
    submit(body, { contentType });
    return 'job';
  } catch (error) {
    assert.ok(error instanceof NodeError, `${String((error as Error).stack)}\n${body}`);
    return error;
  }
}

test('property: any JSON is a job or is refused with faults that have paths', () => {
  fc.assert(
    fc.property(anyJson, (value) => {
      const outcome = outcomeOf(JSON.stringify(value), 'application/json');
      if (outcome === 'job' || outcome.code === 'MalformedBody') return;
      assert.equal(outcome.code, 'ValidationFailed');
      for (const line of outcome.message.split('\n')) {
        assert.ok(PATH.test(line) || /^and \d+ more$/.test(line), line);
      }
    }),
    { numRuns: 2000 },
  );
});

test('property: any bytes as YAML do not crash it', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a-c:\-[\]{}&*!>|#\n "']{0,60}$/)), (text) => {
      outcomeOf(text, 'application/yaml');
      outcomeOf(text, '');
    }),
    { numRuns: 1000 },
  );
});

const word = fc.stringMatching(/^[a-z][a-z0-9]{0,10}$/);
/** "__proto__" is refused as a key, wherever it stands. */
const allowedJson = fc.jsonValue().filter((value) => !JSON.stringify(value).includes('__proto__'));
const validTask = fc.record({
  Name: word,
  Engine: fc.oneof(
    fc.record({
      Type: fc.constantFrom('docker', 'Docker'),
      Params: fc.record(
        {
          Image: word,
          Entrypoint: fc.option(fc.array(fc.string())),
          WorkingDirectory: fc.constantFrom('', '/w'),
        },
        { requiredKeys: ['Image'] },
      ),
    }),
    fc.record({ Type: fc.constant('other'), Params: fc.dictionary(word, allowedJson) }),
  ),
  Publisher: fc.constantFrom(null, {}, { Type: 'ipfs' }, { Type: 'none' }),
  Env: fc.option(fc.dictionary(fc.stringMatching(/^[A-Z][A-Z0-9_]{0,6}$/), word)),
  Resources: fc.constantFrom(null, {}, { CPU: ' 2 ' }, { Memory: '512 Mb', GPU: 1 }),
  Network: fc.constantFrom(null, {}, { Type: 'bridge' }, { Type: 'HTTP', Domains: [' Example.COM '] }),
  Timeouts: fc.constantFrom(null, {}, { ExecutionTimeout: 60 }),
  Extra: allowedJson,
});
const validJob = fc.record({
  Name: fc.oneof(fc.constant(''), word),
  Type: fc.constantFrom('batch', 'ops', 'service', 'daemon'),
  Count: fc.constantFrom(null, 0, 1),
  Labels: fc.option(fc.dictionary(word, fc.string())),
  Meta: fc.option(fc.dictionary(word, fc.string())),
  Tasks: fc.array(validTask, { minLength: 1, maxLength: 1 }),
});

test('property: a valid job round-trips, and a compute node takes what the requester made of it', () => {
  fc.assert(
    fc.property(validJob, (job) => {
      const { spec, job: stored, header } = submit({ Job: job });
      const faults = new Faults();
      const again = normaliseJob(stored, 'Job', faults).job;
      validateJob(again, 'Job', faults);
      assert.deepEqual(faults.lines, []);
      assert.equal(JSON.stringify(again), new TextDecoder().decode(spec));
      const ids = { executionId: newExecutionId(), jobId: stored.ID, jobVersion: 1, requesterId: 'r' };
      const asked = checkAsk(ids, spec, INGEST_OPTIONS.defaultResources);
      assert.deepEqual(asked.header.resources, header.resources);
      assert.deepEqual(asked.spec, stored);
    }),
    { numRuns: 300 },
  );
});
