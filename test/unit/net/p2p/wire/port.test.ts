import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { PacedWriter, takenFrame } from '../../../../../src/net/p2p/wire/paced-writer.ts';
import { Port } from '../../../../../src/net/p2p/wire/port.ts';
import { streamPair } from '../../../../support/stream-pair.ts';

const ignore = {
  data: () => undefined,
  drained: () => undefined,
  ended: () => undefined,
  closed: () => undefined,
};

test('a port that is paused whenever it hands something out loses nothing, and its peer waits', {
  timeout: 30_000,
}, async (t) => {
  const { local, remote } = await streamPair(t);
  const total = 20_000_000;
  let received = 0;
  const done = Promise.withResolvers<void>();
  const port = new Port(remote, {
    data: (chunk) => {
      received += chunk.length;
      // Within resume(), too: here yamux alone would go on.
      port.pause();
      if (received >= total) done.resolve();
    },
    drained: () => undefined,
    ended: () => undefined,
    closed: (error) => done.reject(error ?? new Error('closed')),
  });
  const resuming = setInterval(() => port.resume(), 1);
  t.after(() => clearInterval(resuming));
  const piece = Buffer.alloc(50_000, 'x');
  let sent = 0;
  const send = (): void => {
    while (sent < total) {
      sent += piece.length;
      if (!sender.send(piece)) return;
    }
  };
  const sender = new Port(local, {
    data: () => undefined,
    drained: () => {
      assert.equal(local.writeBufferLength, 0);
      send();
    },
    ended: () => undefined,
    closed: (error) => done.reject(error ?? new Error('closed')),
  });
  send();
  await done.promise;
  assert.equal(received, total);
});

test('a stream whose peer does not read gets no more while others of its connection go on', {
  timeout: 30_000,
}, async (t) => {
  const { local, remote, another } = await streamPair(t);
  new Port(remote, ignore).pause();
  let drains = 0;
  const stuck = new Port(local, { ...ignore, drained: () => void (drains += 1) });
  while (stuck.send(Buffer.alloc(60_000))) await new Promise((resolve) => setImmediate(resolve));
  const held = local.writeBufferLength;
  const side = await another();
  const busy = new Port(side.local, ignore);
  let received = 0;
  side.remote.addEventListener('message', ({ data }) => {
    received += data.byteLength;
  });
  for (let piece = 0; piece < 100; piece += 1) {
    busy.send(Buffer.alloc(60_000));
    await pause(1);
  }
  while (received < 6_000_000) await pause(1);
  assert.deepEqual({ drains, held: local.writeBufferLength }, { drains: 0, held });
});

test('a paused port holds no more than its window, however long it is paused', {
  timeout: 30_000,
}, async (t) => {
  const { local, remote } = await streamPair(t);
  let received = 0;
  const port = new Port(remote, {
    data: (chunk) => {
      received += chunk.length;
    },
    drained: () => undefined,
    ended: () => undefined,
    closed: () => undefined,
  });
  port.pause();
  assert.equal(port.isPaused, true);
  const piece = Buffer.alloc(100_000);
  let sent = 0;
  while (local.send(piece)) {
    sent += piece.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  sent += piece.length;
  assert.equal(received, 0);
  assert.equal(remote.status, 'open');
  port.resume();
  while (received < sent) await pause(1);
  assert.equal(received, sent);
});

test('a paced writer has a bounded amount under way, and ends when all is taken', {
  timeout: 30_000,
}, async (t) => {
  const { local, remote } = await streamPair(t);
  const writer = new PacedWriter(local, {
    idleMs: 10_000,
    isShared: () => false,
    onData: (chunk) => writer.taken(chunk),
  });
  let taken = 0;
  let waiting = 0;
  let most = 0;
  remote.addEventListener('message', ({ data }) => {
    waiting += data.byteLength;
    most = Math.max(most, waiting);
  });
  // A reader that takes 100 kB every 2 ms.
  const reading = setInterval(() => {
    const now = Math.min(waiting, 100_000);
    waiting -= now;
    taken += now;
    if (now > 0) remote.send(takenFrame(taken));
  }, 2);
  t.after(() => clearInterval(reading));
  for (let piece = 0; piece < 100; piece += 1) await writer.write(Buffer.alloc(32_768));
  await writer.end(1000);
  assert.equal(taken, 100 * 32_768);
  assert.ok(most <= 524_288 + 32_768, `${most} bytes were under way`);
});

test('a paced writer gives up a reader that takes nothing, and one that takes what was never sent', {
  timeout: 30_000,
}, async (t) => {
  const idle = await streamPair(t);
  const stalled = new PacedWriter(idle.local, { idleMs: 50, isShared: () => true, onData: () => undefined });
  await assert.rejects(
    (async () => {
      for (;;) await stalled.write(Buffer.alloc(32_768));
    })(),
    /nothing was read for 50 ms/,
  );
  const lying = await streamPair(t);
  const writer = new PacedWriter(lying.local, {
    idleMs: 5000,
    isShared: () => false,
    onData: () => undefined,
  });
  await writer.write(Buffer.alloc(100));
  assert.throws(() => writer.taken(takenFrame(101)), /101 bytes taken, of 100 sent/);
});
