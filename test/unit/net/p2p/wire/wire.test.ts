import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { NodeError } from '../../../../../src/core/errors.ts';
import type { AskForBid } from '../../../../../src/core/messages.ts';
import { MESSAGES_PROTOCOL } from '../../../../../src/net/p2p/wire/opener.ts';
import { waitUntil } from '../../../../support/node.ts';
import { archiveOf, keysInOrder, wireNode, wirePair } from '../../../../support/wire.ts';

const NOTHING = { cpu: 0, memory: 0, disk: 0, gpu: 0 };

const ask = (number: number, spec: Uint8Array): AskForBid => ({
  type: 'AskForBid',
  executionId: `e-${number}`,
  jobId: `j-${number}`,
  jobVersion: 1,
  spec,
});

test('a message arrives with its sender, and is acknowledged when it is handled', async (t) => {
  const [first, second] = await wirePair(t);
  const spec = Buffer.from('{"Name":"a job"}');
  await first.wire.send(second.id, ask(1, spec));
  assert.equal(second.received.length, 1);
  const [{ from, message } = assert.fail()] = second.received;
  assert.equal(from, first.id);
  assert.deepEqual(
    { ...message },
    { ...ask(1, spec), spec: message.type === 'AskForBid' ? message.spec : 0 },
  );
  assert.ok(message.type === 'AskForBid' && Buffer.from(message.spec ?? []).equals(spec));
  // And the other way.
  await second.wire.send(first.id, { type: 'ExecutionStarted', executionId: 'e-1', jobId: 'j-1' });
  assert.deepEqual(first.received, [
    { from: second.id, message: { type: 'ExecutionStarted', executionId: 'e-1', jobId: 'j-1' } },
  ]);
});

test('acknowledgements travel with what goes anyway, and alone when nothing does', async (t) => {
  const [first, second] = await wirePair(t, { second: { acknowledgeMs: 60_000 } });
  const sent = first.wire.send(second.id, { type: 'BidAccepted', executionId: 'e-1' });
  await waitUntil(() => second.received.length === 1, 'it has come');
  assert.equal(first.wire.peers()[0]?.unanswered, 1, 'it is handled and not acknowledged');
  second.wire.post(first.id, { type: 'RoomAnnounced', openSlots: 1, openCapacity: NOTHING });
  await sent;
  // So many are worth a frame.
  await Promise.all(
    Array.from({ length: 64 }, (_, number) =>
      first.wire.send(second.id, { type: 'BidAccepted', executionId: `e-${number}` }),
    ),
  );
  // And nothing else goes from the first to the second.
  const [third, fourth] = await wirePair(t);
  await third.wire.send(fourth.id, { type: 'BidAccepted', executionId: 'e-1' });
});

test('what the handler throws is what the sender gets', async (t) => {
  const [first, second] = await wirePair(t);
  second.handlers.message = () =>
    Promise.reject(new NodeError('Busy', 'not now', { details: { queue: 'full' } }));
  await assert.rejects(
    first.wire.send(second.id, { type: 'BidAccepted', executionId: 'e-1' }),
    (thrown) =>
      thrown instanceof NodeError &&
      thrown.code === 'Busy' &&
      thrown.message === 'not now' &&
      thrown.details?.['queue'] === 'full',
  );
});

test('eight thousand at once arrive in order, in few frames', async (t) => {
  const [first, second] = await wirePair(t);
  const spec = Buffer.alloc(300, 7);
  await Promise.all(
    Array.from({ length: 8000 }, (_, number) => first.wire.send(second.id, ask(number, spec))),
  );
  assert.deepEqual(
    second.received.map(({ message }) => 'executionId' in message && message.executionId),
    Array.from({ length: 8000 }, (_, number) => `e-${number}`),
  );
});

test('a large ask crosses on a stream of its own', async (t) => {
  const [first, second] = await wirePair(t);
  const spec = Buffer.alloc(4_000_000, 'spec');
  await first.wire.send(second.id, ask(1, spec));
  const message = second.received[0]?.message;
  assert.ok(message?.type === 'AskForBid' && Buffer.compare(message.spec ?? Buffer.alloc(0), spec) === 0);
  assert.match(
    await first.metrics.render(),
    /bacalhau_wire_bytes_total\{direction="out",traffic="body"\} 4000000/,
  );
});

