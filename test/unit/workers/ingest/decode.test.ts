import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NodeError } from '../../../../src/core/errors.ts';
import { decodeBody } from '../../../../src/workers/ingest/decode.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function refused(body: Uint8Array, type: string, code: string, text: RegExp): void {
  assert.throws(
    () => decodeBody(body, type),
    (error) => {
      assert.ok(error instanceof NodeError, String(error));
      assert.equal(error.code, code);
      assert.match(error.message, text);
      return true;
    },
  );
}

test('JSON faults say what and never repeat the body', () => {
  refused(bytes('{"Job":'), 'application/json', 'MalformedBody', /unexpected end of the text/);
  refused(bytes('{"Token": "secret-token" x}'), 'application/json', 'MalformedBody', /^(?!.*secret).*$/);
  refused(bytes('[1]'), 'application/json', 'MalformedBody', /got an array/);
  refused(bytes('"text"'), 'application/json', 'MalformedBody', /got a string/);
  refused(Uint8Array.of(0x7b, 0xff, 0x7d), 'application/json', 'MalformedBody', /UTF-8/);
});

test('YAML faults say where', () => {
  refused(bytes('a: [1'), 'application/yaml', 'MalformedBody', /it is not YAML: .*line 1/);
  refused(bytes('just words'), 'text/yaml', 'MalformedBody', /got a string/);
});

test('neither said: what begins like JSON is told as JSON', () => {
  refused(bytes('{"Job": nope}'), '', 'MalformedBody', /it is not JSON/);
  assert.deepEqual(decodeBody(bytes('a: 1'), ''), { a: 1 });
  assert.deepEqual(decodeBody(bytes('{"a": 1}'), 'application/octet-stream'), { a: 1 });
});

test('a body over the limit is refused before it is read', () => {
  refused(
    new Uint8Array(10_485_761),
    'application/json',
    'BodyTooLarge',
    /10485761 bytes \(the maximum allowed is 10485760\)/,
  );
});

test('aliases are shared blocks, not bombs', () => {
  assert.deepEqual(decodeBody(bytes('a: &x {k: 1}\nb: *x\n'), 'application/yaml'), {
    a: { k: 1 },
    b: { k: 1 },
  });
  const levels = ['a: &a0 [x, x, x, x, x, x, x, x, x, x]'];
  for (let level = 1; level < 9; level += 1) {
    levels.push(`l${level}: &a${level} [${Array.from({ length: 10 }, () => `*a${level - 1}`).join(', ')}]`);
  }
  refused(bytes(levels.join('\n')), 'application/yaml', 'MalformedBody', /alias/i);
  const large = `a: &a ${'x'.repeat(1_000_000)}\nb: [${Array.from({ length: 50 }, () => '*a').join(', ')}]\n`;
  refused(bytes(large), 'application/yaml', 'BodyTooLarge', /aliases/);
  refused(bytes('a: &a [*a]'), 'application/yaml', 'MalformedBody', /.*/);
});

test('deep nesting is refused, not followed', () => {
  refused(bytes(`a: ${'['.repeat(100)}${']'.repeat(100)}`), 'application/yaml', 'MalformedBody', /.*/);
  refused(bytes('['.repeat(50_000)), 'application/yaml', 'MalformedBody', /.*/);
  refused(bytes('['.repeat(200_000)), 'application/yaml', 'BodyTooLarge', /send a job of this size as JSON/);
});
