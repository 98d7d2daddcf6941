import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NodeError } from '../../../../src/core/errors.ts';
import { parseSelectors } from '../../../../src/net/api/selector.ts';

const labels = { env: 'prod', zone: 'eu-1', cores: '8', 'os.type/x': 'linux' };

describe('label selectors', () => {
  const cases: [string, boolean][] = [
    ['env=prod', true],
    ['env==prod', true],
    ['env = dev', false],
    ['env!=dev', true],
    ['env!=prod', false],
    ['missing!=x', true],
    ['missing=x', false],
    ['env', true],
    ['missing', false],
    ['!missing', true],
    ['!env', false],
    ['env in (dev, prod)', true],
    ['env in (dev,test)', false],
    ['env notin (dev)', true],
    ['missing notin (dev)', true],
    ['cores>4', true],
    ['cores<4', false],
    ['missing>4', false],
    ['os.type/x=linux', true],
    ['env in (prod),zone=eu-1,!missing', true],
    ['env=prod,zone=us-1', false],
    ['toString', false],
    ['', true],
  ];
  for (const [text, expected] of cases) {
    it(JSON.stringify(text), () => assert.equal(parseSelectors([text])(labels), expected));
  }

  it('holds when all of several texts hold', () => {
    assert.equal(parseSelectors(['env=prod', 'zone=eu-1'])(labels), true);
    assert.equal(parseSelectors(['env=prod', 'zone=us-1'])(labels), false);
  });

  it('refuses what is no selector, in linear time', () => {
    for (const text of ['=x', 'a in b', 'a in (b', 'a b', '((((', `${'('.repeat(8000)}${','.repeat(8000)}`]) {
      assert.throws(
        () => parseSelectors([text]),
        (error) => error instanceof NodeError && error.code === 'BadQuery',
      );
    }
  });
});
