import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  checked,
  type FakePeer,
  type Kit,
  makeKit,
  nodeInfo,
  peerOf,
  told,
} from '../../support/requester/kit.ts';
import { LazyEnvironment } from '../../support/requester/lazy-environment.ts';
import { turns } from '../../support/requester/manual-clock.ts';

const B = '12D3KooWPeerBPeerBPeerBPeerBPeerBPeerBPeerBPeerBBBBB';
const C = '12D3KooWPeerCPeerCPeerCPeerCPeerCPeerCPeerCPeerCCCCC';
const ASK_MS = 60_000;
const LOST_MS = 300_000;
const TIMES = { askTimeoutMs: ASK_MS, nodeLostTimeoutMs: LOST_MS };

async function network(): Promise<{ kit: Kit; b: FakePeer; c: FakePeer }> {
  const kit = await makeKit({ hello: false, requester: TIMES });
  return { kit, b: peerOf(kit, B), c: peerOf(kit, C) };
}

const state = (kit: Kit, jobId: string): string => kit.store.job(jobId)?.state.type ?? '';
const statesOf = (kit: Kit, jobId: string): string[] =>
  kit.store
    .executions(jobId)
    .map(({ nodeId, computeState }) => `${nodeId === B ? 'b' : 'c'} ${computeState.type}`);

describe('a node that does not answer', () => {
  it('is passed over in time, and told so; its late bid is turned down', async () => {
    const { kit, b, c } = await network();
    await b.connect();
    const { jobId } = await kit.requester.submit(checked());
    await turns();
    await c.connect({ availableCapacity: { cpu: 1, memory: 4e9, disk: 4e9, gpu: 0 } });
    assert.deepEqual([b.node.asks.length, c.node.asks.length], [1, 0]);
    kit.clock.advance(ASK_MS - 1);
    await turns();
    assert.equal(c.node.asks.length, 0);
    kit.clock.advance(1);
    await turns();
    assert.equal(c.node.asks.length, 1);
    const [silent] = b.node.asks;
    assert.deepEqual(b.node.cancelled, [silent?.executionId]);
    if (silent !== undefined) await b.node.bid(silent);
    await turns();
    assert.deepEqual(b.node.turnedDown, [silent?.executionId]);
    c.node.runAll();
    for (const ask of c.node.asks) await c.node.bid(ask);
    await turns();
    assert.equal(state(kit, jobId), 'Completed');
    assert.ok((await told(kit, jobId)).some((text) => text.includes('gave no answer in 1m')));
  });

  it('is asked again later when there is no other', async () => {
    const { kit, b } = await network();
    await b.connect();
    const { jobId } = await kit.requester.submit(checked());
    kit.clock.advance(ASK_MS);
    await turns();
    assert.equal(state(kit, jobId), 'Queued');
    b.node.runAll();
    for (let second = 0; second < 90; second += 1) {
      kit.clock.advance(1000);
      await turns(4);
    }
    assert.equal(state(kit, jobId), 'Completed');
  });

  it('a bid that waits for approval is an answer', async () => {
    const { kit, b } = await network();
    await b.connect();
    b.node.onAsk = ({ executionId, jobId }) =>
      void b.node.reply({
        type: 'BidWaiting',
        executionId,
        jobId,
        reason: 'Ann',
        untilMs: kit.clock.nowMs() + 1e8,
      });
    const { jobId } = await kit.requester.submit(checked());
    await turns();
    kit.clock.advance(ASK_MS * 10);
    await turns();
    assert.deepEqual(statesOf(kit, jobId), ['b AskForBid']);
  });
});

