import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SharedTexts } from '../../../src/pipeline/shared-texts.ts';
import { testExecution } from '../../support/store-records.ts';

const { header } = testExecution({});

test('headers stay what they are, and equal requests become one', () => {
  const texts = new SharedTexts();
  const first = texts.share(structuredClone(header));
  const second = texts.share(structuredClone(header));
  assert.deepEqual(first, header);
  assert.deepEqual(second, header);
  assert.equal(first.resources, second.resources);
  const other = texts.share({ ...header, resources: { ...header.resources, gpu: header.resources.gpu + 1 } });
  assert.notEqual(other.resources, first.resources);
  assert.equal(other.resources.gpu, header.resources.gpu + 1);
});

test('what differs every time is not remembered for ever', () => {
  const texts = new SharedTexts();
  const ask = (memory: number): unknown =>
    texts.share({ ...header, resources: { ...header.resources, memory } }).resources;
  const known = ask(0);
  for (let memory = 1; memory < 3000; memory += 1) ask(memory);
  assert.equal(ask(0), known);
  assert.notEqual(ask(2999), ask(2999));
});
