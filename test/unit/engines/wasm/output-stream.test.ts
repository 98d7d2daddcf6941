import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { RUN_OUTPUT_BYTES } from '../../../../src/core/job.ts';
import { OutputStream, throttled } from '../../../../src/engines/wasm/output-stream.ts';

function file(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'bacalhau-output-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'stdout');
}

function stream(t: TestContext, path: string, limit = 1 << 20): OutputStream {
  const made = new OutputStream({ name: 'stdout', path, limit, onOutput: () => undefined });
  t.after(() => made.close());
  return made;
}

test('what is written is in the file at once', (t) => {
  const path = file(t);
  const output = stream(t, path);
  output.write([Buffer.from('one '), Buffer.from('two')]);
  assert.equal(readFileSync(path, 'utf8'), 'one two');
  assert.deepEqual(output.head(), { text: 'one two', truncated: false });
});

test('the head is cut between characters, and keeps bytes that are no UTF-8 where it is not cut', (t) => {
  for (const character of ['é', '€', '😀']) {
    for (let before = RUN_OUTPUT_BYTES - 4; before <= RUN_OUTPUT_BYTES; before++) {
      const output = stream(t, file(t));
      const text = `${'x'.repeat(before)}${character}and more`;
      output.write([Buffer.from(text)]);
      const head = output.head();
      assert.ok(head.truncated);
      assert.ok(text.startsWith(head.text), JSON.stringify(head.text.slice(-4)));
      assert.ok(Buffer.byteLength(head.text) > RUN_OUTPUT_BYTES - 4);
    }
  }
  const output = stream(t, file(t));
  output.write([Uint8Array.from([0x61, 0xe2, 0x82])]);
  assert.equal(output.head().text, 'a\ufffd');
});

test('without files the beginning is told, and all is in the file once it is more than a result keeps', (t) => {
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 700 }), { maxLength: 12 }), (texts) => {
      const path = join(file(t), 'results', 'stdout');
      const told: Uint8Array[] = [];
      let isMoved = false;
      const lazily = {
        append: (output: Uint8Array) => void told.push(output),
        moveToFile: () => {
          isMoved = true;
        },
      };
      const output = new OutputStream({
        name: 'stdout',
        path,
        limit: 1 << 20,
        onOutput: () => undefined,
        lazily,
      });
      for (const text of texts) output.write([Buffer.from(text)]);
      output.close();
      const whole = texts.join('');
      assert.equal(isMoved, Buffer.byteLength(whole) > RUN_OUTPUT_BYTES);
      assert.equal(existsSync(path), isMoved);
      if (isMoved) assert.equal(readFileSync(path, 'utf8'), whole);
      else assert.equal(Buffer.concat(told).toString(), whole);
    }),
    { numRuns: 50 },
  );
});

test('however it is cut into writes, the head is the beginning and the file is all', (t) => {
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 700 }), { maxLength: 12 }), (texts) => {
      const path = file(t);
      const output = new OutputStream({ name: 'stdout', path, limit: 1 << 20, onOutput: () => undefined });
      for (const text of texts) output.write([Buffer.from(text)]);
      output.close();
      const whole = texts.join('');
      assert.equal(readFileSync(path, 'utf8'), whole);
      const { text, truncated } = output.head();
      assert.equal(truncated, Buffer.byteLength(whole) > RUN_OUTPUT_BYTES);
      if (truncated) assert.ok(whole.startsWith(text));
      else assert.equal(text, whole);
    }),
    { numRuns: 50 },
  );
});

test('the limit is met to the byte', (t) => {
  const path = file(t);
  const output = stream(t, path, 10);
  output.write([Buffer.from('0123456789')]);
  assert.throws(() => output.write([Buffer.from('x')]), /more than 10 B to stdout/);
  assert.equal(readFileSync(path, 'utf8'), '0123456789');
});

test('reports are throttled, the first comes at once', () => {
  let reports = 0;
  const report = throttled(() => {
    reports += 1;
  });
  for (let call = 0; call < 1000; call++) report();
  assert.equal(reports, 1);
});
