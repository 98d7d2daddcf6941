import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WireFault } from '../../../../../src/net/p2p/wire/fault.ts';
import { decodeAnswer, decodeRequest } from '../../../../../src/net/p2p/wire/fetch-frames.ts';
import { FrameReader } from '../../../../../src/net/p2p/wire/frame-reader.ts';
import {
  type Batch,
  cutText,
  decodeFrame,
  type Envelope,
  encodeBatch,
  encodeFrame,
  withLength,
} from '../../../../../src/net/p2p/wire/frames.ts';
import { wireLimits } from '../../../../../src/net/p2p/wire/limits.ts';
import { decodeMessage, encodeMessage, typeOfCode } from '../../../../../src/net/p2p/wire/messages.ts';
import { pack, unpack } from '../../../../../src/net/p2p/wire/msgpack.ts';
import { messageSamples, SAMPLE_PEER } from '../../../../support/wire-samples.ts';

const bytes = fc.uint8Array({ maxLength: 400 }).map((array) => Buffer.from(array));
const number = fc.oneof(
  fc.nat({ max: 300 }),
  fc.nat({ max: 70_000 }),
  fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
);
const part = fc.oneof(bytes, number);

const plain = { noNullPrototype: true } as const;

const batch: fc.Arbitrary<Batch> = fc.record(
  {
    envelopes: fc.array(
      fc.record(
        {
          type: number,
          id: number,
          sequence: number,
          payload: part,
          attachment: fc.option(part, { nil: undefined }),
          sender: fc.constant(undefined),
        },
        plain,
      ) satisfies fc.Arbitrary<Envelope>,
      { maxLength: 20 },
    ),
    acks: fc.array(number, { maxLength: 20 }),
    nacks: fc.array(
      fc.record(
        {
          id: number,
          error: fc.record(
            {
              code: fc.constantFrom('Busy' as const, 'MessageInvalid' as const),
              message: fc.string({ maxLength: 50 }),
            },
            plain,
          ),
        },
        plain,
      ),
      { maxLength: 5 },
    ),
  },
  plain,
);

/** All frames of a stream that arrives cut up at `cuts`. */
function readAll(stream: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const reader = new FrameReader(wireLimits.frameBytes);
  const found: Uint8Array[] = [];
  const places = [...new Set(cuts.map((cut) => cut % (stream.length + 1)))].toSorted((a, b) => a - b);
  let from = 0;
  for (const to of [...places, stream.length]) {
    reader.push(stream.subarray(from, to));
    from = to;
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) found.push(frame);
  }
  assert.ok(reader.isEmpty);
  return found;
}

test('any batch is read as it was written', () => {
  fc.assert(
    fc.property(batch, (written) => {
      const [frame = assert.fail()] = readAll(encodeBatch(written), []);
      const read = decodeFrame(frame, wireLimits);
      assert.deepEqual(read, { kind: 'batch', batch: written });
    }),
  );
});

test('any split of the byte stream gives the same frames', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(batch.map(encodeBatch), bytes.filter((one) => one.length > 0).map(withLength)), {
        minLength: 1,
        maxLength: 8,
      }),
      fc.array(fc.nat(), { maxLength: 60 }),
      (frames, cuts) => {
        const whole = readAll(Buffer.concat(frames), []);
        assert.equal(whole.length, frames.length);
        assert.deepEqual(
          readAll(Buffer.concat(frames), cuts).map((one) => Buffer.from(one)),
          whole.map((one) => Buffer.from(one)),
        );
      },
    ),
  );
});

test('a large frame in small pieces is put together', () => {
  const content = Buffer.alloc(400_000, 'abc');
  const cuts = Array.from({ length: 5000 }, (_, index) => index * 79);
  assert.deepEqual(
    readAll(withLength(content), cuts).map((one) => Buffer.compare(one, content)),
    [0],
  );
});

/** Whatever happens, it is the declared error. */
function declared(work: () => unknown): void {
  try {
    work();
  } catch (thrown) {
    assert.ok(thrown instanceof WireFault, String(thrown));
  }
}

