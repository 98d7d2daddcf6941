import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NodeError } from '../../../src/core/errors.ts';
import { createAddressGuard, isPublicAddress } from '../../../src/storages/address-guard.ts';

const forbidden = [
  // IPv4: RFC 6890 and its successors.
  '0.0.0.0',
  '0.1.2.3',
  '10.0.0.1',
  '10.255.255.255',
  '100.64.0.1',
  '100.127.255.255',
  '127.0.0.1',
  '127.255.255.254',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.1',
  '192.0.2.1',
  '192.88.99.1',
  '192.168.0.1',
  '192.168.255.255',
  '198.18.0.1',
  '198.19.255.255',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '239.255.255.255',
  '240.0.0.1',
  '255.255.255.255',
  // IPv6: own machine, link, site, everybody.
  '::',
  '::1',
  'fe80::1',
  'fe80::1%eth0',
  'febf::1',
  'fec0::1',
  'fc00::1',
  'fd12:3456::1',
  'ff02::1',
  // IPv6 that is IPv4 in disguise.
  '::ffff:127.0.0.1',
  '::ffff:10.0.0.1',
  '::ffff:8.8.8.8',
  '::ffff:0:127.0.0.1',
  '::127.0.0.1',
  '::7f00:1',
  '64:ff9b::127.0.0.1',
  '64:ff9b::8.8.8.8',
  '64:ff9b:1::1',
  '2002:7f00:1::',
  '2002:a00:1::1',
  '2001:0:4136:e378:8000:63bf:3fff:fdd2',
  // Documentation, benchmarks, discard, not assigned.
  '2001:db8::1',
  '2001:2::1',
  '100::1',
  '4000::1',
  '3fff::1',
  '5f00::1',
  // No addresses at all.
  '',
  'localhost',
  '1.2.3',
  '::g',
];
const allowed = [
  '1.1.1.1',
  '8.8.8.8',
  '93.184.216.34',
  '172.15.255.255',
  '172.32.0.1',
  '223.255.255.255',
  '2606:4700:4700::1111',
  '2a00:1450:4001:81b::200e',
  '2001:4860:4860::8888',
];

for (const address of forbidden) {
  test(`${address || '(empty)'} is not public`, () => assert.equal(isPublicAddress(address), false));
}
for (const address of allowed) {
  test(`${address} is public`, () => assert.equal(isPublicAddress(address), true));
}

test('property: no IPv4 address of a private block passes, in any guise', () => {
  const octet = fc.integer({ min: 0, max: 255 });
  const inPrivate = fc.oneof(
    fc.tuple(fc.constantFrom(0, 10, 127), octet, octet, octet),
    fc.tuple(fc.constant(172), fc.integer({ min: 16, max: 31 }), octet, octet),
    fc.tuple(fc.constant(192), fc.constant(168), octet, octet),
    fc.tuple(fc.constant(169), fc.constant(254), octet, octet),
    fc.tuple(fc.integer({ min: 224, max: 255 }), octet, octet, octet),
  );
  fc.assert(
    fc.property(inPrivate, (octets) => {
      const text = octets.join('.');
      const [a, b, c, d] = octets;
      const hex = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
      for (const guise of [
        text,
        `::ffff:${text}`,
        `::${text}`,
        `64:ff9b::${text}`,
        `2002:${hex}::1`,
        `::ffff:${hex}`,
      ]) {
        assert.equal(isPublicAddress(guise), false, guise);
      }
    }),
  );
});

const answers: Record<string, { address: string; family: number }[]> = {
  'public.example': [{ address: '93.184.216.34', family: 4 }],
  'private.example': [{ address: '10.0.0.5', family: 4 }],
  'mixed.example': [
    { address: '127.0.0.1', family: 4 },
    { address: '93.184.216.34', family: 4 },
  ],
  'metadata.example': [{ address: '169.254.169.254', family: 4 }],
  'none.example': [],
};
const resolve = (name: string): Promise<{ address: string; family: number }[]> => {
  const found = answers[name];
  return found === undefined ? Promise.reject(new Error('ENOTFOUND')) : Promise.resolve(found);
};
const code = (expected: string) => (thrown: unknown) =>
  thrown instanceof NodeError && thrown.code === expected;

test('names: only their public addresses are used', async () => {
  const guard = createAddressGuard([], resolve);
  assert.deepEqual(await guard.addresses('public.example', 80), answers['public.example']);
  assert.deepEqual(await guard.addresses('mixed.example', 80), [{ address: '93.184.216.34', family: 4 }]);
  await assert.rejects(guard.addresses('private.example', 80), code('InputForbidden'));
  await assert.rejects(guard.addresses('metadata.example', 80), code('InputForbidden'));
  await assert.rejects(guard.addresses('none.example', 80), code('InputUnavailable'));
  await assert.rejects(guard.addresses('unknown.example', 80), code('InputUnavailable'));
});

test('addresses written out are checked without DNS', async () => {
  const guard = createAddressGuard([], () => Promise.reject(new Error('must not be asked')));
  assert.deepEqual(await guard.addresses('8.8.8.8', 80), [{ address: '8.8.8.8', family: 4 }]);
  await assert.rejects(guard.addresses('127.0.0.1', 80), code('InputForbidden'));
  await assert.rejects(guard.addresses('[::1]', 80), code('InputForbidden'));
});

test('the allow-list: hosts, ports and networks', async () => {
  const guard = createAddressGuard(
    ['Private.example:8080', '127.0.0.1', '169.254.0.0/16', '[::1]:90'],
    resolve,
  );
  assert.equal((await guard.addresses('private.example', 8080)).length, 1);
  await assert.rejects(guard.addresses('private.example', 80), code('InputForbidden'));
  assert.equal((await guard.addresses('127.0.0.1', 1)).length, 1);
  await assert.rejects(guard.addresses('127.0.0.2', 1), code('InputForbidden'));
  assert.equal((await guard.addresses('metadata.example', 80)).length, 1);
  assert.equal((await guard.addresses('[::1]', 90)).length, 1);
  await assert.rejects(guard.addresses('[::1]', 91), code('InputForbidden'));
});

test('a malformed allow-list is an error at start', () => {
  for (const entry of ['10.0.0.0/99', 'http://x', 'a b', 'host:port', '/']) {
    assert.throws(() => createAddressGuard([entry], resolve), code('ConfigInvalid'), entry);
  }
});
