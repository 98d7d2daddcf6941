import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decideQuickly, decideSlowly, explainAll } from '../../../../src/workers/bid/decide.ts';
import { strategyNames } from '../../../../src/workers/bid/protocol.ts';
import type { SlowStrategy, Verdict } from '../../../../src/workers/bid/strategy.ts';
import { askedJob } from '../../../support/bid.ts';

const signal = new AbortController().signal;
const job = askedJob();

function slow(decide: SlowStrategy['decide'], more: Partial<SlowStrategy> = {}): SlowStrategy {
  return { speed: 'slow', code: 'locality', applies: () => true, decide, ...more };
}

test('slow strategies run together under one deadline; the first that is late is told', async () => {
  const aborted: string[] = [];
  const hanging = (name: string): SlowStrategy =>
    slow((_, limited) => {
      limited.addEventListener('abort', () => aborted.push(name));
      return new Promise(() => undefined);
    });
  const chain = [slow(() => Promise.resolve({ kind: 'yes' })), hanging('a'), hanging('b')];
  assert.deepEqual(decideQuickly(chain, job), { kind: 'bid' });
  const decision = await decideSlowly(chain, job, { signal, deadlineMs: 20 });
  assert.equal(decision.kind === 'reject' && decision.final, false);
  assert.match(decision.kind === 'reject' ? decision.reason : '', /locality took longer than 20 ms/);
  assert.deepEqual(aborted.sort(), ['a', 'b']);
});

test('a final no ends the others at once; a transient one waits for them', async () => {
  let ended = false;
  const hanging = slow((_, limited) => {
    limited.addEventListener('abort', () => {
      ended = true;
    });
    return new Promise(() => undefined);
  });
  const final = slow(() => Promise.resolve({ kind: 'no', reason: 'want it' }), { code: 'http_probe' });
  const decision = await decideSlowly([hanging, final], job, { signal, deadlineMs: 60_000 });
  assert.equal(decision.kind === 'reject' && decision.code, 'http_probe');
  assert.equal(ended, true);

  const transient = slow(() => Promise.resolve({ kind: 'no', reason: 'know', final: false }));
  const later = slow(
    () => new Promise((resolve) => setImmediate(() => resolve({ kind: 'no', reason: 'want it' }))),
  );
  const both = await decideSlowly([transient, later], job, { signal, deadlineMs: 60_000 });
  assert.equal(both.kind === 'reject' && both.final, true);
});

test('one that finds no place decides before any other starts, and everything taken is given back', async () => {
  let started = 0;
  let held = 0;
  const entering = slow(
    () => {
      started += 1;
      return Promise.resolve({ kind: 'yes' });
    },
    {
      enter: () => {
        held += 1;
        return () => {
          held -= 1;
        };
      },
    },
  );
  const full: Verdict = { kind: 'no', reason: 'decide now', final: false, code: 'probe_slots_full' };
  const crowded = slow(() => Promise.resolve({ kind: 'yes' }), { enter: () => full });
  const decision = await decideSlowly([entering, crowded], job, { signal, deadlineMs: 1000 });
  assert.equal(decision.kind === 'reject' && decision.code, 'probe_slots_full');
  assert.deepEqual([started, held], [0, 0]);
  await decideSlowly([entering], job, { signal, deadlineMs: 1000 });
  assert.deepEqual([started, held], [1, 0]);
});

type Said = 'yes' | 'wait' | 'final' | 'transient' | 'fault';

function verdict(said: Said): Promise<Verdict> {
  switch (said) {
    case 'yes':
      return Promise.resolve({ kind: 'yes' });
    case 'wait':
      return Promise.resolve({ kind: 'wait', reason: 'an operator decides' });
    case 'final':
      return Promise.resolve({ kind: 'no', reason: 'want it' });
    case 'transient':
      return Promise.resolve({ kind: 'no', reason: 'know', final: false });
    case 'fault':
      return Promise.reject(new Error('broken'));
  }
}

/** What the rules say, without any timing: reject before wait before bid, final before transient. */
function expected(said: readonly Said[]): string {
  if (said.includes('final')) return 'reject final';
  if (said.includes('transient') || said.includes('fault')) return 'reject transient';
  return said.includes('wait') ? 'wait' : 'bid';
}

test('in any order of completion the strategies give one decision', async () => {
  const word = fc.constantFrom<Said>('yes', 'wait', 'final', 'transient', 'fault');
  const words = fc.array(word, { minLength: 1, maxLength: 7 });
  const orders = words.chain((said) =>
    fc.record({
      said: fc.constant(said),
      order: fc.shuffledSubarray([...said.keys()], { minLength: said.length, maxLength: said.length }),
      together: fc.boolean(),
    }),
  );
  await fc.assert(
    fc.asyncProperty(orders, async ({ said, order, together }) => {
      const go = said.map(() => Promise.withResolvers<void>());
      const chain = said.map((one, index) =>
        slow(
          async () => {
            await go[index]?.promise;
            return verdict(one);
          },
          { code: strategyNames[index] ?? 'locality' },
        ),
      );
      const deciding = decideSlowly(chain, job, { signal, deadlineMs: 60_000 });
      for (const index of order) {
        go[index]?.resolve();
        if (!together) await new Promise((resolve) => setImmediate(resolve));
      }
      const decision = await deciding;
      const text =
        decision.kind === 'reject' ? `reject ${decision.final ? 'final' : 'transient'}` : decision.kind;
      assert.equal(text, expected(said));
      if (text === 'reject transient') {
        // All were heard: the first of them in the documented order is told.
        const first = said.findIndex((one) => one === 'transient' || one === 'fault');
        assert.equal(decision.kind === 'reject' && decision.code, strategyNames[first]);
      }
      const explained = await explainAll(chain, job, { signal, deadlineMs: 60_000 });
      assert.equal(explained.decision.kind, decision.kind);
      assert.equal(explained.strategies.length, said.length);
    }),
    { numRuns: 300 },
  );
});
