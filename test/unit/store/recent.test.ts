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

it('knows which ids are new', () => {
  const recent = new Recent<string>(2, 'e-5');
  recent.set('e-3', '');
  recent.set('e-92', '');
  assert.deepEqual(
    ['e-5', 'e-6', 'e-92', 'e-93'].map((id) => recent.isNew(id)),
    [false, false, false, true],
  );
  assert.equal(new Recent<string>(2).isNew('e-1'), false, 'where nobody said which is the highest');
});
