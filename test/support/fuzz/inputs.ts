import { EXECUTION_ID, JOB_ID } from '../api-doubles.ts';
import type { Random } from './random.ts';

const METHODS = ['GET', 'GET', 'GET', 'PUT', 'POST', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH', 'TRACE'];
const PATHS = [
  '/api/v1/agent/alive',
  '/api/v1/agent/node',
  '/api/v1/agent/config',
  '/api/v1/orchestrator/jobs',
  `/api/v1/orchestrator/jobs/${JOB_ID}`,
  `/api/v1/orchestrator/jobs/${JOB_ID}/history`,
  `/api/v1/orchestrator/jobs/${JOB_ID}/executions`,
  `/api/v1/orchestrator/jobs/${JOB_ID}/results`,
  `/api/v1/orchestrator/jobs/${JOB_ID}/logs`,
  '/api/v1/orchestrator/jobs/diff',
  '/api/v1/orchestrator/nodes',
  '/api/v1/orchestrator/nodes/n-1',
  '/api/v1/compute/executions',
  '/api/v1/compute/policy',
  '/api/v1/auth',
  '/api/v1/nope',
  `/results/${EXECUTION_ID}.tar.gz`,
  '/results/../../etc/passwd',
  '/metrics',
  '/',
];
const QUERIES = [
  '',
  '',
  '?limit=3',
  '?limit=-1&next_token=%00',
  '?labels=a%20in%20(b)',
  '?pretty',
  '?%=%&&==',
  `?x=${'y'.repeat(500)}`,
];
const HEADERS = [
  'X-Request-Id: mine',
  'Origin: http://a.example',
  'Accept-Encoding: gzip',
  'X-Bacalhau-Git-Version: v1.3.2',
  'Content-Type: application/yaml',
  'Cookie: a=b; c=d',
  'Authorization: Bearer x',
  `X-Long: ${'z'.repeat(900)}`,
];
const BODIES = ['', '{}', 'null', '[', '{"Action":"approve"}', '{"Job":{"Name":"é"}}', '\u0000\u0000'];

const HANDSHAKE = (path: string): string =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n`;
const SOCKET_PATHS = [
  `/api/v1/orchestrator/jobs/${JOB_ID}/logs`,
  `/api/v1/orchestrator/jobs/${JOB_ID}/logs?follow=true`,
  '/api/v1/events',
  '/api/v1/events?from=1&type=execution',
  '/api/v1/events?from=nonsense',
];

/** A request that deserves an answer. */
export function wellFormed(random: Random): { readonly method: string; readonly bytes: Buffer } {
  const method = random.pick(METHODS);
  const lines = [`${method} ${random.pick(PATHS)}${random.pick(QUERIES)} HTTP/1.1`, 'Host: x'];
  for (const header of HEADERS) if (random.chance(0.15)) lines.push(header);
  const hasBody = method !== 'GET' && method !== 'HEAD' && method !== 'OPTIONS' && method !== 'TRACE';
  const body = hasBody ? bodyOf(random) : Buffer.alloc(0);
  if (hasBody && random.chance(0.3)) {
    lines.push('Transfer-Encoding: chunked', '', '');
    return { method, bytes: Buffer.concat([Buffer.from(lines.join('\r\n')), chunked(random, body)]) };
  }
  if (hasBody || random.chance(0.2)) lines.push(`Content-Length: ${body.length}`);
  return { method, bytes: Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), body]) };
}

function bodyOf(random: Random): Buffer {
  if (random.chance(0.1)) return random.bytes(random.below(2000));
  // Some are over the limit of the tests' servers.
  if (random.chance(0.03)) return Buffer.alloc(random.below(30_000), 'x');
  return Buffer.from(random.pick(BODIES));
}

function chunked(random: Random, body: Buffer): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  while (at < body.length) {
    const size = 1 + random.below(body.length - at);
    parts.push(Buffer.from(`${size.toString(16)}\r\n`), body.subarray(at, at + size), Buffer.from('\r\n'));
    at += size;
  }
  parts.push(Buffer.from('0\r\n\r\n'));
  return Buffer.concat(parts);
}

/** Something like a request: bytes changed, put in, left out, repeated or cut off. */
export function malformed(random: Random): Buffer {
  if (random.chance(0.1)) return random.bytes(1 + random.below(300));
  let { bytes } = wellFormed(random);
  if (random.chance(0.2)) bytes = Buffer.concat([bytes, wellFormed(random).bytes]);
  for (let count = random.below(4); count > 0; count -= 1) bytes = mutated(random, bytes);
  return random.chance(0.4) ? bytes.subarray(0, 1 + random.below(bytes.length)) : bytes;
}

function mutated(random: Random, bytes: Buffer): Buffer {
  const at = random.below(bytes.length + 1);
  const put = (part: Buffer, skip = 0): Buffer =>
    Buffer.concat([bytes.subarray(0, at), part, bytes.subarray(at + skip)]);
  switch (random.below(5)) {
    case 0:
      return put(random.bytes(1 + random.below(4)), random.below(4));
    case 1:
      return put(Buffer.from(random.pick(['\r\n', '\r\n\r\n', '\n', ' ', ':', '\t', '%', '\u0000', '?'])));
    case 2:
      return put(
        Buffer.from(
          random.pick([
            '\r\nContent-Length: 5\r\n',
            '\r\nContent-Length: 99999999999999999999\r\n',
            '\r\nTransfer-Encoding: chunked\r\n',
            '\r\nTransfer-Encoding: gzip, chunked\r\n',
            '\r\nExpect: 100-continue\r\n',
            '\r\nUpgrade: websocket\r\nConnection: upgrade\r\n',
            `\r\nX: ${'a'.repeat(20_000)}\r\n`,
          ]),
        ),
      );
    case 3:
      return put(Buffer.alloc(0), random.below(20));
    default:
      return put(bytes.subarray(at, at + random.below(50)));
  }
}

/** A WebSocket handshake, most often a good one. */
export function handshake(random: Random): Buffer {
  let bytes = Buffer.from(HANDSHAKE(random.pick(SOCKET_PATHS)));
  const protocol = random.pick([
    '',
    '',
    'bacalhau.events.v1+msgpack',
    'other, bacalhau.events.v1+json',
    ',;=',
  ]);
  const lines = protocol === '' ? '\r\n' : `Sec-WebSocket-Protocol: ${protocol}\r\n\r\n`;
  bytes = Buffer.concat([bytes, Buffer.from(lines)]);
  return random.chance(0.1) ? mutated(random, bytes) : bytes;
}

/** A frame of a client: good ones, and ones that lie about their length, their mask or what they are. */
export function frame(random: Random): Buffer {
  const opcode = random.chance(0.8) ? random.pick([0, 1, 2, 8, 9, 10]) : random.below(16);
  const fin = random.chance(0.8) ? 0x80 : 0;
  const reserved = random.chance(0.05) ? random.below(8) << 4 : 0;
  const length = random.pick([0, 1, 5, 125, 126, 200, 4096, 4097, 9000]);
  const payload = random.chance(0.5) ? Buffer.alloc(length, 'a') : random.bytes(length);
  const mask = random.bytes(4);
  const masked = random.chance(0.95);
  const stated = random.chance(0.95) ? length : random.below(2 ** 31);
  const head =
    stated < 126
      ? Buffer.from([stated])
      : stated < 65_536
        ? Buffer.from([126, stated >> 8, stated & 255])
        : Buffer.from([
            127,
            0,
            0,
            0,
            0,
            stated >>> 24,
            (stated >> 16) & 255,
            (stated >> 8) & 255,
            stated & 255,
          ]);
  head[0] = (head[0] ?? 0) | (masked ? 0x80 : 0);
  const body = masked ? payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0)) : payload;
  const bytes = Buffer.concat([
    Buffer.from([fin | reserved | opcode]),
    head,
    masked ? mask : Buffer.alloc(0),
    body,
  ]);
  return random.chance(0.05) ? bytes.subarray(0, random.below(bytes.length)) : bytes;
}

/** The same bytes in pieces. */
export function pieces(random: Random, bytes: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  let at = 0;
  while (at < bytes.length) {
    const size = 1 + random.below(Math.max(1, Math.min(400, bytes.length - at)));
    parts.push(bytes.subarray(at, at + size));
    at += size;
  }
  return parts;
}
