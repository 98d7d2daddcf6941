import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryPool } from '../../../../src/engines/wasm/memory-pool.ts';

const PAGES = { initial: 1, maximum: 4 };

test('a memory comes back as it was made', () => {
  const pool = new MemoryPool();
  const first = pool.lend(PAGES, 'm');
  new Uint8Array(first.buffer).fill(1);
  pool.takeBack();
  const again = pool.lend(PAGES, 'm');
  assert.equal(again, first);
  assert.ok(new Uint8Array(again.buffer).every((byte) => byte === 0));
});

test('modules of one run have memories of their own, each with its own limits', () => {
  const pool = new MemoryPool();
  const [one, two] = [pool.lend(PAGES, 'm'), pool.lend(PAGES, 'm')];
  assert.notEqual(one, two);
  pool.takeBack();
  const other = pool.lend({ initial: 1, maximum: 5 }, 'm');
  assert.ok(other !== one && other !== two);
});

test('one that grew is let go, and so is a large one, and the least lately used of many', () => {
  const pool = new MemoryPool();
  const grown = pool.lend(PAGES, 'm');
  grown.grow(1);
  const large = pool.lend({ initial: 64, maximum: 64 }, 'm');
  pool.takeBack();
  assert.notEqual(pool.lend(PAGES, 'm'), grown);
  assert.notEqual(pool.lend({ initial: 64, maximum: 64 }, 'm'), large);
  pool.takeBack();
  const kept = pool.lend(PAGES, 'm');
  pool.takeBack();
  for (let maximum = 10; maximum < 20; maximum++) {
    pool.lend({ initial: 1, maximum }, 'm');
    pool.takeBack();
  }
  assert.notEqual(pool.lend(PAGES, 'm'), kept);
});
