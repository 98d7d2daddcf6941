import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import type { Stream } from '@libp2p/interface';
import { createHost, type P2pHost } from '../../../../src/net/p2p/host.ts';
import { newIdentity } from '../../../../src/net/p2p/identity.ts';
import { createLogger } from '../../../../src/telemetry/logger.ts';
import { waitUntil } from '../../../support/node.ts';

const PROTOCOL = '/bacalhau-test/raw/1.0.0';
const logger = createLogger({ level: 'silent', mode: 'json', colour: false });

interface Ends {
  readonly sender: Stream;
  readonly receiver: Stream;
  /** Bytes that have come. */
  received(): number;
  /** Frames the receiver has sent: it says nothing, so they tell of room. */
  updates(): number;
}

/** A stream between two hosts whose muxers are this node's. */
async function ends(t: TestContext): Promise<Ends> {
  const hosts: P2pHost[] = [];
  for (let index = 0; index < 2; index += 1) {
    const { privateKey } = await newIdentity();
    const peers = hosts.flatMap((host) => host.addresses());
    const host = await createHost({ privateKey, host: '127.0.0.1', port: 0, peers }, { logger });
    t.after(() => host.stop());
    hosts.push(host);
    await host.start();
  }
  const [listener, dialler] = hosts;
  assert.ok(listener !== undefined && dialler !== undefined);
  let received = 0;
  let updates = 0;
  const opened = Promise.withResolvers<Stream>();
  await listener.libp2p.handle(PROTOCOL, (stream) => {
    stream.addEventListener('message', ({ data }) => {
      received += data.byteLength;
    });
    // Whatever the stream sends goes through it.
    const inside = stream as unknown as { sendFrame: (...given: unknown[]) => boolean };
    const send = inside.sendFrame;
    inside.sendFrame = (...given) => {
      updates += 1;
      return send(...given);
    };
    opened.resolve(stream);
  });
  await waitUntil(() => dialler.libp2p.getConnections().length > 0, 'the hosts are connected');
  const [connection] = dialler.libp2p.getConnections();
  assert.ok(connection !== undefined);
  const sender = await connection.newStream(PROTOCOL);
  sender.send(new Uint8Array(1));
  return { sender, receiver: await opened.promise, received: () => received, updates: () => updates };
}

/** Sends so many messages, as the stream has room for them. */
async function sendAll(stream: Stream, count: number, bytes: number): Promise<void> {
  const message = randomBytes(bytes);
  for (let sent = 0; sent < count; sent += 1) {
    if (!stream.send(message)) {
      await new Promise((resolve) => stream.addEventListener('drain', resolve, { once: true }));
    }
    // One frame each.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('a sender of small messages is told of room rarely, and never waits for it', {
  timeout: 30_000,
}, async (t) => {
  const { sender, received, updates } = await ends(t);
  await sendAll(sender, 2000, 500);
  await waitUntil(() => received() === 1 + 2000 * 500, 'all has come');
  assert.ok(updates() <= 2 + 1_000_000 / 65_536, `${updates()} frames for 2,000 messages`);
});

test('large data crosses, and goes on after a pause that has taken up the whole window', {
  timeout: 30_000,
}, async (t) => {
  const { sender, receiver, received } = await ends(t);
  receiver.pause();
  const sending = sendAll(sender, 200, 60_000);
  await waitUntil(() => sender.writableNeedsDrain, 'the window is used up');
  for (let pauses = 0; pauses < 5; pauses += 1) {
    const before = received();
    receiver.resume();
    await waitUntil(() => received() > before, 'data goes on');
    receiver.pause();
    await new Promise((resolve) => setImmediate(resolve));
  }
  receiver.resume();
  await sending;
  await waitUntil(() => received() === 1 + 200 * 60_000, 'all has come');
});
