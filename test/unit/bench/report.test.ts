import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type BenchRun, readRun } from '../../../bench/support/bench-run.ts';
import { compareRuns } from '../../../bench/support/compare.ts';
import { htmlReport } from '../../../bench/support/html.ts';
import { temporaryFolder } from '../../support/folders.ts';

function runOf(figures: BenchRun['figures']): BenchRun {
  return {
    time: '2026-01-31T12:00:00.000Z',
    machine: { cpu: 'A <fast> one', cores: 2, memoryGiB: 24, node: 'v24.0.0' },
    size: { jobs: 2000, microMs: 300, repetitions: 200 },
    figures,
  };
}

const RATE = { bench: 'jobs', what: 'mock jobs', unit: 'jobs/s' };
const LATENCY = { bench: 'jobs', what: 'one job alone, p50', unit: 'ms' };

test('a comparison: gains whatever the unit, and what only one run has', () => {
  const before = runOf([
    { ...RATE, value: 1000 },
    { ...LATENCY, value: 10 },
    { bench: 'gone', what: 'x', unit: 'ops/s', value: 1 },
  ]);
  const after = runOf([
    { ...RATE, value: 1500 },
    { ...LATENCY, value: 20 },
    { bench: 'new', what: 'y', unit: 'ops/s', value: 1 },
  ]);
  const { figures, alone } = compareRuns(before, after);
  assert.deepEqual(
    figures.map(({ what, gain }) => [what, gain]),
    [
      ['mock jobs', 1.5],
      ['one job alone, p50', 0.5],
    ],
  );
  assert.deepEqual(alone, ['new: y', 'gone: x']);
});

test('a page that needs nothing else, with every figure, and nothing of it taken for markup', () => {
  const page = htmlReport(
    runOf([
      { ...RATE, value: 1000, limit: { what: 'bare <loop>', value: 4000 }, note: 'a & b' },
      { ...LATENCY, value: 0 },
    ]),
  );
  assert.doesNotMatch(page, /<fast>|<loop>| & |(?:src|href)=|https?:|<script/);
  assert.match(page, /A &lt;fast&gt; one, 2 cores/);
  assert.match(page, /1,000 jobs\/s/);
  assert.match(page, /25 %/);
  assert.match(page, /bare &lt;loop&gt;/);
  const bars = [...page.matchAll(/<rect [^>]*width="([\d.]+)"/g)].map(([, width]) => Number(width));
  assert.equal(bars.length, 3);
  assert.ok(Math.abs((bars[0] ?? 0) - 4 * (bars[1] ?? 0)) < 0.5, bars.join(' '));
  assert.equal(bars[2], 0);
  assert.equal(page.match(/<svg/g)?.length, 2, 'a plot a unit');
});

test('a run is read as it was written; another file is named with what is wrong', async (t) => {
  const path = join(await temporaryFolder(t), 'run.json');
  const run = runOf([{ ...RATE, value: 1, note: 'x' }]);
  await writeFile(path, JSON.stringify(run));
  assert.deepEqual(await readRun(path), run);
  await writeFile(path, JSON.stringify({ ...run, figures: [{ ...RATE, value: '1' }] }));
  await assert.rejects(readRun(path), /run\.json: no file that --json has written: .*expected number/s);
});
