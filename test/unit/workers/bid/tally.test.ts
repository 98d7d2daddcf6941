import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { bidSettings } from '../../../../src/pipeline/bid/options.ts';
import { MAX_PROBES, strategyNames } from '../../../../src/workers/bid/protocol.ts';
import { BidTally, PROBE_SECONDS, verdictNames } from '../../../../src/workers/bid/tally.ts';

test('places are as many as the cap says, in every thread together, and come back once', () => {
  const one = new BidTally();
  const other = new BidTally(one.buffer);
  const held = Array.from({ length: 3 }, () => one.enter('exec_probe', 4, 10_000));
  held.push(other.enter('exec_probe', 4, 10_000));
  assert.ok(held.every((leave) => leave !== undefined));
  assert.equal(one.enter('exec_probe', 4, 10_000), undefined);
  assert.equal(other.running('exec_probe'), 4);
  // The other kind has places of its own.
  assert.ok(one.enter('http_probe', 4, 10_000) !== undefined);
  held[0]?.();
  held[0]?.();
  assert.equal(other.running('exec_probe'), 3);
  assert.ok(other.enter('exec_probe', 4, 10_000) !== undefined);
  assert.equal(one.enter('exec_probe', 4, 10_000), undefined);
});

test('a place that nobody gives back lapses, and its late owner takes nobody else’s', () => {
  const tally = new BidTally();
  const now = 1_800_000_000_000;
  const lost = tally.enter('exec_probe', 1, 5000, now);
  assert.equal(tally.enter('exec_probe', 1, 5000, now + 5000), undefined);
  const next = tally.enter('exec_probe', 1, 5000, now + 8000);
  assert.ok(next !== undefined);
  lost?.();
  assert.equal(tally.running('exec_probe', now + 8000), 1);
  next();
  assert.equal(tally.running('exec_probe', now + 8000), 0);
});

test('counters are apart from each other', () => {
  const tally = new BidTally();
  let count = 1;
  for (const strategy of strategyNames) {
    for (const verdict of verdictNames) {
      for (let times = 0; times < count; times += 1) tally.said(strategy, verdict);
      count += 1;
    }
  }
  tally.failed('exec_probe', 'slots');
  tally.took('http_probe', 3);
  tally.took('http_probe', 1e9);
  count = 1;
  for (const strategy of strategyNames) {
    for (const verdict of verdictNames) {
      assert.equal(tally.verdicts(strategy, verdict), count);
      count += 1;
    }
  }
  assert.equal(tally.failures('exec_probe', 'slots'), 1);
  assert.equal(tally.failures('http_probe', 'timeout'), 0);
  const { counts, sum, count: all } = tally.durations('http_probe');
  assert.deepEqual([counts[PROBE_SECONDS.indexOf(0.005)], counts.at(-1), all], [1, 1, 2]);
  assert.ok(Math.abs(sum - 1_000_000.003) < 0.001);
  assert.equal(tally.durations('exec_probe').count, 0);
});

test('threads that count at once lose nothing', async () => {
  const tally = new BidTally();
  const url = new URL('../../../../src/workers/bid/tally.ts', import.meta.url).href;
  const source = `
    const { workerData } = require('node:worker_threads');
    import(${JSON.stringify(url)}).then(({ BidTally }) => {
      const tally = new BidTally(workerData);
      for (let count = 0; count < 20000; count += 1) {
        tally.said('timeout', 'no');
        const leave = tally.enter('exec_probe', 3, 60000);
        if (leave !== undefined) leave();
      }
    });`;
  const threads = Array.from(
    { length: 3 },
    () => new Worker(source, { eval: true, workerData: tally.buffer }),
  );
  await Promise.all(
    threads.map(
      (thread) => new Promise((resolve, reject) => thread.once('exit', resolve).once('error', reject)),
    ),
  );
  assert.equal(tally.verdicts('timeout', 'no'), 60_000);
  assert.equal(tally.running('exec_probe'), 0);
});

test('the config allows as many probes as there are places', () => {
  const row = bidSettings.find(({ key }) => key === 'JobAdmissionControl.ProbeConcurrency');
  assert.equal(row?.max, MAX_PROBES);
});
