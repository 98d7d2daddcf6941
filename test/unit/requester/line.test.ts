import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { JobId } from '../../../src/core/ids.ts';
import { createRequesterStore } from '../../../src/store/environment-requester-store.ts';
import type { EvaluationRecord } from '../../../src/store/records.ts';
import { checked, type Kit, makeKit, SmallNode, told } from '../../support/requester/kit.ts';
import { LazyEnvironment } from '../../support/requester/lazy-environment.ts';
import { turns } from '../../support/requester/manual-clock.ts';

async function small(
  cores: number,
  requester: Parameters<typeof makeKit>[0] = {},
): Promise<{ kit: Kit; node: SmallNode }> {
  const kit = await makeKit({ hello: false, ...requester });
  const node = new SmallNode(kit.node, cores);
  await node.hello();
  return { kit, node };
}

async function submit(kit: Kit, cpu: string, Priority = 0): Promise<JobId> {
  const { jobId } = await kit.requester.submit(checked({ cpu, Priority }));
  await turns();
  return jobId;
}

function leftOver(): { record: JobId; evaluation: EvaluationRecord } {
  const record = 'j-gone';
  const evaluation: EvaluationRecord = {
    id: 'one',
    jobId: record,
    namespace: 'default',
    type: 'batch',
    priority: 0,
    trigger: 'job-register',
    status: 'blocked',
    comment: '',
    createTime: 1,
  };
  return { record, evaluation };
}

describe('jobs that wait for room', () => {
  it('start by priority, then by arrival', async () => {
    const { kit, node } = await small(1);
    const first = await submit(kit, '1');
    const second = await submit(kit, '1');
    const third = await submit(kit, '1');
    const urgent = await submit(kit, '1', 5);
    assert.equal(kit.store.blockedCount(), 3);
    for (let job = 0; job < 4; job += 1) {
      await node.finish();
      await turns();
    }
    assert.deepEqual(node.order, [first, urgent, second, third]);
    assert.equal(node.refusals, 0);
    assert.equal(kit.store.blockedCount(), 0);
    const [submitted, queued, asked] = await told(kit, third);
    assert.equal(submitted, 'Submission: Job submitted');
    assert.match(
      queued ?? '',
      /^Queueing: Job queued\. not enough nodes to run job\. .*no room for the job now$/s,
    );
    assert.match(asked ?? '', /^Scheduling: Requested execution on/);
  });

  it('are in the store and nowhere else', async () => {
    const { kit, node } = await small(1, { requester: { windowSize: 8 } });
    await submit(kit, '1');
    await Promise.all(Array.from({ length: 500 }, () => kit.requester.submit(checked({ cpu: '1' }))));
    await turns();
    assert.equal(kit.store.blockedCount(), 500);
    assert.equal(kit.requester.debug()['live'], 1);
    const asked = node.order.length;
    for (let job = 0; job < 501; job += 1) {
      await node.finish();
      await turns(4);
      assert.ok(node.running.length <= 1);
    }
    assert.equal(asked, 1);
    assert.equal(new Set(node.order).size, 501);
    assert.deepEqual(node.order, [...node.order].sort());
    assert.equal(kit.store.counts().Completed, 501);
    assert.equal(node.refusals, 0);
    assert.equal(kit.requester.debug()['waiting'], 0);
  });

  it('are overtaken by smaller ones when they do not fit, but not for ever', async () => {
    const { kit, node } = await small(4, { requester: { overtakeMs: 10_000 } });
    const running = [await submit(kit, '1'), await submit(kit, '1')];
    const big = await submit(kit, '4');
    const small1 = await submit(kit, '1');
    const small2 = await submit(kit, '1');
    assert.deepEqual(node.order, [...running, small1, small2]);
    const waiting = [await submit(kit, '1'), await submit(kit, '1'), await submit(kit, '1')];
    await node.finish();
    await turns();
    assert.equal(node.order.at(-1), waiting[0]);
    kit.clock.advance(11_000);
    await turns();
    for (let job = 0; job < 4; job += 1) {
      assert.ok(!node.order.includes(big));
      await node.finish();
      await turns();
    }
    assert.equal(node.order.at(-1), big);
    assert.equal(node.order.length, 6);
    await node.finish();
    await turns();
    assert.deepEqual(node.order.slice(6), waiting.slice(1));
  });

  it('do not keep a job that fits from a window full of jobs that do not', async () => {
    const { kit, node } = await small(4, { requester: { windowSize: 4, overtakeMs: 1e9 } });
    await submit(kit, '1');
    for (let job = 0; job < 12; job += 1) await submit(kit, '4');
    const fits = await submit(kit, '2');
    for (let second = 0; second < 5; second += 1) {
      kit.clock.advance(1000);
      await turns();
    }
    assert.ok(node.order.includes(fits));
  });

  it('wait again, in their old place, when the node refuses for the moment', async () => {
    const { kit, node } = await small(4);
    kit.node.onAsk = (ask) => void kit.node.refuse(ask, false, 'busy just now');
    const first = await submit(kit, '1');
    const second = await submit(kit, '1');
    const { record } = await kit.requester.job(first, '');
    assert.equal(record.state.type, 'Queued');
    assert.equal(kit.store.blockedCount(), 2);
    new SmallNode(kit.node, 4);
    node.announce();
    kit.clock.advance(2000);
    await turns();
    const executions = await kit.requester.executions(first, '', {
      version: 0,
      allVersions: false,
      orderBy: '',
      reverse: false,
      limit: 0,
    });
    assert.deepEqual(
      executions.map(({ computeState }) => computeState.type).filter((type) => type !== 'AskForBidRejected'),
      ['BidAccepted'],
    );
    assert.equal((await kit.requester.job(second, '')).record.state.type, 'Running');
  });

  it('are asked for ever more rarely at a node that goes on refusing', async () => {
    const { kit } = await small(4);
    kit.node.onAsk = (ask) => {
      void kit.node.refuse(ask, false, 'busy for hours');
      void kit.node.reply({
        type: 'RoomAnnounced',
        openSlots: 64,
        openCapacity: { cpu: 4, memory: 4e9, disk: 4e9, gpu: 0 },
      });
    };
    await submit(kit, '1');
    for (let second = 0; second < 600; second += 1) {
      kit.clock.advance(1000);
      await turns(2);
    }
    assert.ok(kit.node.asks.length < 100, `asked ${kit.node.asks.length} times in 10 minutes`);
    assert.ok(kit.node.asks.length > 10);
  });

  it('do not stumble over a wish whose job is gone', async () => {
    const environment = new LazyEnvironment();
    const store = createRequesterStore({ environment, nextSeq: () => 1 });
    const { record, evaluation } = leftOver();
    const other = { ...evaluation, id: 'another', jobId: record };
    store.transition({
      evaluations: [
        { from: null, record: evaluation },
        { from: null, record: other },
      ],
    });
    await turns();
    const kit = await makeKit({ environment });
    assert.equal(kit.requester.debug()['waiting'], 2);
    await turns();
    assert.equal(kit.requester.debug()['waiting'], 0);
    assert.equal(kit.store.blockedCount(), 0);
  });

  it('never have more asks open at a node than its limit', async () => {
    const kit = await makeKit({ requester: { asksInFlight: 5 } });
    await Promise.all(Array.from({ length: 40 }, () => kit.requester.submit(checked({ cpu: '0.01' }))));
    await turns();
    assert.equal(kit.node.asks.length, 5);
    kit.node.runAll();
    for (const ask of [...kit.node.asks]) await kit.node.bid(ask);
    await turns(40);
    assert.equal(kit.store.counts().Completed, 40);
  });
});

