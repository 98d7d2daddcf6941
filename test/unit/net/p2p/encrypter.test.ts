import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NoiseMessages } from '../../../../src/net/p2p/encrypter.ts';
import { createHost } from '../../../../src/net/p2p/host.ts';
import { newIdentity } from '../../../../src/net/p2p/identity.ts';
import { createLogger } from '../../../../src/telemetry/logger.ts';
import { waitUntil } from '../../../support/node.ts';

/** With their lengths before them. */
function framed(messages: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    messages.flatMap((message) => [Buffer.from([message.length >> 8, message.length & 0xff]), message]),
  );
}

test('messages come out as they went in, however they are cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 20 }),
      fc.boolean(),
      (messages, cuts, asList) => {
        const bytes = framed(messages);
        const decoder = new NoiseMessages();
        const found: Uint8Array[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const chunk = bytes.subarray(at, at + (cuts[turn % cuts.length] ?? 1));
          at += chunk.length;
          found.push(...decoder.decode(asList ? { subarray: () => chunk } : chunk));
        }
        assert.deepEqual(
          found.map((message) => Buffer.from(message)),
          messages.map((message) => Buffer.from(message)),
        );
      },
    ),
  );
});

test('an empty message is passed over; the largest is whole', () => {
  const largest = Buffer.alloc(65_535, 7);
  const bytes = framed([new Uint8Array(0), largest, new Uint8Array(0)]);
  const decoder = new NoiseMessages();
  assert.deepEqual(decoder.decode(bytes.subarray(0, 1)), []);
  assert.deepEqual(decoder.decode(bytes.subarray(1, 40_000)), []);
  const [found, ...more] = decoder.decode(bytes.subarray(40_000));
  assert.ok(Buffer.from(found ?? []).equals(largest));
  assert.deepEqual(more, []);
});

test('both ends of a connection are read so', async (t) => {
  const readers = new Set<object>();
  const { decode } = NoiseMessages.prototype;
  t.mock.method(NoiseMessages.prototype, 'decode', function read(this: NoiseMessages, chunk: Uint8Array) {
    readers.add(this);
    return decode.call(this, chunk);
  });
  const logger = createLogger({ level: 'silent', mode: 'json', colour: false });
  let peers: string[] = [];
  for (let index = 0; index < 2; index += 1) {
    const { privateKey } = await newIdentity();
    const host = await createHost({ privateKey, host: '127.0.0.1', port: 0, peers }, { logger });
    t.after(() => host.stop());
    await host.start();
    peers = host.addresses();
  }
  await waitUntil(() => readers.size === 2, 'both have read what the other says of itself');
});
