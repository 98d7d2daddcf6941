import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Recent } from '../../../src/store/recent.ts';

it('forgets what two commits have passed over, and only past its limit', () => {
  const recent = new Recent<number>(2);
  recent.set('a', 1);
  recent.age();
  recent.age();
  assert.equal(recent.get('a'), 1);
  recent.set('b', 2);
  recent.age();
  recent.set('c', 3);
  assert.deepEqual([recent.get('a'), recent.get('b'), recent.get('c')], [1, 2, 3]);
  recent.set('a', 4);
  recent.age();
  assert.deepEqual([recent.get('a'), recent.get('b'), recent.get('c')], [4, undefined, 3]);
});

it('keeps what was read until it is written anew, and knows which ids are new', () => {
  const recent = new Recent<string>(2, 'e-5');
  assert.equal(recent.keep('e-3', 'read'), 'read');
  assert.equal(recent.get('e-3'), 'read');
  recent.set('e-3', 'written');
  assert.equal(recent.get('e-3'), 'written');
  for (let commit = 0; commit < 3; commit += 1) {
    recent.set(`e-9${commit}`, '', 2);
    recent.age();
  }
  assert.equal(recent.get('e-3'), undefined, 'not what was read before it was written');
  assert.deepEqual(
    ['e-5', 'e-92', 'e-93'].map((id) => recent.isNew(id)),
    [false, false, true],
  );
  assert.equal(new Recent<string>(2).isNew('e-1'), false, 'where nobody said which is the highest');
  for (let read = 0; read < 5000; read += 1) recent.keep(`r-${read}`, 'x');
  assert.equal(recent.get('r-4999'), 'x');
  assert.equal(recent.get('r-1'), undefined);
});
