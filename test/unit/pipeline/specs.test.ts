import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Specs } from '../../../src/pipeline/specs.ts';

/** What each spec costs on top of its bytes. */
const ENTRY_BYTES = 256;

test('specs are kept up to a bound of bytes, read from the store beyond it, and make room when they go', () => {
  const stored = new Uint8Array([1, 2, 3]);
  const asked: string[] = [];
  const store = {
    spec: (id: string) => {
      asked.push(id);
      return id === 'lost' ? undefined : stored;
    },
  };
  const specs = new Specs({ itemSpecBytes: 2 * (100 + ENTRY_BYTES) }, { store });
  const spec = new Uint8Array(100);
  const items = ['a', 'b', 'c'].map((id) => ({ id, spec: specs.keep(spec) }));
  assert.deepEqual(
    items.map((item) => item.spec),
    [spec, spec, undefined],
  );
  assert.deepEqual(
    items.map((item) => specs.of(item)),
    [spec, spec, stored],
  );
  assert.deepEqual(asked, ['c']);
  for (const item of items) specs.letGo(item);
  for (const item of items) specs.letGo(item);
  assert.ok(
    items.every((item) => item.spec === undefined),
    'once they are let go, the store has them',
  );
  assert.equal(specs.keep(new Uint8Array(2 * (100 + ENTRY_BYTES) - ENTRY_BYTES + 1)), undefined);
  assert.notEqual(specs.keep(new Uint8Array(2 * (100 + ENTRY_BYTES) - ENTRY_BYTES)), undefined);
  assert.throws(() => specs.of({ id: 'lost', spec: undefined }), /lost has no spec/);
});
