import { mockJob } from '../../test/support/jobs.ts';
import { startTestNode, type TestNode } from '../../test/support/node.ts';
import { cpuMs } from '../../test/support/process-facts.ts';
import type { Bench, Figure } from '../support/bench.ts';
import { ASKED, bodyOf, burst, targetOf } from '../support/bursts.ts';
import { memoryNote, memoryOf, pause } from '../support/process.ts';

/** Until what a burst has left is collected (src/node/trim.ts). */
const QUIET_MS = 18_000;
const IDLE_MS = 10_000;
const JOBS = 10_000;

/** What a node takes that has nothing to do: before its first job, and after many. */
export const footprintBench: Bench = {
  name: 'footprint',
  doc: `memory and CPU of an idle node, its start, and its memory after ${JOBS} jobs (a minute)`,
  onlyByName: true,
  run: async (_, scope) => {
    const began = performance.now();
    const node = await startTestNode(scope);
    const up = performance.now() - began;
    await node.waitForJob(await node.submit(mockJob({}, { resources: ASKED })));
    const first = performance.now() - began;
    await pause(QUIET_MS);
    const figures: Figure[] = [
      {
        what: 'start to "node is running"',
        value: up,
        unit: 'ms',
        note: `first job bid on, run and seen completed after ${first.toFixed(0)} ms`,
      },
      await memory(node, 'idle: RSS', (found) => found.rss),
      await idleCpu(node),
    ];
    // Half as many run before it: together the number that is asked for.
    const jobs = Math.ceil((JOBS * 2) / 3);
    await burst(targetOf(node), bodyOf(mockJob({}, { resources: ASKED })), jobs, true);
    figures.push(await memory(node, `right after ${JOBS} jobs: anonymous`, (found) => found.anonymous));
    await pause(QUIET_MS);
    figures.push(await memory(node, `${QUIET_MS / 1000} s later: anonymous`, (found) => found.anonymous));
    return figures;
  },
};

async function memory(
  node: TestNode,
  what: string,
  pick: (found: Awaited<ReturnType<typeof memoryOf>>) => number,
): Promise<Figure> {
  const found = await memoryOf(node.pid);
  return { what, value: pick(found), unit: 'MiB', note: memoryNote(found) };
}

async function idleCpu({ pid }: TestNode): Promise<Figure> {
  const before = await cpuMs(pid);
  await pause(IDLE_MS);
  const value = (100 * ((await cpuMs(pid)) - before)) / IDLE_MS;
  return { what: 'idle: CPU', value, unit: '% of a core', note: `over ${IDLE_MS / 1000} s` };
}
