import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rememberLookUps } from '../../../../src/workers/bid/look-ups.ts';
import { input, storage } from '../../../support/bid.ts';

const signal = new AbortController().signal;
const A = input('ipfs', { CID: 'a' });
const B = input('ipfs', { CID: 'b' });

test('what is here is believed for a while; what is not is looked for again', async () => {
  const asked: string[] = [];
  let held = ['a'];
  const made = rememberLookUps(
    storage('ipfs', {
      hasLocally: ({ Source }) => {
        asked.push(String(Source.Params?.['CID']));
        return Promise.resolve(held.includes(String(Source.Params?.['CID'])));
      },
    }),
    { keepHereMs: 40 },
  );
  assert.deepEqual(
    [await made.hasLocally(A, signal), await made.hasLocally(A, signal), await made.hasLocally(B, signal)],
    [true, true, false],
  );
  held = ['b'];
  assert.equal(await made.hasLocally(B, signal), true);
  assert.deepEqual(asked, ['a', 'b', 'b']);
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.equal(await made.hasLocally(A, signal), false);
});

test('who asks the same at once shares one look-up; a failure is nobody’s to keep', async () => {
  let asked = 0;
  const made = rememberLookUps(
    storage('ipfs', {
      size: () => {
        asked += 1;
        return asked === 1 ? Promise.reject(new Error('down')) : Promise.resolve(7);
      },
    }),
  );
  const first = await Promise.allSettled([made.size(A, signal), made.size(A, signal)]);
  assert.deepEqual(
    first.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  assert.deepEqual(await Promise.all([made.size(A, signal), made.size(A, signal)]), [7, 7]);
  assert.equal(await made.size(A, signal), 7);
  assert.equal(asked, 2);
});

test('one caller’s end is not the others’; the look-up has a time limit of its own', async () => {
  const signals: AbortSignal[] = [];
  const made = rememberLookUps(
    storage('ipfs', {
      hasLocally: (_, given) => {
        signals.push(given);
        return new Promise((_resolve, reject) => {
          given.addEventListener('abort', () => reject(new Error('too late')));
        });
      },
    }),
    { deadlineMs: 30 },
  );
  const gone = new AbortController();
  const [one, other] = [made.hasLocally(A, gone.signal), made.hasLocally(A, signal)];
  gone.abort();
  assert.equal(signals[0]?.aborted, false);
  await Promise.all([assert.rejects(one, /too late/), assert.rejects(other, /too late/)]);
});

test('memory is bounded, and inline inputs take none of it', async () => {
  let asked = 0;
  const counting = { hasLocally: () => Promise.resolve((asked += 1) > 0) };
  const made = rememberLookUps(storage('ipfs', counting), { kept: 2 });
  for (const CID of ['a', 'b', 'c', 'c', 'a']) await made.hasLocally(input('ipfs', { CID }), signal);
  assert.equal(asked, 4);
  const inline = storage('inline');
  assert.equal(rememberLookUps(inline), inline);
});
