import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { withoutSecrets } from '../../../src/core/secrets.ts';

test('what is likely a secret is hidden, the rest stays as it is', () => {
  const cases: readonly [string, string][] = [
    ['http://ann:pw@host/x', 'http://********@host/x'],
    [
      'http://a@b:p@host:1/x?token=abc&page=2#top',
      'http://********@host:1/x?token=********&page=********#top',
    ],
    ['see https://token@host, then go', 'see https://********@host, then go'],
    ['my-probe --token abc --strict', 'my-probe --token ******** --strict'],
    ['my-probe --api-key=abc', 'my-probe --api-key=********'],
    [`DB_PASSWORD='a b' my-probe`, 'DB_PASSWORD=******** my-probe'],
    ['{"password": "x y", "user": "ann"}', '{"password": ********, "user": "ann"}'],
    ['curl -H "Authorization: Bearer xyz" host', 'curl -H "Authorization: ******** ********" host'],
    ['basic:ann:pw', 'basic:********'],
  ];
  for (const [text, shown] of cases) assert.equal(withoutSecrets(text), shown);
  for (const text of [
    '',
    'exit 1',
    'http://127.0.0.1:8080/probe',
    '/ip4/127.0.0.1/tcp/5001',
    'check-token.sh --strict',
    'grep -q token /dev/stdin',
    'mail ann@example.org',
    `test -z "$BASH_VERSION"`,
  ]) {
    assert.equal(withoutSecrets(text), text);
  }
});

test('no user, password or query value of a URL is ever shown', () => {
  const word = fc.stringMatching(/^S3CR3T[\w%@:.~!$*+-]*$/);
  fc.assert(
    fc.property(word, word, word, fc.stringMatching(/^[a-z]{1,8}$/), (user, password, value, name) => {
      const text = `a "http://${user}:${password}@host:80/path?${name}=${value}&x=${value}" and more`;
      assert.doesNotMatch(withoutSecrets(text), /S3CR3T/);
    }),
  );
});
