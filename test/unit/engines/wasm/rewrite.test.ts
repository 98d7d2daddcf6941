import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PAGE_BYTES, readModule } from '../../../../src/engines/wasm/binary.ts';
import {
  LENT,
  lentMemory,
  type MemoryPages,
  MOST_LENT_BYTES,
  rewriteModule,
} from '../../../../src/engines/wasm/rewrite.ts';
import { webAssembly } from '../../../../src/engines/wasm/webassembly.ts';
import { wat } from '../../../support/wat.ts';

const MOST_LENT_PAGES = MOST_LENT_BYTES / PAGE_BYTES;

/** The module's exports with its memory capped, lent where it is to be. */
function linked(
  bytes: Uint8Array,
  most: number,
): { exports: Readonly<Record<string, unknown>>; lent: MemoryPages | undefined } {
  const shape = readModule(bytes);
  const lent = lentMemory(shape, [most]);
  const module = new webAssembly.Module(rewriteModule(bytes, shape, [most], lent));
  const memory = lent === undefined ? {} : { [LENT.name]: new webAssembly.Memory(lent) };
  const instance = new webAssembly.Instance(module, { [LENT.module]: memory, env: { f: () => 7 } });
  return { exports: instance.exports, lent };
}

test('a rewritten module is the same module with other limits', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(2 * MOST_LENT_PAGES),
      fc.option(fc.nat(200), { nil: undefined }),
      fc.nat(300),
      fc.boolean(),
      async (minimum, above, cap, imports) => {
        const declared = above === undefined ? '' : String(minimum + above);
        const bytes = await wat(
          `(module ${imports ? '(import "env" "f" (func $g (result i32)))' : '(func $g (result i32) (i32.const 7))'}
            (table 2 funcref) (memory (export "memory") ${minimum} ${declared})
            (elem (i32.const 0) $f) (func (export "g") (result i32) (call $g))
            (func $f (export "f") (result i32) (memory.grow (i32.const 1))))`,
        );
        const most = Math.max(minimum, cap);
        const { exports, lent } = linked(bytes, most);
        assert.equal(lent !== undefined, minimum <= MOST_LENT_PAGES);
        const [grow, g] = [exports['f'], exports['g']] as (() => number)[];
        assert.equal(g?.(), 7);
        let pages = minimum;
        while (grow?.() !== -1) pages += 1;
        assert.equal(pages, Math.min(most, above === undefined ? most : minimum + above));
      },
    ),
    { numRuns: 60 },
  );
});

test("a memory that is not the only one, or of a module that uses the name, is the module's own", async () => {
  for (const parts of [
    '(memory 1) (memory 1)',
    '(import "env" "m" (memory 1)) (memory 1)',
    `(import "${LENT.module}" "x" (func)) (memory 1)`,
    '',
  ]) {
    assert.equal(lentMemory(readModule(await wat(`(module ${parts})`)), [10, 10]), undefined, parts);
  }
});

test('an invalid module stays one', async () => {
  const bytes = await wat('(module (memory 1) (func (export "f")))');
  const { sections } = readModule(bytes);
  const memory = sections.find(({ id }) => id === 5);
  assert.ok(memory);
  const section = bytes.subarray(memory.start, memory.end);
  const twice = Buffer.concat([bytes.subarray(0, memory.end), section, bytes.subarray(memory.end)]);
  const late = Buffer.concat([bytes.subarray(0, memory.start), bytes.subarray(memory.end), section]);
  for (const broken of [twice, late]) assert.throws(() => linked(broken, 10), webAssembly.CompileError);
});
