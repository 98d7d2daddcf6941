import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type Codec,
  evaluationCodec,
  executionCodec,
  jobCodec,
  requesterExecutionCodec,
} from '../../../src/store/codecs.ts';
import { decodeValue, encodeValue } from '../../../src/store/recorder.ts';
import { jobsTable } from '../../../src/store/tables.ts';
import {
  testEvaluation,
  testExecution,
  testJob,
  testRequesterExecution,
} from '../../support/store-records.ts';

/** Over the bytes of a table and back. */
function again<T>(codec: Codec<T>, record: T): T {
  return codec.decode(decodeValue(jobsTable, encodeValue(jobsTable, codec.encode(record))));
}

describe('records over the bytes of a table', () => {
  it('come back as they were, and can be changed by copies', () => {
    const job = testJob({ inputs: ['ipfs:a'], state: { type: 'Queued', message: 'm', details: { a: 'b' } } });
    for (let round = 0; round < 3; round += 1) {
      const read = again(jobCodec, job);
      assert.deepEqual(read, job);
      assert.deepEqual({ ...read, revision: 7 }, { ...job, revision: 7 });
    }
    for (const record of [testRequesterExecution(), testRequesterExecution({ revision: 2 })]) {
      assert.deepEqual(again(requesterExecutionCodec, record), record);
    }
    const local = testExecution();
    assert.deepEqual(again(executionCodec, local), local);
    const evaluation = testEvaluation();
    assert.deepEqual(again(evaluationCodec, evaluation), evaluation);
  });

  it('have no fields that were not there: in the middle, at the end, or at all', () => {
    const { inputs: _inputs, facts: _facts, ...old } = testJob({ inputs: [] });
    assert.deepEqual(Object.keys(again(jobCodec, old)).sort(), Object.keys(old).sort());
    const { labels: _labels, ...partial } = testJob({ inputs: ['x'] });
    assert.deepEqual(Object.keys(again(jobCodec, partial as typeof old)).sort(), Object.keys(partial).sort());
    assert.deepEqual(jobCodec.decode([]), {});
  });

  it('are read from rows of later versions as far as they are known', () => {
    const job = testJob();
    const row = jobCodec.encode({ ...job, inputs: [], facts: null });
    assert.deepEqual(jobCodec.decode([...row, 'something new']), { ...job, inputs: [], facts: null });
  });
});
