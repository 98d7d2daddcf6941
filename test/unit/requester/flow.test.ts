import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checked, makeKit, NODE, nodeInfo, told } from '../../support/requester/kit.ts';
import { turns } from '../../support/requester/manual-clock.ts';

const REQUESTED = `Scheduling: Requested execution on ${NODE.slice(-8)}`;

describe('a job from submission to its end', () => {
  it('tells the steps that Bacalhau tells, in its order', async () => {
    const kit = await makeKit();
    kit.node.runAll();
    const { jobId } = await kit.requester.submit(checked());
    const record = await kit.requester.ended(jobId);
    assert.equal(record.state.type, 'Completed');
    assert.deepEqual([record.version, record.revision], [1, 3]);
    assert.deepEqual(await told(kit, jobId), [
      'Submission: Job submitted',
      REQUESTED,
      'State Update: Running',
      'Execution: Running',
      'Execution: Completed successfully',
      'State Update: Completed',
    ]);
    const [execution] = await kit.requester.executions(jobId, '', {
      version: 0,
      allVersions: false,
      orderBy: '',
      reverse: false,
      limit: 0,
    });
    assert.equal(execution?.computeState.type, 'Completed');
    assert.deepEqual(execution?.desiredState, { type: 'Stopped', message: 'execution completed' });
    assert.equal(execution?.runOutput?.Stdout, 'hi\n');
    await turns();
    assert.deepEqual(kit.store.outbox.pending(NODE, { limit: 10 }), []);
    assert.equal(kit.requester.debug()['live'], 0);
  });

  it('writes three transitions for a job that finds room', async () => {
    const kit = await makeKit();
    kit.node.runAll();
    let transitions = 0;
    const { transition } = kit.store;
    kit.store.transition = (change) => {
      transitions += 1;
      transition.call(kit.store, change);
    };
    await kit.requester.ended((await kit.requester.submit(checked())).jobId);
    assert.equal(transitions, 3);
  });

  it('sends the spec with the ask, and only there', async () => {
    const kit = await makeKit();
    const job = checked();
    await kit.requester.submit(job);
    await turns();
    assert.deepEqual(kit.node.asks[0]?.spec, job.spec);
    const [row] = kit.store.outbox.pending(NODE, { limit: 10 });
    assert.equal(row?.message.type, 'AskForBid');
    assert.ok(!('spec' in (row?.message ?? {})));
  });

  it('keeps a non-zero exit code as a completed run', async () => {
    const kit = await makeKit();
    kit.node.onAsk = (ask) => void kit.node.bid(ask);
    kit.node.onAccepted = (ask) =>
      void kit.node.finish(ask, {
        Stdout: '',
        StdoutTruncated: false,
        stderr: 'oops',
        StderrTruncated: false,
        ExitCode: 7,
        ErrorMsg: '',
      });
    const { jobId } = await kit.requester.submit(checked());
    assert.equal((await kit.requester.ended(jobId)).state.type, 'Completed');
  });

  it('completes a batch job of Count 0 at once, and runs Count executions otherwise', async () => {
    const kit = await makeKit();
    kit.node.runAll();
    const none = await kit.requester.submit(checked({ Count: 0 }));
    assert.equal((await kit.requester.ended(none.jobId)).state.type, 'Completed');
    assert.equal(kit.node.asks.length, 0);
    const three = await kit.requester.submit(checked({ Count: 3 }));
    await kit.requester.ended(three.jobId);
    assert.equal(kit.node.asks.length, 3);
  });
});

