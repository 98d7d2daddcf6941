import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NodeError } from '../../../src/core/errors.ts';
import { parseIpfsConnect, rpcAuthorization } from '../../../src/ipfs/connect.ts';

const good: [text: string, url: string][] = [
  ['/ip4/127.0.0.1/tcp/5001', 'http://127.0.0.1:5001/'],
  ['/ip4/10.0.0.5/tcp/5001/http', 'http://10.0.0.5:5001/'],
  [
    '/ip4/10.0.0.5/tcp/5001/p2p/12D3KooWBAvMfgDPT8YioMGafjHfCvia9e4cuaDM5txSMGEhrtjL',
    'http://10.0.0.5:5001/',
  ],
  ['/ip6/::1/tcp/5001', 'http://[::1]:5001/'],
  ['/dns4/ipfs.example.org/tcp/443/https', 'https://ipfs.example.org/'],
  ['/dns/ipfs/tcp/8443/tls/http', 'https://ipfs:8443/'],
  ['/dns/ipfs.example.org/https', 'https://ipfs.example.org/'],
  ['/dns/ipfs', 'http://ipfs:5001/'],
  ['http://localhost:5001', 'http://localhost:5001/'],
  ['https://ipfs.example.org/rpc', 'https://ipfs.example.org/rpc'],
  [' /ip4/127.0.0.1/tcp/5001 ', 'http://127.0.0.1:5001/'],
];
for (const [text, url] of good) {
  test(`${text} is ${url}`, () => assert.equal(parseIpfsConnect(text).href, url));
}

const bad = [
  '',
  'localhost:5001',
  '/',
  '/ip4',
  '/ip4/127.0.0.1/tcp/x',
  '/ip4/127.0.0.1/tcp/99999',
  '/ip4/999.0.0.1/tcp/1',
  '/ip4/127.0.0.1/udp/5001/quic-v1',
  '/tcp/5001',
  '/unix/run%2fipfs',
  '/nonsense/x',
  'http://',
  'http://h/?x=1',
  '/ip4/127.0.0.1/tcp/1/tcp/2',
];
for (const text of bad) {
  test(`${text || '(empty)'} is an error that says what was expected`, () => {
    assert.throws(
      () => parseIpfsConnect(text),
      (thrown) =>
        thrown instanceof NodeError &&
        thrown.code === 'ConfigInvalid' &&
        /--ipfs-connect .*expected/.test(thrown.message),
    );
  });
}

test('a password in the URL is refused without being shown', () => {
  assert.throws(
    () => parseIpfsConnect('http://user:hunter2@h:5001'),
    (thrown) => thrown instanceof NodeError && !thrown.message.includes('hunter2'),
  );
});

test('authorisation as Kubo writes it, or whole', () => {
  assert.equal(rpcAuthorization(''), '');
  assert.equal(rpcAuthorization('bearer:abc:d'), 'Bearer abc:d');
  assert.equal(rpcAuthorization('basic:user:pass'), `Basic ${Buffer.from('user:pass').toString('base64')}`);
  assert.equal(rpcAuthorization('Bearer abc'), 'Bearer abc');
});
