import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { NodeError } from '../../../../../src/core/errors.ts';
import type { AskForBid } from '../../../../../src/core/messages.ts';
import { archiveOf, wirePair } from '../../../../support/wire.ts';

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

test('ten thousand at once arrive in order, in few frames', async (t) => {
  const [first, second] = await wirePair(t);
  const spec = Buffer.alloc(300, 7);
  await Promise.all(
    Array.from({ length: 10_000 }, (_, number) => first.wire.send(second.id, ask(number, spec))),
  );
  assert.deepEqual(
    second.received.map(({ message }) => 'executionId' in message && message.executionId),
    Array.from({ length: 10_000 }, (_, number) => `e-${number}`),
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
