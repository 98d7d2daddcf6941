import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { executionHeader, jobHeader } from '../../../src/core/headers.ts';
import type { InputSource, Task } from '../../../src/core/job.ts';
import { NO_RESOURCES } from '../../../src/core/resources.ts';
import { jobSpec } from '../../support/bid.ts';

const inline = (url: string): InputSource => ({
  Source: { Type: 'Inline', Params: { URL: url } },
  Alias: '',
  Target: '/in',
});
const engine = (Type: string): Partial<Task> => ({ Engine: { Type } });

describe('executions without files', () => {
  const cases: readonly [string, Partial<Task>, boolean][] = [
    ['mock', engine('Mock'), true],
    ['mock with an input', { ...engine('mock'), InputSources: [inline('data:,x')] }, false],
    ['mock with a result path', { ...engine('mock'), ResultPaths: [{ Name: 'a', Path: '/a' }] }, false],
    ['mock that publishes', { ...engine('mock'), Publisher: { Type: 'local' } }, false],
    [
      'wasm with files inside the job',
      { ...engine('wasm'), InputSources: [inline('data:a/b;base64,AA')] },
      true,
    ],
    ['wasm with an archive', { ...engine('wasm'), InputSources: [inline('data:application/gzip,x')] }, false],
    [
      'wasm with other inputs',
      { ...engine('wasm'), InputSources: [{ ...inline('data:,x'), Source: { Type: 'ipfs' } }] },
      false,
    ],
    ['docker', engine('docker'), false],
  ];
  for (const [what, task, expected] of cases) {
    it(`${what}: ${expected ? 'none' : 'has some'}`, () => {
      const spec = jobSpec(task);
      assert.equal(jobHeader(spec, NO_RESOURCES).fileless, expected);
    });
  }

  it('both headers of a job say the same', () => {
    const spec = jobSpec({ ...engine('mock'), Timeouts: { TotalTimeout: 7, QueueTimeout: 3 } });
    const asked = { executionId: 'e-1', jobId: spec.ID, jobVersion: 1, requesterId: 'n' };
    const {
      type,
      id: _id,
      name: _name,
      count: _count,
      labels: _labels,
      constraints: _constraints,
      storages: _storages,
      inputs: _inputs,
      facts: _facts,
      ...shared
    } = jobHeader(spec, NO_RESOURCES);
    assert.deepEqual(executionHeader(spec, asked, NO_RESOURCES), { ...shared, ...asked, jobType: type });
    assert.equal(shared.executionTimeoutMs, 7000);
  });
});