describe('a node out of reach', () => {
  it('loses its asks soon, not at once', async () => {
    const { kit, b, c } = await network();
    await b.connect();
    const { jobId } = await kit.requester.submit(checked());
    await turns();
    await c.connect();
    b.disconnect();
    kit.clock.advance(1500);
    await turns();
    assert.deepEqual(statesOf(kit, jobId), ['b AskForBid']);
    kit.clock.advance(500);
    await turns();
    assert.deepEqual(statesOf(kit, jobId), ['b AskForBidRejected', 'c AskForBid']);
  });

  it('keeps its asks when the link was gone for a moment only', async () => {
    const { kit, b, c } = await network();
    await b.connect();
    const { jobId } = await kit.requester.submit(checked());
    await turns();
    await c.connect();
    b.disconnect();
    kit.clock.advance(1000);
    await b.connect();
    await turns();
    kit.clock.advance(10_000);
    await turns();
    assert.deepEqual(statesOf(kit, jobId), ['b AskForBid']);
    assert.equal(new Set(b.node.asks.map(({ executionId }) => executionId)).size, 1);
  });

  it('keeps what it has accepted; the result arrives when the link is back', async () => {
    const { kit, b, c } = await network();
    await b.connect();
    b.node.onAsk = (ask) => void b.node.bid(ask);
    const { jobId } = await kit.requester.submit(checked());
    await turns();
    await c.connect();
    assert.deepEqual(statesOf(kit, jobId), ['b BidAccepted']);
    b.disconnect();
    assert.equal(kit.requester.node(B).connection, 'DISCONNECTED');
    assert.ok(kit.requester.node(B).disconnectedSince > 0);
    kit.clock.advance(LOST_MS - 1000);
    await turns();
    await b.connect();
    for (const ask of b.node.asks) await b.node.finish(ask);
    await turns();
    kit.clock.advance(LOST_MS);
    await turns();
    assert.deepEqual([state(kit, jobId), statesOf(kit, jobId)], ['Completed', ['b Completed']]);
    assert.equal(kit.requester.node(B).disconnectedSince, 0);
  });

  it('loses it after the grace time; back again it is told to cancel, and its late result is noted once', async () => {
    const { kit, b, c } = await network();
    await b.connect();
    b.node.onAsk = (ask) => void b.node.bid(ask);
    const { jobId } = await kit.requester.submit(checked());
    await turns();
    await c.connect();
    b.disconnect();
    kit.clock.advance(LOST_MS);
    await turns();
    assert.deepEqual(statesOf(kit, jobId), ['b Failed', 'c AskForBid']);
    const [lost] = kit.store.executions(jobId);
    assert.equal(lost?.computeState.details?.['ErrorCode'], 'ExecutionLost');
    await b.connect();
    await turns();
    assert.deepEqual(b.node.cancelled, [lost?.id]);
    for (let time = 0; time < 2; time += 1) for (const ask of b.node.asks) await b.node.finish(ask);
    c.node.runAll();
    for (const ask of c.node.asks) await c.node.bid(ask);
    await turns();
    for (const ask of b.node.asks) await b.node.finish(ask);
    assert.deepEqual([state(kit, jobId), statesOf(kit, jobId)], ['Completed', ['b Failed', 'c Completed']]);
    const late = (await told(kit, jobId)).filter((text) => text.includes('It is not used'));
    assert.equal(late.length, 1, late.join('\n'));
    assert.match(late[0] ?? '', /is back and tells of a run that was given up: it ended with exit code 0/);
  });

  it('the only one that suits a job: the job waits and says so', async () => {
    const { kit, b } = await network();
    await b.connect();
    b.disconnect();
    const { jobId } = await kit.requester.submit(checked());
    await turns();
    const record = kit.store.job(jobId);
    assert.equal(record?.state.type, 'Queued');
    assert.match(record.state.message, /node is not connected/);
    b.node.runAll();
    await b.connect();
    await turns();
    assert.equal(state(kit, jobId), 'Completed');
  });

  it('an ops job’s ask waits for its node until the grace time has passed', async () => {
    const { kit, b } = await network();
    await b.connect();
    const { jobId } = await kit.requester.submit(checked({ Type: 'ops', Count: 0 }));
    await turns();
    b.disconnect();
    kit.clock.advance(LOST_MS - 1);
    await turns();
    assert.deepEqual(statesOf(kit, jobId), ['b AskForBid']);
    kit.clock.advance(1);
    await turns();
    assert.equal(state(kit, jobId), 'Failed');
  });
});

