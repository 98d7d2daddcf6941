import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { CID } from 'multiformats/cid';
import * as digest from 'multiformats/hashes/digest';
import { BlockFiles } from '../../../src/ipfs/embedded/blocks.ts';
import { temporaryFolder } from '../../support/folders.ts';

function rawCid(bytes: Uint8Array, version: 0 | 1 = 1): CID {
  const hash = digest.create(0x12, createHash('sha256').update(bytes).digest());
  return version === 0 ? CID.createV0(hash) : CID.createV1(0x55, hash);
}

async function files(root: string): Promise<string[]> {
  const found = await readdir(root, { recursive: true, withFileTypes: true });
  return found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

test('a block comes back, and all CIDs of the same bytes share it', async (t) => {
  const root = await temporaryFolder(t);
  const blocks = new BlockFiles(join(root, 'new'));
  const bytes = Buffer.from('a block');
  assert.equal(await blocks.get(rawCid(bytes)), undefined);
  assert.equal(await blocks.has(rawCid(bytes)), false);
  await blocks.put(rawCid(bytes), bytes);
  assert.deepEqual(Buffer.from((await blocks.get(rawCid(bytes, 0))) ?? []), bytes);
  assert.equal((await files(root)).length, 1);
});

test('many writers of one block leave one whole file', async (t) => {
  const root = await temporaryFolder(t);
  const bytes = Buffer.alloc(1_000_000, 5);
  const writers = Array.from({ length: 20 }, () => new BlockFiles(root));
  await Promise.all(writers.map((blocks) => blocks.put(rawCid(bytes), bytes)));
  const [file, ...rest] = await files(root);
  assert.deepEqual(rest, []);
  assert.ok((await readFile(file ?? '')).equals(bytes));
});

test('a damaged block counts as missing and can be put again', async (t) => {
  const root = await temporaryFolder(t);
  const blocks = new BlockFiles(root);
  const bytes = Buffer.from('whole');
  await blocks.put(rawCid(bytes), bytes);
  const [file = ''] = await files(root);
  await writeFile(file, 'who');
  assert.equal(await blocks.get(rawCid(bytes)), undefined);
  await blocks.put(rawCid(bytes), bytes);
  assert.deepEqual(Buffer.from((await blocks.get(rawCid(bytes))) ?? []), bytes);
});

test('an identity CID carries its own block', async (t) => {
  const blocks = new BlockFiles(await temporaryFolder(t));
  const cid = CID.createV1(0x55, digest.create(0, Buffer.from('tiny')));
  assert.equal(await blocks.has(cid), true);
  assert.equal(Buffer.from((await blocks.get(cid)) ?? []).toString(), 'tiny');
});

test('pins are kept, once each', async (t) => {
  const root = await temporaryFolder(t);
  const blocks = new BlockFiles(root);
  const cid = rawCid(Buffer.from('x'));
  await blocks.pin(cid);
  await blocks.pin(cid);
  assert.deepEqual(await readdir(join(root, 'pins')), [cid.toString()]);
});

test('the empty block is always here: Kubo says of it that it does not have it', async (t) => {
  const blocks = new BlockFiles(await temporaryFolder(t));
  const cid = rawCid(new Uint8Array());
  assert.equal(await blocks.has(cid), true);
  assert.deepEqual(await blocks.get(cid), new Uint8Array());
});
