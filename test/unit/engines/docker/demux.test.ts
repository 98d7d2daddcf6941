import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { LogDemuxer } from '../../../../src/engines/docker/demux.ts';
import { codeIs } from '../../../contract/engine.ts';

interface Frame {
  readonly type: number;
  readonly payload: Uint8Array;
}

function encode(frames: readonly Frame[]): Buffer {
  return Buffer.concat(
    frames.map(({ type, payload }) => {
      const header = Buffer.alloc(8);
      header[0] = type;
      header.writeUInt32BE(payload.length, 4);
      return Buffer.concat([header, payload]);
    }),
  );
}

function demultiplex(chunks: readonly Uint8Array[]): { stdout: Buffer; stderr: Buffer; whole: boolean } {
  const demuxer = new LogDemuxer();
  const stdout: Uint8Array[] = [];
  const stderr: Uint8Array[] = [];
  for (const chunk of chunks) {
    const parts = demuxer.push(chunk);
    stdout.push(...parts.stdout);
    stderr.push(...parts.stderr);
  }
  return { stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr), whole: demuxer.atBoundary };
}

const frames = fc.array(
  fc.record({ type: fc.constantFrom(0, 1, 2), payload: fc.uint8Array({ maxLength: 40 }) }),
  { maxLength: 30 },
);

describe('LogDemuxer', () => {
  it('gives each stream its bytes in order, however the stream is cut', () => {
    fc.assert(
      fc.property(frames, fc.array(fc.nat(300), { maxLength: 20 }), (list, cuts) => {
        const bytes = encode(list);
        const at = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length].toSorted(
          (a, b) => a - b,
        );
        const chunks = at.slice(1).map((end, index) => bytes.subarray(at[index], end));
        const { stdout, stderr, whole } = demultiplex(chunks);
        const of = (...types: number[]): Buffer =>
          Buffer.concat(list.filter(({ type }) => types.includes(type)).map(({ payload }) => payload));
        assert.deepEqual(stdout, of(0, 1));
        assert.deepEqual(stderr, of(2));
        assert.equal(whole, true);
      }),
    );
  });

  it('knows when it is within a frame', () => {
    const bytes = encode([{ type: 1, payload: Buffer.from('abc') }]);
    for (let end = 1; end < bytes.length; end++) {
      assert.equal(demultiplex([bytes.subarray(0, end)]).whole, false, `after ${end} bytes`);
    }
  });

  it('takes a 64 KiB chunk of one-byte frames, and many of them, in linear time', () => {
    const frame = encode([{ type: 2, payload: Buffer.from('x') }]);
    const chunk = Buffer.concat(Array.from({ length: 7281 }, () => frame));
    const { stderr } = demultiplex(Array.from({ length: 64 }, () => chunk));
    assert.equal(stderr.length, 64 * 7281);
  });

  it('reads lengths as unsigned', () => {
    const header = Buffer.from([1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    const { stdout, whole } = demultiplex([header, Buffer.from('abc')]);
    assert.equal(stdout.toString(), 'abc');
    assert.equal(whole, false);
  });

  it('refuses what is no multiplexed stream', () => {
    for (const text of ['hello, terminal', '\u0003\0\0\0\0\0\0\u0001x', '\u0001x\0\0\0\0\0\u0001x']) {
      assert.throws(() => new LogDemuxer().push(Buffer.from(text)), codeIs('EngineFailed'));
    }
  });
});