describe('a job that cannot be placed', () => {
  it('fails at once, in the words of Bacalhau, when no node supports its engine', async () => {
    const kit = await makeKit();
    const { jobId } = await kit.requester.submit(checked({ engine: 'brainfuck' }));
    const { record } = await kit.requester.job(jobId, '');
    const message = `not enough nodes to run job. requested: 1, available: 1, suitable: 0.\n• Node ${NODE.slice(-8)}: does not support brainfuck, only mock, wasm`;
    assert.deepEqual(record.state, { type: 'Failed', message });
    assert.equal(record.revision, 1);
    const { items, nextOffset } = await kit.requester.history(jobId, '', {
      since: 0,
      eventType: 'all',
      executionId: '',
      jobVersion: 0,
      allVersions: false,
      limit: 0,
      offset: 0,
    });
    assert.equal(nextOffset, undefined);
    assert.deepEqual(
      items.map((row) => [row.seqNum, row.topic, row.message]),
      [
        [1, 'Submission', 'Job submitted'],
        [2, 'Scheduling', message],
      ],
    );
    assert.deepEqual(items[1]?.details, {
      IsError: 'true',
      NodesAvailable: '1',
      NodesRequested: '1',
      NodesSuitable: '0',
    });
  });

  it('fails with the reasons of the nodes when all refuse for good', async () => {
    const kit = await makeKit();
    kit.node.onAsk = (ask) => void kit.node.refuse(ask, true, 'this node does not accept networked jobs');
    const { jobId } = await kit.requester.submit(checked());
    const record = await kit.requester.ended(jobId);
    assert.equal(record.state.type, 'Failed');
    assert.match(record.state.message, /suitable: 0\.\n• Node .*: this node does not accept networked jobs/);
    assert.equal(kit.node.asks.length, 1);
  });

  it('waits while no node is known, and starts when one comes', async () => {
    const kit = await makeKit({ hello: false });
    kit.node.runAll();
    const { jobId } = await kit.requester.submit(checked());
    const { record } = await kit.requester.job(jobId, '');
    assert.equal(record.state.type, 'Queued');
    assert.equal(kit.store.blockedCount(), 1);
    assert.equal(kit.requester.debug()['live'], 0);
    await kit.node.reply({ type: 'NodeInfo', info: nodeInfo() });
    assert.equal((await kit.requester.ended(jobId)).state.type, 'Completed');
    assert.deepEqual((await told(kit, jobId)).slice(0, 3), [
      'Submission: Job submitted',
      'Queueing: Job queued. no compute node is connected',
      REQUESTED,
    ]);
    assert.equal(kit.store.blockedCount(), 0);
  });

  it('waits for an engine that was there a moment ago', async () => {
    const kit = await makeKit();
    kit.node.runAll();
    await kit.node.reply({ type: 'NodeInfo', info: nodeInfo({ engines: ['mock'] }) });
    const { jobId } = await kit.requester.submit(checked({ engine: 'wasm' }));
    const { record } = await kit.requester.job(jobId, '');
    assert.equal(record.state.type, 'Queued');
    assert.match(record.state.message, /does not offer wasm at this moment/);
    await kit.node.reply({ type: 'NodeInfo', info: nodeInfo() });
    assert.equal((await kit.requester.ended(jobId)).state.type, 'Completed');
  });
});

