import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NodeError } from '../../../../src/core/errors.ts';
import type { ExecutionHeader } from '../../../../src/core/item.ts';
import type { Task } from '../../../../src/core/job.ts';
import type { Outcome } from '../../../../src/core/outcome.ts';
import type { Storage } from '../../../../src/storages/storage.ts';
import { Bidder } from '../../../../src/workers/bid/bid.ts';
import { decideQuickly } from '../../../../src/workers/bid/decide.ts';
import type { BidOptions, BidOutput } from '../../../../src/workers/bid/protocol.ts';
import type { Strategy } from '../../../../src/workers/bid/strategy.ts';
import { askedJob, bidderOf, header, input, MODULES, OPTIONS, spec, storage } from '../../../support/bid.ts';

interface Ask {
  readonly options?: Partial<BidOptions>;
  readonly header?: Partial<ExecutionHeader>;
  readonly task?: Partial<Task>;
  readonly namespace?: string;
  readonly storages?: readonly Storage[];
  readonly signal?: AbortSignal;
}

async function bid(ask: Ask = {}): Promise<Outcome<BidOutput>> {
  const storages = new Map((ask.storages ?? []).map((storage) => [storage.type, storage] as const));
  const bidder = bidderOf(ask.options, { storages: () => Promise.resolve(storages) });
  return bidder.bid(
    {
      asked: header({ namespace: ask.namespace ?? 'default', ...ask.header }),
      spec: spec(ask.task, ask.namespace),
      explain: false,
    },
    { signal: ask.signal ?? new AbortController().signal },
  );
}

async function refusal(ask: Ask): Promise<Extract<Outcome<BidOutput>, { kind: 'reject' }>> {
  const outcome = await bid(ask);
  assert.equal(outcome.kind, 'reject', JSON.stringify(outcome));
  if (outcome.kind !== 'reject') throw new Error('not refused');
  return outcome;
}

test('a plain job is bid on with what it asks for', async () => {
  assert.deepEqual(await bid(), { kind: 'advance', value: { resources: header().resources } });
});

test('before the offer is known, the answer is not final', async () => {
  const bidder = new Bidder(OPTIONS, MODULES);
  const outcome = await bidder.bid({ asked: header(), spec: spec(), explain: false }, new AbortController());
  assert.equal(outcome.kind === 'reject' && outcome.final, false);
});

test('networking', async () => {
  const network =
    'this node does not run jobs that require network access (see https://docs.bacalhau.org/next-steps/networking)';
  for (const Type of ['Full', 'Bridge', 'Host'] as const) {
    const { reason, code, final } = await refusal({ task: { Network: { Type } } });
    assert.deepEqual([reason, code, final], [network, 'networking', true]);
  }
  const accepting = { acceptNetworked: true };
  for (const Type of ['Full', 'Bridge', 'None', 'Default'] as const) {
    assert.equal((await bid({ options: accepting, task: { Network: { Type } } })).kind, 'advance', Type);
  }
  const host = { Network: { Type: 'Host' } } as const;
  assert.match(
    (await refusal({ options: accepting, task: host })).reason,
    /--job-selection-accept-host-network/,
  );
  assert.equal(
    (await bid({ options: { ...accepting, allowHostNetwork: true }, task: host })).kind,
    'advance',
  );
  assert.match(
    (await refusal({ options: accepting, task: { Network: { Type: 'HTTP' } } })).reason,
    /not support network type HTTP/,
  );
});

test('timeouts', async () => {
  const asked = (executionTimeoutMs: number, namespace?: string): Ask =>
    namespace === undefined
      ? { header: { executionTimeoutMs } }
      : { header: { executionTimeoutMs }, namespace };
  assert.equal((await bid(asked(0))).kind, 'advance');
  assert.equal((await bid(asked(60_000))).kind, 'advance');
  assert.equal(
    (await refusal(asked(90_000))).reason,
    'this node does not accept jobs with timeout 1m30s (the maximum allowed is 1m0s)',
  );
  assert.equal(
    (await refusal(asked(500))).reason,
    'this node does not accept jobs with timeout 500ms (the minimum allowed is 1s)',
  );
  assert.equal((await bid(asked(90_000, 'trusted'))).kind, 'advance');
  assert.equal((await refusal(asked(1e16, 'trusted'))).code, 'timeout');
});

