import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { NodeError } from '../../../../src/core/errors.ts';
import { choice, encodeToken, flag, pagingToken, text, unsigned } from '../../../../src/net/api/query.ts';

const query = (search: string): URLSearchParams => new URLSearchParams(search);
const badQuery = (error: unknown): boolean => error instanceof NodeError && error.code === 'BadQuery';

describe('query parameters', () => {
  it('takes every spelling of Go for a boolean, and nothing else', () => {
    for (const value of ['1', 't', 'T', 'TRUE', 'true', 'True'])
      assert.equal(flag(query(`a=${value}`), 'a'), true);
    for (const value of ['', '0', 'f', 'F', 'FALSE', 'false', 'False']) {
      assert.equal(flag(query(`a=${value}`), 'a'), false);
    }
    assert.equal(flag(query('b=1'), 'a'), false);
    for (const value of ['yes', 'tRUE', '2', ' 1'])
      assert.throws(() => flag(query(`a=${value}`), 'a'), badQuery);
  });

  it('takes whole numbers in range; empty means unset', () => {
    assert.equal(unsigned(query('limit='), 'limit'), 0);
    assert.equal(unsigned(query(''), 'limit'), 0);
    assert.equal(unsigned(query('limit=4294967295'), 'limit'), 4_294_967_295);
    for (const value of ['4294967296', '-1', '1.5', 'abc', '1e3', '0x10', ' 1', '9'.repeat(30)]) {
      assert.throws(() => unsigned(query(`limit=${encodeURIComponent(value)}`), 'limit'), badQuery, value);
    }
  });

  it('names the choices', () => {
    assert.equal(choice(query('o=b'), 'o', ['a', 'b']), 'b');
    assert.equal(choice(query('o='), 'o', ['a', 'b']), '');
    assert.throws(() => choice(query('o=c'), 'o', ['a', 'b']), /invalid o: "c" \(expected one of a, b\)/);
    assert.equal(text(query('x=1'), 'y'), '');
  });
});

describe('paging tokens', () => {
  it('are those of v1.9', () => {
    assert.equal(encodeToken({ orderBy: '', reverse: false, limit: 10, offset: 4 }), 'Ok46MTA6NA');
    assert.equal(
      encodeToken({ orderBy: 'created_at', reverse: true, limit: 3, offset: 3 }),
      'Y3JlYXRlZF9hdDpZOjM6Mw',
    );
  });

  it('come back as they went', () => {
    const token = fc.record({
      orderBy: fc.constantFrom('', 'created_at', 'modified_at'),
      reverse: fc.boolean(),
      limit: fc.nat(),
      offset: fc.nat(),
    });
    fc.assert(
      fc.property(token, (made) => {
        assert.deepEqual(pagingToken(query(`next_token=${encodeToken(made)}`)), { ...made });
      }),
    );
  });

  it('that nobody made are faults of the request', () => {
    assert.equal(pagingToken(query('next_token=')), undefined);
    for (const value of ['AAAA', 'Ok46MTA6', 'Ok46LTE6NA', Buffer.from(':X:1:1').toString('base64url')]) {
      assert.throws(() => pagingToken(query(`next_token=${value}`)), badQuery, value);
    }
  });
});
