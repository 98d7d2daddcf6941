import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type ExecutionId, newExecutionId, newJobId } from '../../src/core/ids.ts';
import type { Message } from '../../src/core/messages.ts';
import { mockJob } from '../support/jobs.ts';
import { startTestNode, type TestNode, waitUntil } from '../support/node.ts';
import { localExecutions } from '../support/node-facts.ts';
import { spec } from '../support/requester/kit.ts';
import { type WireNode, wireNode } from '../support/wire.ts';

interface Asked {
  readonly executionId: ExecutionId;
  readonly ask: Message;
}

function ask(durationMs: number, executionId: ExecutionId = newExecutionId()): Asked {
  const jobId = newJobId();
  const made = spec({ ID: jobId, cpu: '0.1' });
  const [task] = made.Tasks;
  const job = {
    ...made,
    Tasks: [{ ...task, Engine: { Type: 'mock', Params: { Duration: `${durationMs}ms` } } }],
  };
  const bytes = new TextEncoder().encode(JSON.stringify(job));
  return { executionId, ask: { type: 'AskForBid', executionId, jobId, jobVersion: 1, spec: bytes } };
}

async function answer<T extends Message['type']>(
  peer: WireNode,
  type: T,
  executionId: ExecutionId,
): Promise<Extract<Message, { type: T }>> {
  return waitUntil(() => {
    const found = peer.received.find(
      ({ message }) =>
        message.type === type && 'executionId' in message && message.executionId === executionId,
    );
    return found?.message as Extract<Message, { type: T }> | undefined;
  }, `${type} comes`);
}

/** A compute node that takes jobs of `friend` only, linked with a stranger too. */
async function world(t: TestContext): Promise<{ node: TestNode; friend: WireNode; stranger: WireNode }> {
  const [friend, stranger] = [await wireNode(t), await wireNode(t)];
  const [near = '', far = ''] = [friend, stranger].map(({ host }) => host.addresses()[0]);
  const flags = ['--node-type', 'compute', '--accept-bids-from', friend.id, '--peer', near, '--peer', far];
  const node = await startTestNode(t, { flags });
  await Promise.all([friend.linked(node.nodeId), stranger.linked(node.nodeId)]);
  return { node, friend, stranger };
}

async function refusals(node: TestNode): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const [name, value] of await node.metrics()) {
    const reason = /^bacalhau_messages_refused_total\{reason="(\w+)"\}$/.exec(name)?.[1];
    if (reason !== undefined) found[reason] = value;
  }
  return found;
}

test('a compute node answers the requesters it is told to, and only who asked has a say', {
  timeout: 60_000,
}, async (t) => {
  const { node, friend, stranger } = await world(t);
  const to = node.nodeId;

  const unwanted = ask(0);
  await stranger.wire.send(to, unwanted.ask);
  const { accepted, reason, rejection } = await answer(stranger, 'BidResult', unwanted.executionId);
  assert.deepEqual([accepted, rejection?.code, rejection?.final], [false, 'requester', true]);
  assert.match(reason, /takes no jobs of requester .*--accept-bids-from/);

  const wanted = ask(1500);
  const { executionId } = wanted;
  await friend.wire.send(to, wanted.ask);
  assert.equal((await answer(friend, 'BidResult', executionId)).accepted, true);

  // The stranger learns the id, and tries everything.
  const meddle: readonly Message[] = [
    { type: 'BidAccepted', executionId },
    { type: 'BidRejected', executionId, reason: 'mine' },
    { type: 'CancelExecution', executionId, reason: 'mine' },
  ];
  const state = async (): Promise<string> =>
    (await localExecutions(node)).find(({ id }) => id === executionId)?.state ?? '';
  for (const message of meddle) await stranger.wire.send(to, message);
  assert.equal(await state(), 'Created');
  await stranger.wire.send(to, ask(0, executionId).ask);
  assert.equal((await answer(stranger, 'BidResult', executionId)).rejection?.code, 'invalid');

  await friend.wire.send(to, { type: 'BidAccepted', executionId });
  await waitUntil(async () => (await state()) !== 'Created', 'who asked has accepted');
  for (const message of meddle) await stranger.wire.send(to, message);
  const { signal } = new AbortController();
  const logs = async (peer: WireNode): Promise<void> => {
    for await (const _ of peer.wire.logs(to, executionId, { follow: true, tail: false }, signal)) continue;
  };
  await assert.rejects(logs(stranger), /execution not found/);
  await assert.rejects(stranger.wire.archive(to, executionId, signal), /execution not found/);
  await logs(friend);
  await answer(friend, 'RunResult', executionId);
  for (const message of meddle) await stranger.wire.send(to, message);
  assert.equal(await state(), 'Completed');
  assert.deepEqual(
    stranger.received.filter(({ message }) => message.type !== 'NodeInfo' && message.type !== 'RoomAnnounced')
      .length,
    2,
    'it was told of its own asks only',
  );
  assert.deepEqual(await refusals(node), { untrusted: 1, foreign: 12 });
});

test('a requester believes of an execution only the node it was given to', { timeout: 60_000 }, async (t) => {
  const stranger = await wireNode(t);
  const [far = ''] = stranger.host.addresses();
  const node = await startTestNode(t, { flags: ['--peer', far] });
  await stranger.linked(node.nodeId);
  const id = await node.submit(mockJob({ Duration: '1s', Stdout: 'own' }));
  const execution = await node.waitUntil(async () => (await node.executions(id))[0], 'it has an execution');
  const { id: executionId } = execution;
  const result = { Stdout: 'forged', StdoutTruncated: false, stderr: '', StderrTruncated: false };
  await stranger.wire.send(node.nodeId, {
    type: 'RunResult',
    executionId,
    jobId: id,
    result: { ...result, ExitCode: 0, ErrorMsg: '' },
    published: { Type: '' },
  });
  await stranger.wire.send(node.nodeId, {
    type: 'ComputeError',
    executionId,
    jobId: id,
    error: { code: 'Internal', message: 'forged' },
    topic: 'Execution',
  });
  // Nothing stands in the way of a made-up offer either, but nothing comes of it.
  await stranger.wire.send(node.nodeId, {
    type: 'BidResult',
    executionId: newExecutionId(),
    jobId: newJobId(),
    accepted: true,
    reason: '',
  });
  assert.equal((await node.waitForJob(id)).state, 'Completed');
  assert.deepEqual(
    (await node.executions(id)).map(({ stdout }) => stdout),
    ['own'],
  );
  assert.deepEqual(await refusals(node), { foreign: 2 });
});

test('the start says who may offer jobs', { timeout: 60_000 }, async (t) => {
  const open = await startTestNode(t, { flags: ['--swarm-host', '0.0.0.0'] });
  assert.match(open.output.stdout, /Warning: .*any node that reaches port \d+ may offer jobs to this one/);
  const closed = await startTestNode(t, { flags: ['--swarm-host', '0.0.0.0', '--accept-bids-from', 'none'] });
  assert.doesNotMatch(closed.output.stdout, /may offer jobs/);
  const id = await closed.submit(mockJob());
  assert.equal((await closed.waitForJob(id)).state, 'Completed', 'its own it takes always');
});
