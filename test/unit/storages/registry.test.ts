import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { NodeError } from '../../../src/core/errors.ts';
import { createStorages } from '../../../src/storages/registry.ts';
import { temporaryFolder } from '../../support/folders.ts';
import { inputSource } from '../../support/publishing.ts';

const options = {
  ipfsConnect: 'malformed',
  ipfsAuthorization: '',
  ipfsBlocks: '/nonexistent',
  allowListedLocalPaths: [],
  urlAllowList: [],
  urlTimeoutMs: 1000,
  urlRetries: 0,
};
const signal = new AbortController().signal;

test('every type by its lower-case name, and the alias', () => {
  const storages = createStorages(options, () => Promise.resolve(null));
  assert.deepEqual([...storages.keys()], ['inline', 'ipfs', 'urldownload', 'localdirectory', 'local']);
  for (const [name, storage] of storages) assert.equal(storage.type, name);
});

test('a storage is loaded when it is used', async (t) => {
  const storages = createStorages(options, () => Promise.resolve(null));
  const prepared = await storages.get('inline')?.prepare(inputSource('inline', { URL: 'data:,x' }), {
    signal,
    maxBytes: 10,
    directory: await temporaryFolder(t),
  });
  assert.equal(await readFile(prepared?.path ?? '', 'utf8'), 'x');
});

test('a storage that cannot be made fails its own calls only', async () => {
  const storages = createStorages(options, () => Promise.resolve(null));
  await assert.rejects(
    async () => storages.get('ipfs')?.hasLocally(inputSource('ipfs', { CID: 'x' }), signal),
    (thrown) => thrown instanceof NodeError && thrown.code === 'ConfigInvalid',
  );
  assert.equal(
    await storages.get('inline')?.hasLocally(inputSource('inline', { URL: 'data:,x' }), signal),
    true,
  );
});
