import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withVariable } from '../../../../src/config/environment.ts';
import { NodeError } from '../../../../src/core/errors.ts';
import { chooseServer } from '../../../../src/net/api/server.ts';
import { loadUws, type WithVariable } from '../../../../src/net/api/uws.ts';

/** Fails where the binary would be loaded, as a system does that can not. */
const failing =
  (message: string): WithVariable =>
  () => {
    throw new Error(message);
  };

test('why uWebSockets.js can not be used is said in a few words', () => {
  const cases: [string, RegExp][] = [
    [
      "Cannot find module 'uWebSockets.js'\nRequire stack:\n- x",
      /^the optional package uWebSockets\.js is not installed$/,
    ],
    [
      "This version of uWS.js supports only Node.js 24.\n\nError: /lib/libc.so.6: version `GLIBC_2.38' not found (required by /x/uws.node)",
      /^its binary needs glibc 2\.38 or newer, this machine has [\d.]+$/,
    ],
    [
      "This version of uWS.js supports only Node.js 24.\n\nError: Cannot find module './uws_linux_x64_999.node'",
      /^its binary does not load here \(\w+ \w+, Node\.js [\d.]+\): Error: Cannot find module/,
    ],
  ];
  for (const [message, expected] of cases) {
    const loaded = loadUws(16_384, failing(message));
    assert.match('why' in loaded ? loaded.why : 'loaded', expected);
  }
});

test('auto falls back and says why, uws does not, node never looks', () => {
  const missing = failing("Cannot find module 'uWebSockets.js'");
  assert.match(chooseServer('auto', missing).fallback, /not installed/);
  assert.throws(
    () => chooseServer('uws', missing),
    (error: unknown) =>
      error instanceof NodeError && error.code === 'ConfigInvalid' && /not installed/.test(error.message),
  );
  assert.equal(chooseServer('node', failing('never asked')).fallback, '');
});

test('a variable is set while something runs, and as before afterwards', () => {
  const name = 'BACALHAU_TEST_WITH_VARIABLE';
  assert.equal(
    withVariable(name, 'a', () => withVariable(name, 'b', () => process.env[name])),
    'b',
  );
  const fail = (): never => {
    throw new Error('inside');
  };
  assert.throws(() => withVariable(name, 'a', fail), /inside/);
  assert.equal(process.env[name], undefined);
});
