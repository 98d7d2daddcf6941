import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { downloadName } from '../../../src/storages/download-name.ts';

function name(url: string, disposition = '', redirected = false): string {
  return downloadName({ url: new URL(url), disposition, redirected });
}

test('the last element of the path, unescaped', () => {
  assert.equal(name('http://h/a/b.txt?x=y#z'), 'b.txt');
  assert.equal(name('http://h/a/b%20c.txt'), 'b c.txt');
  assert.equal(name('http://h/a/%zz'), '%zz');
});

test('Content-Disposition after a redirect, or where the path has no name', () => {
  const header = 'attachment; filename="real name.bin"';
  assert.equal(name('http://h/a/b.txt', header), 'b.txt');
  assert.equal(name('http://h/a/b.txt', header, true), 'real name.bin');
  assert.equal(name('http://h/', header), 'real name.bin');
  assert.equal(name('http://h/', "attachment; filename=x.txt; filename*=UTF-8''%e2%82%ac.txt"), '€.txt');
  assert.equal(name('http://h/', 'attachment; filename="a\\"b"'), 'a"b');
  assert.equal(name('http://h/'), 'download');
});

test('property: always one harmless path element', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.webPath(), fc.boolean(), (text, path, redirected) => {
      for (const header of [`attachment; filename="${text}"`, `attachment; filename*=UTF-8''${text}`, text]) {
        const found = name(`http://h${path}`, header, redirected);
        assert.ok(found !== '' && found !== '.' && found !== '..');
        assert.ok(!/[/\\\0\n]/.test(found), JSON.stringify(found));
        assert.ok(Buffer.byteLength(found) <= 255);
      }
    }),
  );
});

test('climbing names lose their path', () => {
  assert.equal(name('http://h/a/..%2f..%2fetc%2fpasswd'), 'passwd');
  assert.equal(name('http://h/', 'attachment; filename="..\\\\..\\\\x.exe"'), 'x.exe');
  assert.equal(name('http://h/%2e%2e'), 'download');
});
