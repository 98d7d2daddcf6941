import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Message } from '../../../../../src/core/messages.ts';
import {
  decodeAnswer,
  decodeRequest,
  encodeAnswer,
  encodeRequest,
} from '../../../../../src/net/p2p/wire/fetch-frames.ts';
import { FrameReader } from '../../../../../src/net/p2p/wire/frame-reader.ts';
import {
  decodeFrame,
  type Envelope,
  encodeBatch,
  encodeFrame,
  type Frame,
} from '../../../../../src/net/p2p/wire/frames.ts';
import { wireLimits } from '../../../../../src/net/p2p/wire/limits.ts';
import { decodeMessage, encodeMessage, typeOfCode } from '../../../../../src/net/p2p/wire/messages.ts';
import { messageSamples, SAMPLE_PEER } from '../../../../support/wire-samples.ts';

/*
 * Bytes of every frame, as other versions of the node have sent and will read them. A change here is a change of
 * the protocol: additions at the end of an array are compatible, nothing else is (docs/WIRE.md).
 * `UPDATE_RECORDINGS=1 node --test test/unit/net/p2p/wire/golden.test.ts` writes the file.
 */
const FILE = fileURLToPath(new URL('../../../../support/recordings/wire/frames.json', import.meta.url));

const WIRE_PAGE = fileURLToPath(new URL('../../../../../docs/WIRE.md', import.meta.url));

function frameOf(message: Message): Buffer {
  const { code, payload, attachment } = encodeMessage(message);
  const envelope: Envelope = { type: code, id: 7, sequence: 9, payload, attachment, sender: undefined };
  return Buffer.from(encodeBatch({ envelopes: [envelope], acks: [], nacks: [] }));
}

const control: Readonly<Record<string, Exclude<Frame, { kind: 'unknown' }>>> = {
  hello: {
    kind: 'hello',
    hello: {
      peer: SAMPLE_PEER,
      minor: 0,
      version: 'v0.1.0',
      roles: { compute: true, requester: true },
      limits: { frameBytes: 524_288, windowMessages: 4096, windowBytes: 8_388_608, bodyBytes: 10_551_296 },
    },
  },
  ping: { kind: 'ping', number: 3 },
  pong: { kind: 'pong', number: 70_000 },
  goodbye: { kind: 'goodbye', reason: 'oversized', text: 'a frame of 99 bytes; 10 are allowed' },
  answers: {
    kind: 'batch',
    batch: {
      envelopes: [],
      acks: [1, 300, 70_000, 5_000_000_000],
      nacks: [
        { id: 2, error: { code: 'Busy', message: 'not now' } },
        { id: 3, error: { code: 'MessageInvalid', message: 'no', details: { field: 'reason' } } },
      ],
    },
  },
  'by body': {
    kind: 'batch',
    batch: {
      envelopes: [
        { type: 1, id: 4, sequence: 1, payload: Buffer.from([0x90]), attachment: 5, sender: undefined },
        { type: 8, id: 5, sequence: 2, payload: 6, attachment: undefined, sender: undefined },
      ],
      acks: [],
      nacks: [],
    },
  },
};

function encodeControl(frame: Exclude<Frame, { kind: 'unknown' }>): Buffer {
  return Buffer.from(frame.kind === 'batch' ? encodeBatch(frame.batch) : encodeFrame(frame));
}

const requests = {
  'logs request': { kind: 'logs', executionId: 'e-1', options: { follow: true, tail: false } },
  'archive request': { kind: 'archive', executionId: 'e-1' },
} as const;

const answers = {
  'archive answer': { kind: 'archive', bytes: 123_456 },
  'bytes answer': { kind: 'bytes', bytes: Buffer.from('gzip') },
  'log answer': { kind: 'log', chunk: { stream: 'stderr', text: 'größer\n' } },
  'end answer': { kind: 'end' },
  'error answer': {
    kind: 'error',
    error: { code: 'ExecutionNotFound', message: 'execution not found: e-1' },
  },
} as const;

