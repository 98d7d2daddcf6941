import { stat } from 'node:fs/promises';
import { mockJob } from '../../test/support/jobs.ts';
import { startTestNode, type TestNode } from '../../test/support/node.ts';
import type { Bench, Figure } from '../support/bench.ts';
import { ASKED, bodyOf, burst, costs, targetOf } from '../support/bursts.ts';
import { fillWithEnded } from '../support/ended.ts';
import { load } from '../support/processes.ts';

/** Ended jobs for each job of a burst: a million with `--jobs 10000`. */
const ENDED_EACH = 100;
const body = bodyOf(mockJob({}, { resources: ASKED }));

interface Speed {
  readonly rate: number;
  readonly p50: number;
  readonly note: string;
}

/** What many jobs of the past cost those of today. */
export const historyBench: Bench = {
  name: 'history',
  doc: `a node whose stores hold ${ENDED_EACH} ended jobs for each of --jobs, beside an empty one (minutes, gigabytes)`,
  onlyByName: true,
  run: async ({ jobs, repetitions }, scope) => {
    const ended = jobs * ENDED_EACH;
    const full = await startTestNode(scope);
    await full.stop();
    await fillWithEnded(full.dataDir, full.nodeId, ended);
    const empty = await speedOf(await startTestNode(scope), jobs, repetitions);
    await full.restart({ startMs: 120_000 });
    const filled = await speedOf(full, jobs, repetitions);
    const { size } = await stat(`${full.dataDir}/${full.nodeId}-requester/jobs.db`);
    const store = `${ended} ended jobs, jobs.db ${(size / 2 ** 30).toFixed(1)} GiB`;
    return [
      {
        what: `${store}: mock jobs`,
        value: filled.rate,
        unit: 'jobs/s',
        limit: { what: 'with empty stores', value: empty.rate },
        note: `${filled.note}; empty: ${empty.note}`,
      },
      {
        what: `${store}: one mock job alone, p50`,
        value: filled.p50,
        unit: 'ms',
        limit: { what: 'with empty stores', value: empty.p50 },
      },
    ] satisfies Figure[];
  },
};

async function speedOf(node: TestNode, jobs: number, repetitions: number): Promise<Speed> {
  const result = await burst(targetOf(node), body, jobs, true);
  const { milliseconds } = await load({ kind: 'alone', origin: node.apiUrl, body, count: repetitions });
  const p50 = milliseconds.toSorted((a, b) => a - b)[Math.floor(repetitions / 2)] ?? 0;
  return { rate: jobs / result.seconds, p50, note: costs(result, jobs) };
}
