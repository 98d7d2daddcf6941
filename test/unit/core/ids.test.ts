import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  idTimeMs,
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
  const millis = idTimeMs(id) ?? 0;
  // A burst in one millisecond may borrow from the next ones.
  assert.ok(millis >= before - 1 && millis <= Date.now() + 1000, `${millis} ${before}`);
});

test('only an id that says when it was made is believed', () => {
  assert.equal(idTimeMs('j-018bcfe5-6800-7abc-8def-0123456789ab'), 1_700_000_000_000);
  assert.equal(idTimeMs('e-018bcfe5-6801-7000-8000-000000000000'), 1_700_000_000_001);
  for (const id of ['', 'j-1', 'j-2e0fd5a7-44c1-4b0a-9a8e-0123456789ab', newJobId().toUpperCase()]) {
    assert.equal(idTimeMs(id), undefined, id);
  }
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
