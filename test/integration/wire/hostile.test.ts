import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { Connection } from '@libp2p/interface';
import { NodeError } from '../../../src/core/errors.ts';
import type { HostLimits } from '../../../src/net/p2p/host-limits.ts';
import { BODY_PROTOCOL } from '../../../src/net/p2p/wire/body-sender.ts';
import { FETCH_PROTOCOL } from '../../../src/net/p2p/wire/fetch-frames.ts';
import { type WireLimits, wireLimits } from '../../../src/net/p2p/wire/limits.ts';
import { pack } from '../../../src/net/p2p/wire/msgpack.ts';
import { MESSAGES_PROTOCOL } from '../../../src/net/p2p/wire/opener.ts';
import { parsePrometheus, sample } from '../../support/prometheus.ts';
import { keysInOrder, type WireNode, wireNode } from '../../support/wire.ts';
import {
  accepted,
  batchOf,
  frameOf,
  helloOf,
  type RawPeer,
  type RawStream,
  rawLink,
  rawPeer,
  rawStream,
} from '../../support/wire-raw.ts';

/** What one test does stays below the strikes that bar a peer, but where it is about those. */
const PATIENT = { strikes: 1000 };

/** A node, and a hostile peer that may open the link. */
async function against(
  t: TestContext,
  limits: Partial<WireLimits> = PATIENT,
  hostLimits: Partial<HostLimits> = {},
): Promise<{ node: WireNode; hostile: RawPeer }> {
  const [first, second] = await keysInOrder();
  const ends: (() => unknown)[] = [];
  // The hostile host goes first: one whose peer has gone waits half a second for it.
  t.after(async () => {
    for (const end of ends.toReversed()) await end();
  });
  const scope = { after: (end: () => unknown) => void ends.push(end) };
  const node = await wireNode(scope, { privateKey: second, limits, hostLimits });
  return { node, hostile: await rawPeer(scope, node, first) };
}

async function metric(node: WireNode, name: string, labels: Record<string, string> = {}): Promise<number> {
  return sample(parsePrometheus(await node.metrics.render()), name, labels);
}

const refused = (node: WireNode, reason: string): Promise<number> =>
  metric(node, 'bacalhau_wire_refused_total', { reason });

/** Resolves when the node has refused as often for that reason: nothing else tells of it. */
async function refusedTimes(node: WireNode, reason: string, times: number): Promise<void> {
  while ((await refused(node, reason)) < times) await pause(5);
}

/** The link ends with a goodbye that says why, and the refusal is counted. */
async function endsFor(node: WireNode, raw: RawStream, reason: string, text: RegExp): Promise<void> {
  const goodbye = await raw.frame('goodbye');
  assert.equal(goodbye.reason, reason);
  assert.match(goodbye.text, text);
  await raw.closed;
  assert.equal(await refused(node, reason), 1);
  assert.equal(node.wire.peers().length, 0);
}

const bytesOf = (length: number): Buffer => Buffer.alloc(length, 0xc1);

for (const [name, bytes, reason, text] of [
  ['garbage', bytesOf(5000), 'oversized', /a frame of 3250700737 bytes; 524288 are allowed/],
  [
    'a frame of garbage',
    Buffer.concat([Buffer.from([0, 0, 0, 9]), bytesOf(9)]),
    'malformed',
    /frame: an array/,
  ],
  ['an oversized frame', Buffer.from([0, 8, 0, 1]), 'oversized', /524289 bytes/],
  ['a forged sender', batchOf([2, 1, 1, pack(['e-1']), null, '12D3KooWother']), 'forged', /of 12D3KooWother/],
  [
    'messages out of sequence',
    batchOf(accepted(1, 1), accepted(2, 3)),
    'sequence',
    /message 3 follows message 1/,
  ],
  [
    'a request number again',
    batchOf(accepted(1, 1), accepted(1, 2)),
    'sequence',
    /request 1 follows request 1/,
  ],
  ['an answer nobody asked for', frameOf([1, [], [5], []]), 'sequence', /answer to 5, which nobody asked/],
  ['a second hello', helloOf('12D3KooWother'), 'hello', /second hello/],
  [
    'more messages than a frame may have',
    batchOf(...new Array(600).fill(0)),
    'malformed',
    /600 in one frame/,
  ],
] as const) {
  test(`${name}: the link ends with the reason`, { timeout: 20_000 }, async (t) => {
    const { node, hostile } = await against(t);
    const raw = await rawLink(hostile);
    raw.send(bytes);
    await endsFor(node, raw, reason, text);
  });
}

