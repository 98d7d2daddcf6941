import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { NetworkType, Task } from '../../../../src/core/job.ts';
import type { BidOptions } from '../../../../src/workers/bid/protocol.ts';
import { QuickBids } from '../../../../src/workers/bid/quick.ts';
import { BidTally, verdictNames } from '../../../../src/workers/bid/tally.ts';
import { bidFacts, isSelfContained } from '../../../../src/workers/checks/facts.ts';
import { Faults } from '../../../../src/workers/checks/faults.ts';
import { normaliseJob } from '../../../../src/workers/checks/normalise.ts';
import { bidderOf, header, input, jobSpec, OFFER, OPTIONS, spec, storage } from '../../../support/bid.ts';

function quickOf(options: Partial<BidOptions> = {}): QuickBids {
  const quick = new QuickBids({ ...OPTIONS, ...options });
  quick.setOffer(OFFER);
  return quick;
}

const plain = bidFacts(jobSpec().Tasks[0]);
const wasm = header({ engine: 'wasm' });

test('what nobody has to be asked about is decided at once', () => {
  assert.deepEqual(quickOf().bid(wasm, plain), { kind: 'advance', value: { resources: wasm.resources } });
  const refused = quickOf({ rejectStateless: true }).bid(wasm, plain);
  assert.equal(refused?.kind === 'reject' && refused.code, 'stateless');
});

test('probes, images and an offer not known yet are for the bid threads', () => {
  assert.equal(quickOf({ probeExec: 'exit 0' }).bid(wasm, plain), undefined);
  assert.equal(quickOf({ probeHttp: 'http://127.0.0.1:1' }).bid(wasm, plain), undefined);
  assert.equal(quickOf().bid(header({ engine: 'docker' }), plain), undefined);
  assert.equal(new QuickBids(OPTIONS).bid(wasm, plain), undefined);
});

test('a small job of a peer is checked and decided at once, in the words of the bid threads', async () => {
  const [quick, bidder] = [quickOf(), bidderOf()];
  const { executionId, jobId, jobVersion, requesterId } = header();
  const asked = { executionId, jobId, jobVersion, requesterId };
  const none = { Engine: { Type: 'mock', Params: {} } };
  const module = { ...input('inline', { URL: 'data:,x' }, 'main.wasm') };
  const task: Partial<Task> = {
    Engine: { Type: 'wasm', Params: { EntryModule: 'main.wasm' } },
    InputSources: [module],
  };
  // As a requester stores it.
  const sent = (change: Partial<Task>): Uint8Array => {
    const faults = new Faults();
    const { job } = normaliseJob(JSON.parse(new TextDecoder().decode(spec(change))), 'Job', faults);
    return Buffer.from(JSON.stringify(job));
  };
  const outcomes: string[] = [];
  for (const bytes of [
    sent(task),
    sent(none),
    sent({ ...task, Publisher: { Type: 'local' } }),
    Buffer.from('{'),
  ]) {
    const outcome = quick.bidOfPeer(asked, bytes);
    assert.deepEqual(
      outcome,
      await bidder.bid({ asked, spec: bytes, explain: false }, new AbortController()),
    );
    outcomes.push(outcome?.kind === 'reject' ? outcome.code : String(outcome?.kind));
  }
  assert.deepEqual(outcomes, ['advance', 'engine', 'publisher', 'invalid']);
  assert.equal(
    quick.bidOfPeer(asked, sent({ ...task, InputSources: [module, input('ipfs', { CID: 'x' })] })),
    undefined,
  );
  assert.equal(quick.bidOfPeer(asked, sent({})), undefined, 'an image');
  assert.equal(
    quick.bidOfPeer(asked, sent({ ...task, Env: { X: 'x'.repeat(4096) } })),
    undefined,
    'much to read',
  );
  assert.equal(quickOf({ probeExec: 'exit 0' }).bidOfPeer(asked, sent(task)), undefined, 'a probe');
});