function feed(stream: Uint8Array): void {
  const reader = new FrameReader(wireLimits.frameBytes);
  reader.push(stream);
  for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
    const read = decodeFrame(frame, wireLimits);
    if (read.kind !== 'batch') continue;
    for (const { type, payload, attachment } of read.batch.envelopes) {
      const name = typeOfCode(type);
      if (name === undefined || typeof payload === 'number' || typeof attachment === 'number') continue;
      decodeMessage(name, SAMPLE_PEER, payload, attachment);
    }
  }
}

test('garbage never throws anything but the declared error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (garbage) => {
      declared(() => feed(garbage));
      declared(() => decodeFrame(garbage, wireLimits));
      declared(() => decodeRequest(garbage));
      declared(() => decodeAnswer(garbage));
      declared(() => unpack(garbage));
      for (let code = 1; code <= 11; code += 1) {
        declared(() => decodeMessage(typeOfCode(code) ?? 'NodeInfo', SAMPLE_PEER, garbage, undefined));
      }
    }),
    { numRuns: 500 },
  );
});

test('a frame of which some bytes were changed is read, or refused with the declared error', () => {
  const frames = Object.values(messageSamples).map((message) => {
    const { code, payload, attachment } = encodeMessage(message);
    return encodeBatch({
      envelopes: [{ type: code, id: 1, sequence: 1, payload, attachment, sender: undefined }],
      acks: [5],
      nacks: [{ id: 6, error: { code: 'Busy', message: 'x' } }],
    });
  });
  fc.assert(
    fc.property(
      fc.constantFrom(...frames),
      fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 6 }),
      (frame, changes) => {
        const changed = Buffer.from(frame);
        for (const [at, value] of changes) changed[at % changed.length] = value;
        declared(() => feed(changed));
      },
    ),
    { numRuns: 500 },
  );
});

test('any value of other types where a message is expected is refused with the declared error', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), fc.integer({ min: 1, max: 11 }), (value, code) => {
      const type = typeOfCode(code) ?? assert.fail();
      declared(() => decodeMessage(type, SAMPLE_PEER, pack(value), undefined));
      declared(() => decodeMessage(type, SAMPLE_PEER, pack([value, value, value]), undefined));
    }),
  );
});

function faultOf(work: () => unknown): WireFault {
  try {
    work();
  } catch (thrown) {
    if (thrown instanceof WireFault) return thrown;
    throw thrown;
  }
  assert.fail('nothing was refused');
}

test('a frame over the limit is refused before it has come', () => {
  const reader = new FrameReader(1000);
  reader.push(Buffer.from([0, 0, 0x03, 0xe9]));
  const fault = faultOf(() => reader.next());
  assert.equal(fault.reason, 'oversized');
  assert.equal(fault.message, 'a frame of 1001 bytes; 1000 are allowed');
});

test('a claimed length costs nothing: arrays, maps and bytes that are not there', () => {
  for (const bomb of [
    [0xdd, 0xff, 0xff, 0xff, 0xff],
    [0xdf, 0x7f, 0xff, 0xff, 0xff],
    [0xc6, 0xff, 0xff, 0xff, 0xff],
    [0xdb, 0xff, 0xff, 0xff, 0xff],
    [0x91, 0xdd, 0x00, 0xff, 0xff, 0xff],
  ]) {
    assert.equal(faultOf(() => unpack(Buffer.from(bomb))).reason, 'malformed');
  }
});

test('nesting and numbers of values are bounded', () => {
  const deep = Buffer.concat([Buffer.alloc(100_000, 0x91), Buffer.from([0xc0])]);
  assert.match(faultOf(() => unpack(deep)).message, /nested more than/);
  const wide = Buffer.concat([Buffer.from([0xdd, 0x00, 0x02, 0x00, 0x00]), Buffer.alloc(0x2_0000, 0xc0)]);
  assert.match(faultOf(() => unpack(wide)).message, /more than 65536 values/);
});

test('extension types, and what follows a payload, are refused', () => {
  for (const text of ['c70101ff', 'd4010a', 'c1', '93c0']) {
    assert.equal(faultOf(() => unpack(Buffer.from(text, 'hex'))).reason, 'malformed', text);
  }
  assert.match(faultOf(() => unpack(Buffer.from('c0c0', 'hex'))).message, /1 bytes follow/);
});