function encodeAll(): Record<string, string> {
  const all: Record<string, string> = {};
  for (const [name, frame] of Object.entries(control)) all[name] = encodeControl(frame).toString('hex');
  for (const [name, message] of Object.entries(messageSamples)) all[name] = frameOf(message).toString('hex');
  for (const [name, one] of Object.entries(requests)) {
    all[name] = Buffer.from(encodeRequest(one)).toString('hex');
  }
  for (const [name, one] of Object.entries(answers))
    all[name] = Buffer.from(encodeAnswer(one)).toString('hex');
  return all;
}

async function recorded(): Promise<Record<string, string>> {
  if (process.env['UPDATE_RECORDINGS'] === '1') {
    await writeFile(FILE, `${JSON.stringify(encodeAll(), null, 2)}\n`);
  }
  return JSON.parse(await readFile(FILE, 'utf8')) as Record<string, string>;
}

/** The frame of recorded hex, without its length. */
function contents(hex: string | undefined): Uint8Array {
  const reader = new FrameReader(wireLimits.frameBytes);
  reader.push(Buffer.from(hex ?? '', 'hex'));
  const frame = reader.next();
  assert.ok(frame !== undefined && reader.isEmpty);
  return frame;
}

function messageOf(frame: Frame): Message {
  assert.ok(frame.kind === 'batch');
  const [envelope = assert.fail('no message')] = frame.batch.envelopes;
  assert.equal(envelope.id, 7);
  assert.equal(envelope.sequence, 9);
  const type = typeOfCode(envelope.type);
  assert.ok(type !== undefined && typeof envelope.payload === 'object');
  assert.ok(typeof envelope.attachment !== 'number');
  return decodeMessage(type, SAMPLE_PEER, envelope.payload, envelope.attachment);
}

test('frames are the recorded bytes', async () => {
  assert.deepEqual(encodeAll(), await recorded());
});

test('recorded frames are read as what they were', async () => {
  const golden = await recorded();
  for (const [name, message] of Object.entries(messageSamples)) {
    assert.deepEqual(messageOf(decodeFrame(contents(golden[name]), wireLimits)), message, name);
  }
  for (const [name, frame] of Object.entries(control)) {
    assert.deepEqual(decodeFrame(contents(golden[name]), wireLimits), frame, name);
  }
  for (const [name, one] of Object.entries(requests)) {
    assert.deepEqual(decodeRequest(contents(golden[name])), one, name);
  }
  for (const [name, one] of Object.entries(answers)) {
    assert.deepEqual(decodeAnswer(contents(golden[name])), one, name);
  }
});

test('what a newer node adds at the end is passed over', async () => {
  const golden = await recorded();
  const extra = Buffer.from([0x82, 0xa1, 0x78, 0x01, 0xa1, 0x79, 0x93, 0xc0, 0xc3, 0xc4]);
  const more = Buffer.concat([extra, Buffer.from([0x01, 0xff])]);
  for (const [name, frame] of Object.entries(control)) {
    const bytes = Buffer.concat([contents(golden[name]), more]);
    bytes[0] = (bytes[0] ?? 0) + 1;
    assert.deepEqual(decodeFrame(bytes, wireLimits), frame, name);
  }
  for (const [name, message] of Object.entries(messageSamples)) {
    const { code, payload, attachment } = encodeMessage(message);
    // One column more in the row that every payload is.
    const longer = Buffer.concat([payload, more]);
    assert.ok((longer[0] ?? 0) >= 0x90 && (longer[0] ?? 0) < 0x9f, name);
    longer[0] = (longer[0] ?? 0) + 1;
    const type = typeOfCode(code) ?? assert.fail(name);
    assert.deepEqual(decodeMessage(type, SAMPLE_PEER, longer, attachment), message, name);
  }
});

test('every message type is recorded, and described in docs/WIRE.md', async () => {
  const golden = await recorded();
  const page = await readFile(WIRE_PAGE, 'utf8');
  for (let code = 1; typeOfCode(code) !== undefined; code += 1) {
    const type = typeOfCode(code) ?? '';
    assert.ok(golden[type] !== undefined, type);
    assert.ok(page.includes(`\n| ${code} | ${type} | `), type);
  }
});
