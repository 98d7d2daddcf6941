import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NodeError } from '../../../src/core/errors.ts';
import { decodeDataUrl, parseDataUrl } from '../../../src/storages/data-url.ts';

function decode(url: string): Buffer {
  return Buffer.concat([...decodeDataUrl(parseDataUrl(url))]);
}

test('media types and encodings', () => {
  assert.equal(parseDataUrl('data:,x').mediaType, 'text/plain');
  assert.equal(parseDataUrl('DATA:Application/GZIP;base64,').mediaType, 'application/gzip');
  assert.equal(parseDataUrl('data:text/html;charset=utf-8;base64,eA==').base64, true);
  assert.equal(parseDataUrl('data:text/html;charset=utf-8,eA==').base64, false);
});

test('data', () => {
  const cases: [url: string, text: string][] = [
    ['data:,', ''],
    ['data:,hello%20world', 'hello world'],
    ['data:,a,b', 'a,b'],
    ['data:,ü', 'ü'],
    ['data:,%C3%BC', 'ü'],
    ['data:;base64,aGVsbG8=', 'hello'],
    ['data:;base64,aGVsbG8', 'hello'],
    ['data:;base64,aGVsbG8%3D', 'hello'],
    ['data:;base64,aGVs\nbG8=', 'hello'],
    ['data:;base64,_-8', Buffer.from([0xff, 0xef]).toString('latin1')],
  ];
  for (const [url, text] of cases) {
    const bytes = decode(url);
    assert.ok(bytes.toString('utf8') === text || bytes.toString('latin1') === text, url);
    assert.equal(parseDataUrl(url).bytes, bytes.length, url);
  }
});

test('malformed ones are named', () => {
  for (const url of [
    '',
    'http://x',
    'data:text/plain',
    'data:,%',
    'data:,%4',
    'data:,%GG',
    'data:;base64,a',
    'data:;base64,ab=c',
    'data:;base64,a b*',
    'data:;base64,aGVsbG8==',
  ]) {
    assert.throws(
      () => parseDataUrl(url),
      (thrown) => thrown instanceof NodeError && thrown.code === 'InputInvalid',
      url,
    );
  }
});

test('property: any bytes survive both encodings, and the length is told exactly', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), fc.boolean(), (bytes, padded) => {
      const base64 = Buffer.from(bytes).toString('base64');
      const escaped = [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
      for (const url of [`data:;base64,${padded ? base64 : base64.replace(/=/g, '')}`, `data:,${escaped}`]) {
        assert.deepEqual(decode(url), Buffer.from(bytes));
        assert.equal(parseDataUrl(url).bytes, bytes.length);
      }
    }),
  );
});

test('property: any text survives, escaped or not', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const plain = text.replaceAll('%', '%25');
      const expected = Buffer.from(text, 'utf8');
      assert.deepEqual(decode(`data:,${plain}`), expected);
      assert.equal(parseDataUrl(`data:,${plain}`).bytes, expected.length);
    }),
  );
});

test('long data is decoded in pieces that cut nothing', () => {
  for (const unit of ['😀', '%C3%BC', 'aé%25']) {
    for (const shift of ['', 'x', 'xx', 'xxx']) {
      const url = `data:,${shift}${unit.repeat(200_000)}`;
      const expected = shift + decodeURIComponent(unit).repeat(200_000);
      assert.ok(decode(url).equals(Buffer.from(expected)), unit);
      assert.ok([...decodeDataUrl(parseDataUrl(url))].length > 1);
    }
  }
});
