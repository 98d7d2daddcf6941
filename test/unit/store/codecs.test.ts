import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
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

/** Over the bytes of a table. */
function stored<Row>(row: Row): Row {
  return decodeValue<Row>(jobsTable, encodeValue(jobsTable, row));
}

describe('records over the bytes of a table', () => {
  it('come back as they were', () => {
    const details = { RejectCode: 'no_room' };
    const job = testJob({ inputs: ['ipfs:a'], state: { type: 'Queued', message: 'm', details } });
    assert.deepEqual(jobCodec.decode(stored(jobCodec.encode(job))), job);
    const execution = testRequesterExecution({
      computeState: { type: 'AskForBidRejected', message: 'no', details },
      published: { Type: 'ipfs', Params: { CID: 'x' } },
      runOutput: {
        Stdout: 'out',
        StdoutTruncated: false,
        stderr: 'err',
        StderrTruncated: true,
        ExitCode: 3,
        ErrorMsg: 'failed',
      },
    });
    const executionRow = stored(requesterExecutionCodec.encode(execution));
    assert.deepEqual(requesterExecutionCodec.decode(executionRow), execution);
    const local = testExecution({ wait: { kind: 'approval', untilMs: 5, reason: 'why', approved: true } });
    assert.deepEqual(executionCodec.decode(stored(executionCodec.encode(local))), local);
    const evaluation = testEvaluation();
    assert.deepEqual(evaluationCodec.decode(stored(evaluationCodec.encode(evaluation))), evaluation);
  });

  it('have no fields that were not there', () => {
    const { inputs: _inputs, facts: _facts, ...old } = testJob({ inputs: [] });
    const read = jobCodec.decode(stored(jobCodec.encode(old)));
    assert.deepEqual(read, old);
    assert.equal('details' in read.state, false);
  });
});
