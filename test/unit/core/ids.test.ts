import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  isCompleteId,
  newEvaluationId,
  newExecutionId,
  newJobId,
  shortId,
  uuidv7,
} from '../../../src/core/ids.ts';

test('ids are unique, complete and in the order they were made', () => {
  const ids = Array.from({ length: 20_000 }, () => newJobId());
  assert.equal(new Set(ids).size, ids.length);
  assert.deepEqual([...ids].sort(), ids);
  for (const id of ids.slice(0, 100)) assert.ok(isCompleteId(id), id);
});

test('a UUID has version 7, the RFC variant and the time it was made', () => {
  const before = Date.now();
  const id = uuidv7();
  assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const millis = Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
  // A burst in one millisecond may borrow from the next ones.
  assert.ok(millis >= before - 1 && millis <= Date.now() + 1000, `${millis} ${before}`);
});

test('kinds of ids', () => {
  assert.match(newExecutionId(), /^e-/);
  assert.equal(isCompleteId(newEvaluationId()), false);
  for (const text of ['', 'j-', 'j-0190', '../../etc', `${newJobId()}x`, newJobId().toUpperCase()]) {
    assert.equal(isCompleteId(text), false, text);
  }
});

test('short ids differ where the beginnings are alike', () => {
  const [a, b] = [newJobId(), newJobId()];
  assert.notEqual(shortId(a), shortId(b));
  assert.match(shortId(a), /^j-[0-9a-f]{8}$/);
  assert.equal(shortId('12D3KooWAbCdEfGhIjKl'), 'EfGhIjKl');
  assert.equal(shortId('short'), 'short');
});
