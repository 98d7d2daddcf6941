import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { readModule } from '../../../../src/engines/wasm/binary.ts';
import { ModuleCache, type ModuleSource } from '../../../../src/engines/wasm/module-cache.ts';
import { webAssembly } from '../../../../src/engines/wasm/webassembly.ts';
import { wat } from '../../../support/wat.ts';

/** A module that exports `answer`, made as large as asked for by data that nobody reads. */
const answering = (answer: number, bytes = 0): Promise<Uint8Array> =>
  wat(
    `(module (memory 33) (data "${'x'.repeat(bytes)}") (func (export "answer") (result i32) (i32.const ${answer})))`,
  );

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'bacalhau-modules-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function read(cache: ModuleCache, path: string): ModuleSource {
  const source = cache.read(path, 'm.wasm');
  assert.ok(source);
  return source;
}

function answer(cache: ModuleCache, path: string): unknown {
  const { compiled } = cache.compile(read(cache, path), [40]);
  const { exports } = new webAssembly.Instance(compiled, {});
  return (exports['answer'] as () => unknown)();
}

test('content decides what is compiled, not the name of the file', async (t) => {
  const cache = new ModuleCache({ maxBytes: 1 << 20 });
  const [one, two] = [join(folder(t), 'a'), join(folder(t), 'b')];
  writeFileSync(one, await answering(1));
  writeFileSync(two, await answering(1));
  assert.deepEqual([answer(cache, one), answer(cache, two)], [1, 1]);
  assert.equal(cache.compilations, 1);
  writeFileSync(one, await answering(2));
  assert.deepEqual([answer(cache, one), answer(cache, two)], [2, 1]);
  assert.equal(cache.compilations, 2);
});

test('a large module that was replaced at once, with the same size and times, is not mistaken', async (t) => {
  const cache = new ModuleCache({ maxBytes: 1 << 24 });
  const path = join(folder(t), 'm');
  const time = new Date(1_700_000_000_000);
  for (let round = 0; round < 20; round++) {
    const content = await answering(round % 60, 100_000);
    writeFileSync(`${path}.new`, content);
    utimesSync(`${path}.new`, time, time);
    renameSync(`${path}.new`, path);
    assert.equal(answer(cache, path), round % 60);
  }
});

test('the least lately used modules go first, by the size of their files', async (t) => {
  const base = folder(t);
  const paths = await Promise.all(
    [1, 2, 3].map(async (number) => {
      const path = join(base, String(number));
      writeFileSync(path, await answering(number, 1000));
      return path;
    }),
  );
  const [one = '', two = '', three = ''] = paths;
  const cache = new ModuleCache({ maxBytes: 2500 });
  for (const path of [one, two, one, three]) answer(cache, path);
  assert.equal(cache.compilations, 3);
  answer(cache, one);
  assert.equal(cache.compilations, 3, 'used lately, kept');
  answer(cache, two);
  assert.equal(cache.compilations, 4, 'not used lately, gone');
});

test('a folder is no module, a missing file says so', (t) => {
  const cache = new ModuleCache({ maxBytes: 1000 });
  assert.equal(cache.read(folder(t), 'm.wasm'), undefined);
  assert.throws(() => cache.read('/nowhere/m', 'm.wasm'), /m\.wasm: the module cannot be read \(ENOENT\)/);
});

test('whatever the bytes are, reading them ends with a module or with a reason', async () => {
  const seed = await answering(7, 50);
  fc.assert(
    fc.property(fc.nat(seed.length - 1), fc.nat(255), fc.nat(seed.length), (at, byte, length) => {
      const bytes = seed.slice(0, length);
      if (at < bytes.length) bytes[at] = byte;
      try {
        readModule(bytes);
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'WasmInvalid', String(error));
      }
    }),
    { numRuns: 2000 },
  );
});
