import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ClientFlags, clientConfig } from '../../../src/config/client.ts';

const none: ClientFlags = { host: undefined, port: undefined };

test('whatever is said of TLS means https, and what a URL says counts more', () => {
  assert.deepEqual(clientConfig(none, {}), { baseUrl: 'http://127.0.0.1:1234' });
  assert.deepEqual(clientConfig({ ...none, tls: true }, {}), { baseUrl: 'https://127.0.0.1:1234' });
  assert.deepEqual(clientConfig(none, { BACALHAU_API_TLS: 'True' }), { baseUrl: 'https://127.0.0.1:1234' });
  assert.deepEqual(clientConfig({ ...none, caCert: 'ca.pem' }, {}), {
    baseUrl: 'https://127.0.0.1:1234',
    trust: { caFile: 'ca.pem', insecure: false },
  });
  assert.deepEqual(clientConfig(none, { BACALHAU_API_INSECURE: '1', BACALHAU_API_CACERT: 'ca.pem' }), {
    baseUrl: 'https://127.0.0.1:1234',
    trust: { caFile: 'ca.pem', insecure: true },
  });
  const url = clientConfig({ ...none, host: 'http://node.example:80', tls: true }, {});
  assert.equal(url.baseUrl, 'http://node.example');
});

test('a flag counts more than its variable, and a variable must be true or false', () => {
  assert.equal(
    clientConfig({ ...none, tls: false }, { BACALHAU_API_TLS: 'true' }).baseUrl,
    'http://127.0.0.1:1234',
  );
  assert.throws(() => clientConfig(none, { BACALHAU_API_TLS: 'maybe' }), /BACALHAU_API_TLS is "maybe"/);
});