test('logs are followed until they end, or until the reader stops', { timeout: 20_000 }, async (t) => {
  const [first, second] = await wirePair(t);
  let stopped = Promise.withResolvers<void>();
  second.handlers.logs = async function* (from, executionId, options, signal) {
    assert.equal(from, first.id);
    yield { stream: 'stdout', text: `${executionId} ${options.follow} ${options.tail}\n` };
    if (!options.follow) return;
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    stopped.resolve();
  };
  const read: string[] = [];
  const { signal } = new AbortController();
  for await (const { stream, text } of first.wire.logs(
    second.id,
    'e-1',
    { follow: false, tail: true },
    signal,
  ))
    read.push(`${stream}: ${text}`);
  assert.deepEqual(read, ['stdout: e-1 false true\n']);
  // The reader's signal, then the reader's break.
  const reader = new AbortController();
  for await (const { text } of first.wire.logs(
    second.id,
    'e-2',
    { follow: true, tail: false },
    reader.signal,
  )) {
    read.push(text);
    reader.abort();
  }
  await stopped.promise;
  stopped = Promise.withResolvers();
  for await (const { text } of first.wire.logs(second.id, 'e-3', { follow: true, tail: false }, signal)) {
    read.push(text);
    break;
  }
  await stopped.promise;
  assert.deepEqual(read.slice(1), ['e-2 true false\n', 'e-3 true false\n']);
});

test('an archive is read as it was published', { timeout: 20_000 }, async (t) => {
  const [first, second] = await wirePair(t);
  const bytes = Buffer.alloc(3_000_000, 'archive');
  second.handlers.archive = () => Promise.resolve(archiveOf(bytes));
  const archive = await first.wire.archive(second.id, 'e-1', new AbortController().signal);
  assert.equal(archive.bytes, bytes.length);
  assert.equal(Buffer.compare(await buffer(archive.stream), bytes), 0);
  const { signal } = new AbortController();
  second.handlers.archive = () => Promise.reject(new NodeError('ExecutionNotFound', 'no such execution'));
  await assert.rejects(
    first.wire.archive(second.id, 'e-2', signal),
    (thrown) => thrown instanceof NodeError && thrown.code === 'ExecutionNotFound',
  );
});

test('a peer without a link is not found', async (t) => {
  const [first] = await wirePair(t);
  const to = '12D3KooWBAvMfgDPT8YioMGafjHfCvia9e4cuaDM5txSMGEhrtjL';
  await assert.rejects(
    first.wire.send(to, { type: 'BidAccepted', executionId: 'e-1' }),
    (thrown) => thrown instanceof NodeError && thrown.code === 'NodeNotFound',
  );
  assert.equal(first.wire.post(to, { type: 'BidAccepted', executionId: 'e-1' }), false);
});

test('a stopped node is down at its peer, and sends in flight end', { timeout: 20_000 }, async (t) => {
  const [first, second] = await wirePair(t);
  second.handlers.message = () => new Promise(() => undefined);
  const sent = first.wire.send(second.id, { type: 'BidAccepted', executionId: 'e-1' });
  const rejected = assert.rejects(
    sent,
    (thrown) => thrown instanceof NodeError && thrown.code === 'LinkLost',
  );
  await second.wire.stop(Date.now() + 1000);
  await rejected;
  await first.unlinked(second.id);
  assert.deepEqual(first.downs, ['the peer says: the node stops (stopping)']);
  assert.deepEqual(first.wire.peers(), []);
});

test('a link that is reset is opened again, and both sides hear of both', { timeout: 20_000 }, async (t) => {
  const [first, second] = await wirePair(t);
  for (const [breaking, other] of [
    [first, second],
    [second, first],
  ] as const) {
    const gone = Promise.all([first.unlinked(second.id), second.unlinked(first.id)]);
    for (const connection of breaking.host.libp2p.getConnections()) {
      for (const stream of connection.streams) {
        if (stream.protocol === MESSAGES_PROTOCOL) stream.abort(new Error('the test breaks it'));
      }
    }
    await gone;
    await Promise.all([first.linked(second.id), second.linked(first.id)]);
    await breaking.wire.send(other.id, { type: 'BidAccepted', executionId: 'e-1' });
  }
});