test('a payload that does not say what its type must is refused with the place', () => {
  const refusal = (type: Parameters<typeof decodeMessage>[0], value: unknown): string =>
    faultOf(() => decodeMessage(type, SAMPLE_PEER, pack(value), undefined)).message;
  assert.equal(refusal('BidAccepted', [7]), 'BidAccepted: executionId: text was expected, got number');
  assert.equal(refusal('BidAccepted', []), 'BidAccepted: executionId: text was expected, got undefined');
  assert.equal(
    refusal('BidAccepted', { executionId: 'e' }),
    'BidAccepted: an array was expected, got object',
  );
  assert.equal(
    refusal('BidResult', ['e', 'j', true, 'yes', ['busy', 'no']]),
    'BidResult: rejection: final: a flag was expected, got string',
  );
  assert.equal(
    refusal('RoomAnnounced', [-1, [0, 0, 0, 0]]),
    'RoomAnnounced: openSlots: a whole number was expected, got number',
  );
  assert.equal(
    refusal('RunResult', ['e', 'j', { Stdout: 'x'.repeat(70_000) }]),
    'RunResult: result: Stdout: 70000 characters of text, 65536 are allowed',
  );
});

test("a node's information is its own", () => {
  const { payload } = encodeMessage(messageSamples['NodeInfo'] ?? assert.fail());
  const fault = faultOf(() => decodeMessage('NodeInfo', '12D3other', payload, undefined));
  assert.equal(fault.reason, 'forged');
});

test('codes that a newer node has made are errors still', () => {
  const message = decodeMessage(
    'ComputeError',
    SAMPLE_PEER,
    pack(['e', 'j', ['NewFault', 'something new'], 'topic']),
    undefined,
  );
  assert.ok(message.type === 'ComputeError');
  assert.deepEqual(message.error, { code: 'Internal', message: 'something new' });
  const result = decodeMessage(
    'BidResult',
    SAMPLE_PEER,
    pack(['e', 'j', false, 'no', ['new', true]]),
    undefined,
  );
  assert.ok(result.type === 'BidResult');
  assert.deepEqual(result.rejection, { code: 'invalid', final: true });
});

test('frames out of form are refused', () => {
  for (const [name, value] of Object.entries({
    text: 'hello',
    empty: [],
    'kind of text': ['batch'],
    'short hello': [0, SAMPLE_PEER],
    'hello without limits': [0, SAMPLE_PEER, 0, 'v', 3, []],
    'batch without answers': [1, [], []],
    'message of three': [1, [[1, 2, 3]], [], []],
    'payload of text': [1, [[1, 2, 3, 'x']], [], []],
    'payload of nil': [1, [[1, 2, 3, null]], [], []],
    'negative id': [1, [[1, -2, 3, Buffer.alloc(1)]], [], []],
    'too many acks': [1, [], new Array(3000).fill(1), []],
    'nack of two': [1, [], [], [[1, 'Busy']]],
  })) {
    assert.equal(faultOf(() => decodeFrame(pack(value), wireLimits)).reason, 'malformed', name);
  }
  const trailing = Buffer.concat([pack([1, [], [], []]), Buffer.from([0])]);
  assert.match(faultOf(() => decodeFrame(trailing, wireLimits)).message, /1 bytes follow/);
  assert.deepEqual(decodeFrame(pack([77, 'new']), wireLimits), { kind: 'unknown', number: 77 });
});

test('long texts of errors are cut at a whole character', () => {
  const cut = cutText('ö'.repeat(4000), 4096);
  assert.ok(Buffer.byteLength(cut) <= 4096 && Buffer.byteLength(cut) > 4000);
  assert.match(cut, /^ö+…$/);
  const frame = encodeFrame({ kind: 'goodbye', reason: 'malformed', text: '€'.repeat(10_000) });
  assert.equal(decodeFrame(frame.subarray(4), wireLimits).kind, 'goodbye');
});