describe('after a restart of the requester', () => {
  it('nodes are known as before, decisions about them too; work waits for its node', async () => {
    const environment = new LazyEnvironment();
    const before = await makeKit({ environment, hello: false, requester: TIMES });
    const b = peerOf(before, B);
    await b.connect();
    b.node.onAsk = (ask) => void b.node.bid(ask);
    const { jobId } = await before.requester.submit(checked());
    await turns();
    await before.requester.handle(C, { type: 'NodeInfo', info: nodeInfo({}, C) });
    await before.requester.setNode(C, 'reject', '');
    const kit = await makeKit({ environment: environment.crash(), hello: false, requester: TIMES });
    const views = kit.requester
      .nodes()
      .map(({ info, membership, connection }) => [info.nodeId, membership, connection]);
    assert.deepEqual(views, [
      [B, 'APPROVED', 'DISCONNECTED'],
      [C, 'REJECTED', 'DISCONNECTED'],
    ]);
    const later = await kit.requester.submit(
      checked({ Constraints: [{ Key: 'x', Operator: 'exists', Values: [] }] }),
    );
    assert.equal(state(kit, later.jobId), 'Failed', 'no known node will ever suit it');
    const queued = await kit.requester.submit(checked());
    assert.equal(state(kit, queued.jobId), 'Queued');
    kit.clock.advance(LOST_MS - 1000);
    await turns();
    assert.deepEqual(statesOf(kit, jobId), ['b BidAccepted']);
    const again = peerOf(kit, B);
    again.node.onAccepted = () => undefined;
    await again.connect();
    await turns();
    const [execution] = kit.store.executions(jobId);
    assert.deepEqual(again.node.accepted, [execution?.id], 'it is said again');
    again.disconnect();
    kit.clock.advance(LOST_MS);
    await turns();
    assert.deepEqual(statesOf(kit, jobId), ['b Failed']);
    assert.equal(state(kit, jobId), 'Queued');
  });
});

it('a node that stays away for a week is forgotten, and jobs that only it could run fail', async () => {
  const DAY_MS = 86_400_000;
  const { kit, b, c } = await network();
  await b.connect({ engines: ['docker'] });
  const { jobId } = await kit.requester.submit(checked({ engine: 'docker' }));
  await turns();
  b.disconnect();
  await c.connect();
  for (let day = 0; day < 6; day += 1) {
    kit.clock.advance(DAY_MS);
    await turns();
  }
  assert.equal(state(kit, jobId), 'Queued');
  kit.clock.advance(DAY_MS + 1000);
  // Nodes say what they have from time to time.
  await c.node.reply({ type: 'NodeInfo', info: nodeInfo({}, C) });
  kit.clock.advance(1000);
  await turns();
  assert.equal(state(kit, jobId), 'Failed');
  assert.deepEqual(
    kit.requester.nodes().map(({ info }) => info.nodeId),
    [C],
  );
});

describe('whose word counts', () => {
  it('only that of the node an execution was given to; the rest is refused and counted', async () => {
    const { kit, b, c } = await network();
    await b.connect();
    const { jobId } = await kit.requester.submit(checked());
    await turns();
    await c.connect();
    const [ask] = b.node.asks;
    assert.ok(ask !== undefined);
    const { executionId } = ask;
    await c.node.bid(ask);
    await c.node.refuse(ask, true);
    await c.node.reply({ type: 'BidWaiting', executionId, jobId, reason: '', untilMs: 1 });
    await c.node.reply({ type: 'ExecutionStarted', executionId, jobId });
    await c.node.finish(ask);
    const error = { code: 'Internal', message: 'x' } as const;
    await c.node.reply({ type: 'ComputeError', executionId, jobId, error, topic: '' });
    await c.node.reply({ type: 'NodeInfo', info: nodeInfo({}, B) });
    assert.deepEqual(statesOf(kit, jobId), ['b AskForBid']);
    assert.deepEqual(
      kit.refused.map(({ from, type, why }) => [from === C, type, why]),
      [
        ...['BidResult', 'BidResult', 'BidWaiting', 'ExecutionStarted', 'RunResult', 'ComputeError'].map(
          (type) => [true, type, 'foreign'],
        ),
        [true, 'NodeInfo', 'spoofed'],
      ],
    );
    assert.equal(kit.store.outbox.pending(C, { limit: 9 }).length, 0);
  });

  it('an offer for an execution nobody knows is turned down, and nothing is written', async () => {
    const { kit, b } = await network();
    await b.connect();
    await kit.store.flushed();
    await b.node.bid({ type: 'AskForBid', executionId: 'e-unknown', jobId: 'j-unknown', jobVersion: 1 });
    await turns();
    assert.deepEqual(b.node.turnedDown, ['e-unknown']);
    assert.equal(kit.store.outbox.size(), 0);
  });

  it('more nodes than are remembered: the one that has been away longest makes room', async () => {
    const kit = await makeKit({ hello: false, requester: { nodes: 3 } });
    const peers = ['p1', 'p2', 'p3', 'p4', 'p5'].map((id) => peerOf(kit, id));
    for (const peer of peers.slice(0, 3)) await peer.connect();
    peers[1]?.disconnect();
    await peers[3]?.connect();
    await peers[4]?.connect();
    assert.deepEqual(
      kit.requester.nodes().map(({ info }) => info.nodeId),
      ['p1', 'p3', 'p4'],
    );
  });
});