describe('a run that fails', () => {
  const fails = (
    code: 'ImageNotFound' | 'CommandNotFound' | 'ExecutionLost',
  ): Promise<[string[], number, string]> =>
    (async () => {
      const kit = await makeKit();
      kit.node.onAsk = (ask) => void kit.node.bid(ask);
      kit.node.onAccepted = ({ executionId, jobId }) =>
        void kit.node.reply({
          type: 'ComputeError',
          executionId,
          jobId,
          error: { code, message: 'it went wrong', details: { Image: 'x' } },
          topic: 'Exec Scanning',
        });
      const { jobId } = await kit.requester.submit(checked());
      const record = await kit.requester.ended(jobId);
      return [await told(kit, jobId), kit.node.asks.length, `${record.state.type}: ${record.state.message}`];
    })();

  it('is started a second time for a missing image, as Bacalhau does', async () => {
    const [rows, asks, state] = await fails('ImageNotFound');
    assert.equal(asks, 2);
    assert.deepEqual(rows, [
      'Submission: Job submitted',
      REQUESTED,
      'State Update: Running',
      'Exec Scanning: it went wrong',
      REQUESTED,
      'Exec Scanning: it went wrong',
      'Scheduling: Job failed because it has been retried too many times',
    ]);
    assert.equal(state, 'Failed: Job failed because it has been retried too many times: it went wrong');
  });

  it('is not started again where that cannot help', async () => {
    const [rows, asks] = await fails('CommandNotFound');
    assert.equal(asks, 1);
    assert.equal(rows.at(-1), 'Scheduling: Job failed because one or more executions failed');
  });

  it('is started again more often when its node lost it', async () => {
    const [, asks] = await fails('ExecutionLost');
    assert.equal(asks, 6);
  });

  it('is recognised by its execution alone: a node that lost its state knows no more', async () => {
    const kit = await makeKit();
    kit.node.onAsk = (ask) => void kit.node.bid(ask);
    const { jobId } = await kit.requester.submit(checked());
    await turns();
    const [first] = kit.node.asks;
    assert.ok(first);
    kit.node.runAll();
    await kit.node.reply({
      type: 'ComputeError',
      executionId: first.executionId,
      jobId: '',
      error: { code: 'ExecutionLost', message: 'unknown' },
      topic: 'Execution',
    });
    assert.equal((await kit.requester.ended(jobId)).state.type, 'Completed');
  });
});

describe('messages that come twice, late or for nothing', () => {
  it('change nothing and are acknowledged', async () => {
    const kit = await makeKit();
    kit.node.onAsk = (ask) => {
      void kit.node.bid(ask);
      void kit.node.bid(ask);
    };
    kit.node.onAccepted = (ask) => {
      void kit.node.finish(ask);
      void kit.node.finish(ask);
      void kit.node.bid(ask);
    };
    const { jobId } = await kit.requester.submit(checked());
    await kit.requester.ended(jobId);
    const rows = await told(kit, jobId);
    const [ask] = kit.node.asks;
    assert.ok(ask);
    await kit.node.finish(ask);
    await kit.node.bid(ask);
    await kit.node.finish({ ...ask, executionId: 'e-0', jobId: 'j-0' });
    assert.deepEqual(await told(kit, jobId), rows);
    // A node that offers what it has done has forgotten that: the offer is nothing to wait for.
    assert.deepEqual(new Set(kit.node.turnedDown), new Set([ask.executionId]));
  });

  it('turns down offers for what is unknown, or stopped', async () => {
    const kit = await makeKit();
    const { jobId } = await kit.requester.submit(checked());
    await turns();
    const [ask] = kit.node.asks;
    assert.ok(ask);
    await kit.requester.stop(jobId, '', 'enough');
    await kit.node.bid(ask);
    await kit.node.bid({ ...ask, executionId: 'e-unknown', jobId: 'j-unknown' });
    await turns();
    assert.deepEqual(kit.node.turnedDown, [ask.executionId, 'e-unknown']);
    assert.deepEqual(kit.node.cancelled, [ask.executionId]);
  });

  it('takes a result whose bid was lost with a crash', async () => {
    const kit = await makeKit();
    const { jobId } = await kit.requester.submit(checked());
    await turns();
    const [ask] = kit.node.asks;
    assert.ok(ask);
    await kit.node.finish(ask);
    assert.equal((await kit.requester.ended(jobId)).state.type, 'Completed');
    await turns();
    assert.deepEqual(kit.store.outbox.pending(NODE, { limit: 10 }), []);
  });

  it('does not let one node speak for another', async () => {
    const kit = await makeKit();
    const { jobId } = await kit.requester.submit(checked());
    await turns();
    const [ask] = kit.node.asks;
    assert.ok(ask);
    await kit.requester.handle('another', {
      type: 'RunResult',
      executionId: ask.executionId,
      jobId,
      result: {
        Stdout: '',
        StdoutTruncated: false,
        stderr: '',
        StderrTruncated: false,
        ExitCode: 0,
        ErrorMsg: '',
      },
      published: { Type: '' },
    });
    assert.equal((await kit.requester.job(jobId, '')).record.state.type, 'Pending');
  });
});