test('the policy may change', () => {
  const quick = quickOf();
  quick.setPolicy({ ...OPTIONS, probeExec: 'exit 0' });
  assert.equal(quick.bid(wasm, plain), undefined);
  quick.setPolicy({ ...OPTIONS, rejectStateless: true });
  assert.equal(quick.bid(wasm, plain)?.kind, 'reject');
});

test('inline inputs raise the disk that is asked for', () => {
  const task: Partial<Task> = { InputSources: [input('inline', { URL: 'data:,12345' })] };
  const facts = bidFacts(jobSpec(task).Tasks[0]);
  assert.equal(isSelfContained(facts), true);
  const outcome = quickOf().bid(wasm, facts);
  assert.equal(outcome?.kind === 'advance' && outcome.value.resources.disk, 5);
  const limited = { jobLimit: { ...OPTIONS.jobLimit, disk: 4 } };
  const refused = quickOf(limited).bid(wasm, facts);
  assert.equal(refused?.kind === 'reject' && refused.code, 'max_capacity');
});

test('an input that is somewhere else has to be looked up', () => {
  const facts = bidFacts(jobSpec({ InputSources: [input('inline'), input('ipfs', { CID: 'a' })] }).Tasks[0]);
  assert.equal(isSelfContained(facts), false);
});

test('the bid threads would say the same, and count the same', async () => {
  const types: readonly NetworkType[] = ['None', 'Default', 'Full', 'Bridge', 'Host', 'HTTP'];
  const inline = fc.record({
    URL: fc.constantFrom('data:,1234', 'data:;base64,AAAA', 'data:;base64,!', 'x'),
  });
  const inputs = fc.array(
    inline.map((params) => input('inline', params, '/in')),
    { maxLength: 2 },
  );
  const made = fc.record({
    engine: fc.constantFrom('wasm', 'mock'),
    publisher: fc.constantFrom('', 'ipfs', 's3'),
    timeoutMs: fc.constantFrom(0, 500, 5000, 90_000, 1e16),
    namespace: fc.constantFrom('default', 'trusted'),
    cpu: fc.constantFrom(0.1, 2, 3),
    network: fc.constantFrom(...types),
    inputs,
    acceptNetworked: fc.boolean(),
    allowHostNetwork: fc.boolean(),
    rejectStateless: fc.boolean(),
    locality: fc.constantFrom('local', 'anywhere'),
    disk: fc.constantFrom(2, 1e9),
  });
  await fc.assert(
    fc.asyncProperty(made, async (given) => {
      const { acceptNetworked, allowHostNetwork, rejectStateless, locality } = given;
      const policy = { acceptNetworked, allowHostNetwork, rejectStateless, locality } as const;
      const jobLimit = { ...OPTIONS.jobLimit, disk: given.disk };
      const [here, there] = [new BidTally(), new BidTally()];
      const task: Partial<Task> = { Network: { Type: given.network }, InputSources: given.inputs };
      const asked = header({
        engine: given.engine,
        publisher: given.publisher,
        namespace: given.namespace,
        executionTimeoutMs: given.timeoutMs,
        resources: { cpu: given.cpu, memory: 1e6, disk: 0, gpu: 0 },
      });
      const facts = bidFacts(jobSpec(task, given.namespace).Tasks[0]);
      const quick = quickOf({ ...policy, jobLimit, tally: here.buffer }).bid(asked, facts);
      const bidder = bidderOf(
        { ...policy, jobLimit, tally: there.buffer },
        { storages: () => Promise.resolve(new Map([['inline', storage('inline')]])) },
      );
      const slow = await bidder.bid(
        { asked, spec: spec(task, given.namespace), explain: false },
        new AbortController(),
      );
      assert.deepEqual(quick, slow);
      for (const verdict of verdictNames) {
        for (const strategy of ['networking', 'timeout', 'stateless', 'engine', 'max_capacity'] as const) {
          assert.equal(here.verdicts(strategy, verdict), there.verdicts(strategy, verdict));
        }
      }
    }),
  );
});
