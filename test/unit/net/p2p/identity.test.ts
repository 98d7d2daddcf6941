import assert from 'node:assert/strict';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { NodeError } from '../../../../src/core/errors.ts';
import { identityOf, loadIdentity } from '../../../../src/net/p2p/identity.ts';
import { temporaryFolder } from '../../../support/folders.ts';

test('a new key is Ed25519, kept for its owner only, and found again', async (t) => {
  const folder = join(await temporaryFolder(t), 'data');
  const first = await loadIdentity(folder);
  const path = join(folder, 'libp2p_private_key');
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual(Buffer.from(await readFile(path, 'utf8'), 'base64'), Buffer.from(first.privateKey));
  assert.deepEqual(await loadIdentity(folder), first);
  const key = privateKeyFromProtobuf(first.privateKey);
  assert.equal(key.type, 'Ed25519');
  assert.equal(peerIdFromPrivateKey(key).toString(), first.peerId);
});

test('peer ids are those of libp2p for every kind of key', async () => {
  const keys = [
    await generateKeyPair('Ed25519'),
    await generateKeyPair('RSA', 2048),
    await generateKeyPair('secp256k1'),
  ];
  for (const key of keys) {
    const { peerId } = identityOf(privateKeyToProtobuf(key), 'test');
    assert.equal(peerId, peerIdFromPrivateKey(key).toString());
  }
});

test('an RSA key as Bacalhau writes it is used', async (t) => {
  const folder = await temporaryFolder(t);
  const key = await generateKeyPair('RSA', 2048);
  const text = Buffer.from(privateKeyToProtobuf(key)).toString('base64');
  await writeFile(join(folder, 'libp2p_private_key'), `${text}\n`);
  const { peerId } = await loadIdentity(folder);
  assert.match(peerId, /^Qm/);
  assert.equal(peerId, peerIdFromPrivateKey(key).toString());
});

test('many starts at once agree on one key', async (t) => {
  const folder = await temporaryFolder(t);
  const identities = await Promise.all(Array.from({ length: 10 }, () => loadIdentity(folder)));
  assert.equal(new Set(identities.map(({ peerId }) => peerId)).size, 1);
  assert.deepEqual(await readdir(folder), ['libp2p_private_key']);
});

test('a file that holds no key is named, and left as it is', async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'libp2p_private_key');
  const { privateKey } = await loadIdentity(await temporaryFolder(t));
  const cut = Buffer.from(privateKey.subarray(0, 40)).toString('base64');
  for (const content of ['', 'nonsense', 'CAESIA==', cut, Buffer.from([8, 9, 18, 0]).toString('base64')]) {
    await writeFile(path, content);
    await assert.rejects(
      loadIdentity(folder),
      (thrown) =>
        thrown instanceof NodeError && thrown.code === 'ConfigInvalid' && thrown.message.includes(path),
    );
    assert.equal(await readFile(path, 'utf8'), content);
  }
});