test('a lost connection is a lost link, and its messages fail', { timeout: 20_000 }, async (t) => {
  const [first, second] = await wirePair(t);
  second.handlers.message = () => new Promise(() => undefined);
  const sent = [1, 2].map((number) => first.wire.send(second.id, ask(number, Buffer.alloc(10))));
  const gone = Promise.all([first.unlinked(second.id), second.unlinked(first.id)]);
  for (const connection of first.host.libp2p.getConnections()) connection.abort(new Error('cut'));
  for (const { status } of await Promise.allSettled(sent)) assert.equal(status, 'rejected');
  await gone;
  // The second keeps its configured peer.
  await Promise.all([first.linked(second.id), second.linked(first.id)]);
});

test('a peer of which nothing is heard is given up in time, one that is only quiet is not', {
  timeout: 20_000,
}, async (t) => {
  const quick = { pingMs: 100, silenceMs: 400 };
  // The second neither pings nor gives up by itself within the test.
  const [first, second] = await wirePair(t, { first: quick, second: { pingMs: 100, silenceMs: 60_000 } });
  const pinged = async (): Promise<void> => {
    while (first.wire.peers()[0]?.rttMs === undefined) await pause(10);
  };
  await pinged();
  assert.equal(first.downs.length, 0, 'pings kept it alive');
  for (const connection of second.host.libp2p.getConnections()) {
    // Nothing it sends leaves any more, and nothing says so: as a cable that was pulled.
    for (const stream of connection.streams) {
      if (stream.protocol === MESSAGES_PROTOCOL) stream.send = () => true;
    }
  }
  await first.unlinked(second.id);
  assert.deepEqual(first.downs, ['no sign of life for 400 ms']);
});

test('a receiver that is slow slows its sender down, and loses nothing', { timeout: 30_000 }, async (t) => {
  const few = { windowMessages: 50, handlingMessages: 20 };
  const [first, second] = await wirePair(t, { first: few, second: few });
  let handling = 0;
  let most = 0;
  let handled = 0;
  second.handlers.message = async () => {
    handling += 1;
    most = Math.max(most, handling);
    await new Promise((resolve) => setImmediate(resolve));
    handling -= 1;
    handled += 1;
  };
  await Promise.all(
    Array.from({ length: 1500 }, (_, number) => first.wire.send(second.id, ask(number, Buffer.alloc(2000)))),
  );
  assert.equal(handled, 1500);
  assert.ok(most <= 50, `${most} at once`);
});

test('posts are lost without a word where there is no room', { timeout: 20_000 }, async (t) => {
  const [first, second] = await wirePair(t, { first: { outboxMessages: 10 } });
  const taken = Array.from({ length: 20 }, () =>
    first.wire.post(second.id, { type: 'RoomAnnounced', openSlots: 1, openCapacity: NOTHING }),
  );
  assert.equal(taken.filter(Boolean).length, 10);
  await new Promise((resolve) => setImmediate(resolve));
  await first.wire.send(second.id, { type: 'BidAccepted', executionId: 'e-1' });
  assert.equal(second.received.length, 11);
  await assert.rejects(
    Promise.all(Array.from({ length: 20 }, () => first.wire.send(second.id, ask(1, Buffer.alloc(1))))),
    (thrown) => thrown instanceof NodeError && thrown.code === 'Busy',
  );
});

test('a wire that starts late finds the peers that are connected already', { timeout: 20_000 }, async (t) => {
  const [firstKey, secondKey] = await keysInOrder();
  const early = await wireNode(t, { privateKey: secondKey });
  const late = await wireNode(t, { privateKey: firstKey, peers: early.host.addresses(), startsLate: true });
  while (late.host.peers().length === 0) await pause(5);
  assert.deepEqual(late.wire.peers(), []);
  await late.wire.start();
  await Promise.all([early.linked(late.id), late.linked(early.id)]);
});

test('a body over what the peer accepts is refused before it crosses', { timeout: 20_000 }, async (t) => {
  const [first, second] = await wirePair(t, { second: { bodyBytes: 1_000_000 } });
  await first.wire.send(second.id, ask(1, Buffer.alloc(900_000)));
  await assert.rejects(
    first.wire.send(second.id, ask(2, Buffer.alloc(1_000_001))),
    (thrown) => thrown instanceof NodeError && thrown.code === 'BodyTooLarge',
  );
});