test('a hello of another, or none: no link', { timeout: 20_000 }, async (t) => {
  const { node, hostile } = await against(t);
  const connection = await hostile.dial();
  const forged = await rawStream(connection, MESSAGES_PROTOCOL);
  forged.send(helloOf(node.id));
  await endsFor(node, forged, 'forged', /a hello of/);
  const early = await rawStream(connection, MESSAGES_PROTOCOL);
  early.send(batchOf(accepted(1, 1)));
  await endsFor(node, early, 'hello', /a batch frame came before the hello/);
  assert.deepEqual(node.received, []);
});

test('a peer that says nothing at all is given up', { timeout: 20_000 }, async (t) => {
  const { node, hostile } = await against(t, { helloMs: 200, pingMs: 100 });
  const silent = await rawStream(await hostile.dial(), MESSAGES_PROTOCOL);
  await endsFor(node, silent, 'hello', /no hello within 200 ms/);
});

test('a frame cut off by the end of the stream is counted', { timeout: 20_000 }, async (t) => {
  const { node, hostile } = await against(t);
  const raw = await rawLink(hostile);
  raw.send(batchOf(accepted(1, 1)).subarray(0, 9));
  await raw.stream.close();
  await endsFor(node, raw, 'truncated', /inside a frame/);
});

test('unknown types, bad payloads and bombs are refused one by one; the link goes on', {
  timeout: 20_000,
}, async (t) => {
  const { node, hostile } = await against(t);
  const raw = await rawLink(hostile);
  const bomb = Buffer.from([0xdd, 0x7f, 0xff, 0xff, 0xff]);
  const deep = Buffer.concat([bytesOf(0), Buffer.alloc(60_000, 0x91)]);
  raw.send(
    batchOf(
      [99, 1, 1, pack([1])],
      [2, 2, 2, pack([{ not: 'an id' }])],
      [2, 3, 3, bomb],
      [2, 4, 4, deep],
      [10, 5, 5, pack([{ nodeId: node.id, roles: {}, labels: {}, version: '', compute: null }])],
      accepted(6, 6),
    ),
    frameOf([44, 'a frame of the future']),
  );
  const { batch } = await raw.frame('batch');
  assert.deepEqual(
    batch.nacks.map(({ id, error }) => [id, error.code, error.message]),
    [
      [1, 'MessageInvalid', 'message type 99 is not known to this node'],
      [2, 'MessageInvalid', 'BidAccepted: executionId: text was expected, got object'],
      [3, 'MessageInvalid', 'BidAccepted: an array or map: cut off'],
      [4, 'MessageInvalid', 'BidAccepted: nested more than 12 deep'],
      [5, 'MessageInvalid', 'NodeInfo: info: roles: compute: a flag was expected, got undefined'],
    ],
  );
  assert.deepEqual(batch.acks, [6]);
  assert.equal(node.received.length, 1);
  await refusedTimes(node, 'unknown', 2);
  assert.equal(await refused(node, 'invalid'), 2);
  assert.equal(await refused(node, 'malformed'), 2);
  assert.equal(node.wire.peers().length, 1);
});

test('the side that may not open the link is refused', { timeout: 20_000 }, async (t) => {
  const [first, second] = await keysInOrder();
  const node = await wireNode(t, { privateKey: first });
  const hostile = await rawPeer(t, node, second);
  const raw = await rawStream(await hostile.dial(), MESSAGES_PROTOCOL);
  await raw.closed;
  assert.equal(await refused(node, 'side'), 1);
});

test('a flood of messages is read slowly, and held in bounds while the handler is slow', {
  timeout: 30_000,
}, async (t) => {
  const { node, hostile } = await against(t, { ...PATIENT, messagesPerSecond: 2000, handlingMessages: 600 });
  const release = Promise.withResolvers<void>();
  let handling = 0;
  let most = 0;
  node.handlers.message = async () => {
    handling += 1;
    most = Math.max(most, handling);
    await release.promise;
    handling -= 1;
  };
  const raw = await rawLink(hostile);
  let sequence = 0;
  for (let frame = 0; frame < 40; frame += 1) {
    const messages = Array.from({ length: 100 }, () => {
      sequence += 1;
      return accepted(sequence, sequence);
    });
    raw.send(batchOf(...messages));
  }
  while (handling < 600) await pause(5);
  assert.ok(node.wire.peers()[0]?.handling === 600, 'what is over the bound is not read');
  assert.equal(await refused(node, 'throttled'), 0);
  release.resolve();
  await refusedTimes(node, 'throttled', 1);
  assert.ok(most <= 600, `${most} at once`);
  assert.equal(node.wire.peers().length, 1, 'the link goes on');
});

