import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BodyBytes } from '../../../../src/net/api/body-bytes.ts';

test('pieces of any size come out as one', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 3000 })), (pieces) => {
      const bytes = new BodyBytes();
      for (const piece of pieces) bytes.append(piece);
      assert.deepEqual(Buffer.from(bytes.whole()), Buffer.concat(pieces));
      assert.equal(bytes.length, bytes.whole().byteLength);
    }),
  );
});

test('a million pieces of a byte take the memory of a few million bytes, and not of a million objects', () => {
  const bytes = new BodyBytes();
  const before = process.memoryUsage().heapUsed;
  for (let count = 0; count < 1_000_000; count += 1) bytes.append(Buffer.from([count & 255]));
  assert.equal(bytes.length, 1_000_000);
  assert.ok(bytes.whole().buffer.byteLength <= 2_097_152);
  // What was garbage by then may still be there.
  assert.ok(process.memoryUsage().heapUsed - before < 60_000_000);
});