describe('timeouts', () => {
  const timeouts = { QueueTimeout: 10, TotalTimeout: 60 };
  const limited = (cpu: string): ReturnType<typeof checked> => {
    const job = checked({ cpu });
    return { ...job, header: { ...job.header, queueTimeoutMs: 10_000, totalTimeoutMs: 60_000 } };
  };

  it('end a job that has waited too long, among many that may', async () => {
    const { kit, node } = await small(1);
    await submit(kit, '1');
    for (let job = 0; job < 300; job += 1) await kit.requester.submit(checked({ cpu: '1' }));
    const { jobId } = await kit.requester.submit(limited('1'));
    assert.ok(kit.clock.pendingTimers < 8);
    kit.clock.advance(timeouts.QueueTimeout * 1000 - 1);
    await turns();
    assert.equal((await kit.requester.job(jobId, '')).record.state.type, 'Queued');
    kit.clock.advance(1001);
    await turns();
    const { record } = await kit.requester.job(jobId, '');
    assert.equal(record.state.type, 'Failed');
    assert.equal(record.state.message, 'Job timed out. Waiting for room took longer than 10s');
    assert.equal(kit.store.blockedCount(), 300);
    assert.equal(node.order.length, 1);
  });

  it('end a job that has run too long, and stop its execution', async () => {
    const { kit } = await small(1);
    const { jobId } = await kit.requester.submit(limited('1'));
    await turns();
    kit.clock.advance(timeouts.TotalTimeout * 1000 + 1000);
    await turns();
    const { record } = await kit.requester.job(jobId, '');
    assert.equal(record.state.message, 'Job timed out. Job took longer than 1m0s');
    assert.equal(kit.node.cancelled.length, 1);
  });

  it('end one that was put away while its node had the next word, and no other', async () => {
    const { kit, node } = await small(8, { requester: { restingJobs: 1 } });
    const { jobId } = await kit.requester.submit(limited('1'));
    const others = [await submit(kit, '1'), await submit(kit, '1')];
    assert.deepEqual([kit.requester.debug()['live'], kit.requester.debug()['executions']], [1, 3]);
    kit.clock.advance(timeouts.TotalTimeout * 1000 - 1);
    await turns();
    assert.equal((await kit.requester.job(jobId, '')).record.state.type, 'Running');
    kit.clock.advance(1001);
    await turns();
    const { record } = await kit.requester.job(jobId, '');
    assert.equal(record.state.message, 'Job timed out. Job took longer than 1m0s');
    assert.equal(kit.node.cancelled.length, 1);
    // Its node lets go of the first one only now.
    for (const _ of [jobId, ...others]) await node.finish();
    await turns();
    for (const other of others)
      assert.equal((await kit.requester.job(other, '')).record.state.type, 'Completed');
    assert.deepEqual([kit.requester.debug()['live'], kit.requester.debug()['executions']], [0, 0]);
  });

  it('let a job with a queue timeout wait for a node that suits it', async () => {
    const { kit } = await small(1);
    const { header, ...job } = checked({ engine: 'docker' });
    const { jobId } = await kit.requester.submit({ ...job, header: { ...header, queueTimeoutMs: 5000 } });
    assert.equal((await kit.requester.job(jobId, '')).record.state.type, 'Queued');
    kit.clock.advance(6000);
    await turns();
    assert.equal((await kit.requester.job(jobId, '')).record.state.type, 'Failed');
  });
});