test('a peer that never reads loses its link; what was sent to it fails, and no more is kept', {
  timeout: 30_000,
}, async (t) => {
  const { node, hostile } = await against(t, {
    ...PATIENT,
    pingMs: 200,
    stalledMs: 600,
    outboxBytes: 2_000_000,
  });
  const raw = await rawLink(hostile);
  raw.stream.pause();
  await node.linked(hostile.id);
  // As much as the stream takes, and then as much as the outbox does.
  const spec = Buffer.alloc(50_000);
  const sent: Promise<void>[] = [];
  for (let number = 0; number < 200; number += 1) {
    sent.push(
      node.wire.send(hostile.id, {
        type: 'AskForBid',
        executionId: `e-${number}`,
        jobId: 'j-1',
        jobVersion: 1,
        spec,
      }),
    );
  }
  // The other half of the stream is alive: only its reader is not.
  const speaking = setInterval(() => raw.send(frameOf([2, 1])), 50);
  t.after(() => clearInterval(speaking));
  const codes = await Promise.all(
    sent.map((one) =>
      one.then(String, (thrown: unknown) => (thrown instanceof NodeError ? thrown.code : thrown)),
    ),
  );
  assert.deepEqual(new Set(codes), new Set(['LinkLost', 'Busy']));
  assert.equal(await refused(node, 'stalled'), 1);
  assert.equal(node.wire.peers().length, 0);
});

test('streams opened too fast are refused, then the connection is closed', { timeout: 30_000 }, async (t) => {
  const { node, hostile } = await against(
    t,
    { ...PATIENT, streamsPerSecond: 1, streamBurst: 20 },
    { streamsPerSecond: 10, streamBurst: 100 },
  );
  const connection = await hostile.dial();
  await rawLink(hostile, connection);
  const open = (): Promise<unknown> =>
    connection
      .newStream(FETCH_PROTOCOL)
      .then((stream) => stream.abort(new Error('flood')))
      .catch(() => undefined);
  for (let index = 0; index < 40; index += 1) await open();
  assert.ok((await refused(node, 'rate')) >= 15);
  const flood = async (): Promise<void> => {
    // Between rounds the loop must turn: a closed muxer refuses at once.
    for (; connection.status === 'open'; await pause(1)) await Promise.all(Array.from({ length: 50 }, open));
  };
  await flood();
  assert.ok((await refused(node, 'flood')) >= 1);
});

test('links opened again and again are refused', { timeout: 30_000 }, async (t) => {
  const { node, hostile } = await against(t, { ...PATIENT, linkBurst: 3 });
  const connection = await hostile.dial();
  for (let time = 0; time < 3; time += 1) await rawLink(hostile, connection);
  const refusedStream = await rawStream(connection, MESSAGES_PROTOCOL);
  await refusedStream.closed;
  assert.equal(await refused(node, 'rate'), 1);
  assert.deepEqual(node.downs.slice(0, 2), new Array(2).fill('the peer has opened another stream'));
});

test('bodies: oversized, truncated, unannounced, too long, without a link', {
  timeout: 30_000,
}, async (t) => {
  const { node, hostile } = await against(t, { ...PATIENT, bodyIdleMs: 500, pingMs: 200 });
  const connection = await hostile.dial();
  const body = async (...parts: Uint8Array[]): Promise<void> => {
    const raw = await rawStream(connection, BODY_PROTOCOL);
    raw.send(...parts);
    await raw.stream.close().catch(() => undefined);
  };
  await body(frameOf([1, 10]), bytesOf(10));
  await refusedTimes(node, 'hello', 1);
  const raw = await rawLink(hostile, connection);
  await body(frameOf([1, wireLimits.bodyBytes + 1]));
  await refusedTimes(node, 'oversized', 1);
  await body(frameOf([2, 100]), bytesOf(101));
  await refusedTimes(node, 'oversized', 2);
  await body(frameOf([3, 100]), bytesOf(99));
  await refusedTimes(node, 'truncated', 1);
  await body(frameOf(['three', 100]), bytesOf(99));
  await refusedTimes(node, 'malformed', 1);
  await body(frameOf([4, 100]), bytesOf(100));
  await refusedTimes(node, 'invalid', 1);
  // The message that names the truncated one is refused, as one that can be sent again.
  await body(frameOf([5, 100]), bytesOf(9));
  raw.send(batchOf([2, 1, 1, 5]));
  const { batch } = await raw.frame('batch');
  assert.deepEqual(
    batch.nacks.map(({ id, error }) => [id, error.code]),
    [[1, 'LinkLost']],
  );
  assert.equal(await metric(node, 'bacalhau_wire_body_bytes'), 0);
  assert.deepEqual(node.received, []);
});

