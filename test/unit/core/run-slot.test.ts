import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RUN_OUTPUT_BYTES } from '../../../src/core/job.ts';
import { RunSlot } from '../../../src/core/run-slot.ts';

const slots = (count: number): RunSlot[] =>
  RunSlot.each(new Array<undefined>(count).fill(undefined), (_, slot) => slot);

describe('a run slot', () => {
  it('is won once: by a thread, or by who takes it back', () => {
    const [started, takenBack] = slots(2);
    assert.ok(started !== undefined && takenBack !== undefined);
    assert.ok(started.claim(7) && takenBack.takeBack());
    assert.deepEqual([started.takeBack(), started.claim(8), takenBack.claim(7)], [false, false, false]);
    assert.deepEqual([started.thread, started.endedOn, takenBack.thread, takenBack.endedOn], [7, 0, 0, 0]);
    started.end();
    assert.deepEqual([started.thread, started.endedOn], [0, 7]);
  });

  it('holds as much of both streams as a result keeps, apart from its neighbours', () => {
    const [left, right] = slots(2);
    const whole = new Uint8Array(RUN_OUTPUT_BYTES).fill(0x61);
    left?.append('stdout', whole.subarray(0, 10));
    left?.append('stdout', whole.subarray(10));
    left?.append('stderr', whole);
    assert.deepEqual(left?.read('stdout', 0), Buffer.from(whole));
    assert.deepEqual(left?.read('stderr', RUN_OUTPUT_BYTES - 1), Buffer.from('a'));
    assert.deepEqual([right?.read('stdout', 0)?.length, right?.hasRun, right?.result], [0, false, undefined]);
    left?.moveToFile('stdout');
    assert.equal(left?.read('stdout', 0), undefined);
  });

  it('tells a whole result once the run has said so', () => {
    const [open, over] = slots(2);
    assert.ok(open !== undefined && over !== undefined);
    over.append('stderr', Buffer.from('no'));
    over.finish(0);
    const { ExitCode, Stdout, stderr } = over.result ?? assert.fail('it is over');
    assert.deepEqual([ExitCode, Stdout, stderr], [0, '', 'no']);
    assert.equal(open.result, undefined);
  });
});