test('stateless: a module is no data', async () => {
  const options = { rejectStateless: true };
  const { reason, code } = await refusal({ options });
  assert.deepEqual([reason, code], ['this node does not accept jobs without any input volumes', 'stateless']);
  const wasm: Partial<Task> = {
    Engine: { Type: 'wasm', Params: { EntryModule: 'main.wasm' } },
    InputSources: [input('inline', {}, 'main.wasm')],
  };
  const storages = [storage('inline')];
  assert.equal((await refusal({ options, task: wasm, storages })).code, 'stateless');
  const task = { ...wasm, InputSources: [...(wasm.InputSources ?? []), input('inline')] };
  assert.equal((await bid({ options, task, storages })).kind, 'advance');
});

test('what is not installed', async () => {
  assert.equal(
    (await refusal({ header: { publisher: 's3' } })).reason,
    'this node does not support s3, only ipfs',
  );
  assert.equal(
    (await refusal({ header: { engine: 'brainfuck' } })).reason,
    'this node does not support brainfuck, only docker, wasm',
  );
  const InputSources = [
    input('S3'),
    input('s3', {}, '/b'),
    input('repo', {}, '/c'),
    input('local', {}, '/d'),
  ];
  const { reason, code } = await refusal({ task: { InputSources } });
  assert.deepEqual(
    [reason, code],
    ['this node does not support s3, repo, only inline, ipfs, localdirectory', 'storage'],
  );
});

test('locality local: every input must be here, and the reason names the flag', async () => {
  const options = { locality: 'local' } as const;
  const InputSources = [
    input('ipfs', { CID: 'a' }),
    input('ipfs', { CID: 'b' }, '/b'),
    input('inline', {}, '/c'),
  ];
  const here = storage('ipfs', {
    hasLocally: ({ Source }) => Promise.resolve(Source.Params?.['CID'] === 'a'),
  });
  const { reason, code, final } = await refusal({
    options,
    task: { InputSources },
    storages: [here, storage('inline')],
  });
  assert.equal(
    reason,
    'this node does not have all input data locally (1 input requires downloading; --job-selection-data-locality is "local", "anywhere" accepts them)',
  );
  assert.deepEqual([code, final], ['locality', true]);
  const anywhere = await bid({ task: { InputSources }, storages: [here, storage('inline')] });
  assert.equal(anywhere.kind, 'advance');
});