test('bodies of all peers together have a bound; the next waits unread', { timeout: 30_000 }, async (t) => {
  const { node, hostile } = await against(t, { ...PATIENT, bodyTotalBytes: 1_000_000 });
  const release = Promise.withResolvers<void>();
  node.handlers.message = () => release.promise;
  const connection = await hostile.dial();
  const raw = await rawLink(hostile, connection);
  const spec = bytesOf(600_000);
  const asking = [1, 2].map(async (number) => {
    const one = await rawStream(connection, BODY_PROTOCOL);
    one.send(frameOf([number, spec.length]), spec);
    await one.stream.close();
  });
  raw.send(batchOf([1, 1, 1, pack(['e-1', 'j-1', 1]), 1], [1, 2, 2, pack(['e-2', 'j-2', 1]), 2]));
  await Promise.race(asking);
  while ((await metric(node, 'bacalhau_wire_body_bytes')) === 0) await pause(5);
  assert.equal(await metric(node, 'bacalhau_wire_body_bytes'), 600_000);
  release.resolve();
  await Promise.all(asking);
  for (;;) {
    const acks = raw.frames.flatMap((frame) => (frame.kind === 'batch' ? frame.batch.acks : []));
    if (acks.length === 2) break;
    await pause(5);
  }
  assert.equal(await metric(node, 'bacalhau_wire_body_bytes'), 0);
});

test('logs and archives: without a link, too many, garbage, a request again', {
  timeout: 30_000,
}, async (t) => {
  const { node, hostile } = await against(t, { ...PATIENT, fetchesPerPeer: 3 });
  const connection = await hostile.dial();
  const answerTo = async (bytes: Uint8Array): Promise<unknown[]> => {
    const stream = await connection.newStream(FETCH_PROTOCOL);
    stream.send(bytes);
    for await (const chunk of stream) {
      stream.abort(new Error('seen'));
      const { decodeAnswer } = await import('../../../src/net/p2p/wire/fetch-frames.ts');
      const answer = decodeAnswer((chunk instanceof Uint8Array ? chunk : chunk.subarray()).subarray(4));
      return answer.kind === 'error' ? [answer.error.code, answer.error.message] : [answer.kind];
    }
    return ['nothing'];
  };
  assert.deepEqual(await answerTo(frameOf([1, 'e-1'])), ['NodeNotFound', 'no link, no fetch']);
  await rawLink(hostile, connection);
  assert.deepEqual(await answerTo(frameOf([1, 'e-1'])), ['ExecutionNotFound', 'execution not found: e-1']);
  assert.deepEqual(await answerTo(frameOf([9, 'e-1'])), [
    'MessageInvalid',
    'fetch kind 9 is not known to this node',
  ]);
  assert.deepEqual(await answerTo(bytesOf(100)), [
    'MessageInvalid',
    'a frame of 3250700737 bytes; 1024 are allowed',
  ]);
  node.handlers.logs = async function* (_from, _id, _options, signal) {
    yield* [];
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  };
  const open = await Promise.all([1, 2, 3].map(() => connection.newStream(FETCH_PROTOCOL)));
  for (const stream of open) stream.send(frameOf([1, 'e-1', 1]));
  while ((await metric(node, 'bacalhau_wire_fetches')) < 3) await pause(5);
  const [code] = await answerTo(frameOf([1, 'e-1']));
  assert.equal(code, 'Busy');
  assert.equal(await refused(node, 'full'), 1);
  for (const stream of open) stream.abort(new Error('enough'));
  while ((await metric(node, 'bacalhau_wire_fetches')) > 0) await pause(5);
});

test('a peer that offends again and again is barred: its connections are closed and refused', {
  timeout: 30_000,
}, async (t) => {
  const { node, hostile } = await against(t, {});
  const connections: Connection[] = [];
  for (let offence = 0; offence < 3; offence += 1) {
    const connection = await hostile.dial();
    connections.push(connection);
    const raw = await rawLink(hostile, connection);
    raw.send(Buffer.from([0xff, 0xff, 0xff, 0xff]));
    await raw.closed;
  }
  await refusedTimes(node, 'oversized', 3);
  assert.equal(await metric(node, 'bacalhau_wire_barred_peers'), 1);
  while (node.host.peers().length > 0) await pause(5);
  // The handshake may still look well from the other side; nothing can be opened over it.
  await assert.rejects(hostile.dial().then((connection) => connection.newStream(MESSAGES_PROTOCOL)));
  assert.deepEqual(node.host.peers(), []);
});
