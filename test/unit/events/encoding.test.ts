import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { unpack } from 'msgpackr';
import { Entry, encodeEvents, encodeNotice } from '../../../src/events/encoding.ts';
import { eventOf } from '../../../src/events/event.ts';
import { testRow } from '../../support/events.ts';

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

it('says the same in JSON, msgpack and Server-Sent Events, one event or many', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constant(1500)),
      fc.string({ unit: 'binary', maxLength: 20 }),
      (count, message) => {
        const rows = Array.from({ length: count }, (_, n) => ({
          ...testRow(n * 3 + 1, 'compute'),
          message: message.toWellFormed(),
        }));
        const entries = rows.map((row) => new Entry(row));
        const expected = rows.map(eventOf);
        assert.deepEqual(JSON.parse(text(encodeEvents(entries, 'json'))), expected);
        assert.deepEqual(unpack(encodeEvents(entries, 'msgpack')), expected);
        const blocks = text(encodeEvents(entries, 'sse')).split('\n\n').slice(0, -1);
        assert.deepEqual(
          blocks.map((block) => {
            const [id, type, data] = block.split('\n');
            return { id, type, event: JSON.parse(data?.replace(/^data: /, '') ?? '') as unknown };
          }),
          expected.map((event) => ({ id: `id: ${event.seq}`, type: `event: ${event.type}`, event })),
        );
      },
    ),
  );
});

it('encodes an event once for all who want it', () => {
  const entry = new Entry(testRow(1, 'requester'));
  assert.equal(entry.msgpack, entry.msgpack);
  assert.equal(entry.json, entry.json);
});

it('carries notices in every encoding', () => {
  const gap = { gap: { role: 'compute', from: 1, to: 9 } } as const;
  assert.deepEqual(JSON.parse(text(encodeNotice(gap, 'json'))), [gap]);
  assert.deepEqual(unpack(encodeNotice(gap, 'msgpack')), [gap]);
  assert.equal(text(encodeNotice(gap, 'sse')), `event: gap\ndata: ${JSON.stringify(gap.gap)}\n\n`);
  assert.equal(text(encodeNotice({ at: 12 }, 'sse')), ': at 12\nid: 12\n\n');
});