test('a local directory that is not here is refused whatever the locality', async () => {
  const InputSources = [input('local', { SourcePath: '/data' })];
  const storages = [storage('localdirectory', { hasLocally: () => Promise.resolve(false) })];
  assert.match(
    (await refusal({ task: { InputSources }, storages })).reason,
    /the local path \/data \(see --allow-listed/,
  );
});

test('look-ups that fail: a wrong input is final, a broken look-up is not', async () => {
  const options = { locality: 'local' } as const;
  const task = { InputSources: [input('ipfs', { CID: 'notacid' })] };
  const failing = (error: Error): readonly Storage[] => [
    storage('ipfs', { hasLocally: () => Promise.reject(error), size: () => Promise.reject(error) }),
  ];
  const wrong = await refusal({ options, task, storages: failing(new NodeError('InputInvalid', 'bad CID')) });
  assert.deepEqual(
    [wrong.final, wrong.reason],
    [true, "this node does not accept the job's inputs: bad CID"],
  );
  const broken = await refusal({ options, task, storages: failing(new Error('no connection')) });
  assert.deepEqual(
    [broken.final, broken.reason],
    [false, 'this node does not know whether to accept the job (locality: no connection)'],
  );
});

test('the size of the inputs raises the disk, and is held against the limit', async () => {
  const task = { InputSources: [input('ipfs'), input('inline', {}, '/b')] };
  const sized = (bytes: number): readonly Storage[] => [
    storage('ipfs', { size: () => Promise.resolve(bytes) }),
    storage('inline', { size: () => Promise.reject(new Error('unknown')) }),
  ];
  const outcome = await bid({ task, storages: sized(7e8) });
  assert.equal(outcome.kind === 'advance' && outcome.value.resources.disk, 7e8);
  const refused = await refusal({ task, storages: sized(2e9) });
  assert.equal(refused.code, 'max_capacity');
  assert.equal(refused.requested, '{CPU: 0.500000, Memory: 500.0 MB, Disk: 2.0 GB, GPU: 0}');
});

test('more than one job may have', async () => {
  const resources = { cpu: 64, memory: 1, disk: 0, gpu: 0 };
  const { reason, code, requested, available } = await refusal({ header: { resources } });
  assert.equal(code, 'max_capacity');
  assert.equal(
    reason,
    `this node does not run jobs that require this many resources (${requested} requested but only ${available} is allowed)`,
  );
});

test('the first refusal in the documented order is the one told', async () => {
  const everything: Ask = {
    options: { rejectStateless: true },
    header: {
      engine: 'x',
      publisher: 'x',
      executionTimeoutMs: 1e9,
      resources: { cpu: 99, memory: 0, disk: 0, gpu: 0 },
    },
    task: { Network: { Type: 'Full' } },
  };
  assert.equal((await refusal(everything)).code, 'networking');
  assert.equal((await refusal({ ...everything, task: {} })).code, 'timeout');
  const inTime = { ...everything, task: {}, header: { ...everything.header, executionTimeoutMs: 0 } };
  assert.equal((await refusal(inTime)).code, 'stateless');
  assert.equal((await refusal({ ...inTime, options: {} })).code, 'publisher');
  assert.equal(
    (await refusal({ header: { engine: 'x', resources: { cpu: 99, memory: 0, disk: 0, gpu: 0 } } })).code,
    'engine',
  );
});

test('a job that is refused anyway costs no look-up', async () => {
  let lookUps = 0;
  const counting = storage('ipfs', {
    hasLocally: () => {
      lookUps += 1;
      return Promise.resolve(true);
    },
  });
  const task = { InputSources: [input('ipfs')] };
  const options = { locality: 'local' } as const;
  assert.equal(
    (await refusal({ options, task, header: { engine: 'x' }, storages: [counting] })).code,
    'engine',
  );
  assert.equal(lookUps, 0);
  await bid({ options, task, storages: [counting] });
  assert.equal(lookUps, 1);
});

test('a withdrawn ask ends at once, also while a storage hangs', async () => {
  const controller = new AbortController();
  const hanging = storage('ipfs', {
    hasLocally: () => {
      controller.abort();
      return new Promise<boolean>(() => undefined);
    },
    size: () => new Promise<number>(() => undefined),
  });
  const outcome = await bid({
    options: { locality: 'local' },
    task: { InputSources: [input('ipfs')] },
    storages: [hanging],
    signal: controller.signal,
  });
  assert.equal(outcome.kind, 'cancelled');
});

test('bytes that are no job are refused, not thrown', async () => {
  const bidder = bidderOf();
  for (const text of ['', '{', 'null', '{"Tasks":[]}']) {
    const outcome = await bidder.bid(
      { asked: header(), spec: new TextEncoder().encode(text), explain: false },
      new AbortController(),
    );
    assert.equal(outcome.kind === 'reject' && outcome.code, 'invalid', text);
  }
});

test('a strategy may make the job wait for somebody else', () => {
  const wait = { kind: 'wait', reason: 'an operator decides' } as const;
  const strategy: Strategy = { speed: 'quick', code: 'timeout', decide: () => wait };
  assert.deepEqual(decideQuickly([strategy], askedJob()), wait);
});
