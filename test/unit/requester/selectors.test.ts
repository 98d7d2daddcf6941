import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatRequirement, meets, parseSelectors } from '../../../src/requester/selectors.ts';

const labels = { region: 'eu', cores: '16', gpu: '' };

function holds(Key: string, Operator: string, ...Values: string[]): boolean {
  return meets(labels, { Key, Operator, Values });
}

describe('label requirements', () => {
  it('hold as in Kubernetes', () => {
    assert.ok(holds('region', '=', 'eu'));
    assert.ok(holds('region', '==', 'eu'));
    assert.ok(!holds('region', '=', 'us'));
    assert.ok(holds('region', 'In', 'us', 'eu'));
    assert.ok(!holds('zone', 'in', 'a'));
    assert.ok(holds('region', '!=', 'us'));
    assert.ok(holds('zone', '!=', 'a'));
    assert.ok(holds('zone', 'notin', 'a'));
    assert.ok(!holds('region', 'notin', 'eu'));
    assert.ok(holds('gpu', 'exists'));
    assert.ok(!holds('gpu', '!'));
    assert.ok(holds('zone', '!'));
    assert.ok(holds('cores', 'gt', '9'));
    assert.ok(!holds('cores', 'gt', '16'));
    assert.ok(holds('cores', 'lt', '100'));
    assert.ok(!holds('region', 'gt', '1'));
    assert.ok(!holds('zone', 'lt', '1'));
    assert.ok(!holds('region', 'like', 'eu'));
    assert.ok(!holds('toString', 'exists'));
  });

  it('are read from the texts that clients send', () => {
    assert.deepEqual(parseSelectors(['bacalhau_canary!=true', 'a in (x, y),!b,c', 'd > 5', 'e==']), [
      { Key: 'bacalhau_canary', Operator: '!=', Values: ['true'] },
      { Key: 'a', Operator: 'in', Values: ['x', 'y'] },
      { Key: 'b', Operator: '!' },
      { Key: 'c', Operator: 'exists' },
      { Key: 'd', Operator: 'gt', Values: ['5'] },
      { Key: 'e', Operator: '==', Values: [''] },
    ]);
    assert.deepEqual(parseSelectors(['']), []);
    for (const bad of ['a b', 'a in x', '=b', 'a in (x', 'a=(b)']) {
      assert.throws(() => parseSelectors([bad]), { code: 'BadQuery' }, bad);
    }
  });

  it('are read back as they are printed', () => {
    const word = fc.stringMatching(/^[a-z][a-z0-9_./-]{0,8}$/);
    fc.assert(
      fc.property(word, fc.constantFrom('=', '!=', 'in', 'notin'), word, (Key, Operator, value) => {
        const requirement = { Key, Operator, Values: [value] };
        assert.deepEqual(parseSelectors([formatRequirement(requirement)]), [requirement]);
      }),
    );
  });
});
