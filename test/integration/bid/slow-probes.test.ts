import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { NO_RESOURCES } from '../../../src/core/resources.ts';
import type { BidOptions } from '../../../src/workers/bid/protocol.ts';
import { BidTally, type ProbeName } from '../../../src/workers/bid/tally.ts';
import { temporaryFolder } from '../../support/folders.ts';
import { mockJob } from '../../support/jobs.ts';
import { waitUntil } from '../../support/node.ts';
import { marked } from '../../support/probes.ts';
import { type TestSpine, testSpine } from '../../support/spine.ts';

/*
 * Latencies are taken in the node's own process, on the thread that decides: from the ask to the row of the answer, or
 * to the refusal. Bounds are on medians, which the rest of a busy machine does not move; the tails are printed.
 */

const SINGLE_MS = 10;
const COMPARED = 40;

const hangingJob = mockJob({}, { name: 'hang' });

/** Hangs with a child of its own, for jobs of that name; accepts all others. */
function hangingScript(mark: string): string {
  return `case "$BACALHAU_JOB_SELECTION_PROBE_DATA" in *'"Name":"hang"'*) export ${mark}; sleep 600 & wait;; esac`;
}

/** The same over HTTP. */
async function hangingService(t: TestContext): Promise<string> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (!Buffer.concat(chunks).includes('"Name":"hang"')) response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

function at(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

function percentiles(values: readonly number[]): string {
  return [0.5, 0.95, 0.99].map((share) => `p${share * 100} ${at(values, share).toFixed(2)}`).join(', ');
}

function assertFree({ ledger }: TestSpine): void {
  assert.deepEqual([ledger.promised(), ledger.used()], [NO_RESOURCES, NO_RESOURCES]);
}

interface Times {
  /** The whole bid, milliseconds. */
  readonly whole: readonly number[];
  /** Without what its own probe took. */
  readonly beside: readonly number[];
}

/** Bids one after another, each turned down again. */
async function bids(node: TestSpine, tally: BidTally, probe: ProbeName): Promise<Times> {
  const plain = await node.check(mockJob());
  const whole: number[] = [];
  const beside: number[] = [];
  for (let asked = 0; asked < COMPARED; asked += 1) {
    const before = tally.durations(probe).sum;
    const { id, answer, ms } = await node.bid(plain);
    assert.equal(answer, 'offered', JSON.stringify(answer));
    whole.push(ms);
    beside.push(ms - (tally.durations(probe).sum - before) * 1000);
    await node.spine.turnDown(id, 'enough');
    assertFree(node);
  }
  return { whole, beside };
}

for (const probe of ['http_probe', 'exec_probe'] as const) {
  test(`32 hanging probes: another bid takes milliseconds plus its own probe (${probe})`, async (t) => {
    const mark = `MARK=${await temporaryFolder(t)}`;
    const tally = new BidTally();
    const policy: Partial<BidOptions> =
      probe === 'exec_probe' ? { probeExec: hangingScript(mark) } : { probeHttp: await hangingService(t) };
    const node = await testSpine(t, { bid: { ...policy, probeTimeoutMs: 60_000, tally: tally.buffer } });
    await bids(node, tally, probe);
    const alone = await bids(node, tally, probe);
    const ids = await Promise.all(Array.from({ length: 32 }, () => node.ask(hangingJob)));
    await waitUntil(() => tally.running(probe) === 32, '32 probes hang');
    if (probe === 'exec_probe') await waitUntil(() => marked(mark) === 32, 'with a child each');
    const crowded = await bids(node, tally, probe);
    assert.equal(tally.running(probe), 32);

    const ratio = at(crowded.whole, 0.5) / at(alone.whole, 0.5);
    t.diagnostic(`alone: ${percentiles(alone.whole)} ms, without its probe ${percentiles(alone.beside)}`);
    t.diagnostic(
      `beside 32: ${percentiles(crowded.whole)} ms, without its probe ${percentiles(crowded.beside)}`,
    );
    t.diagnostic(`ratio of medians ${ratio.toFixed(2)}`);
    assert.ok(at(crowded.beside, 0.5) <= SINGLE_MS, percentiles(crowded.beside));
    // Other work on the machine may come and go between the two.
    const moreMs = at(crowded.whole, 0.5) - at(alone.whole, 0.5);
    assert.ok(ratio < 3 || moreMs < SINGLE_MS, `${ratio} times, ${moreMs} ms more`);
    // Nobody wants those answers any more: their probes end with them.
    for (const id of ids) node.spine.intake.drop(id);
    await waitUntil(() => tally.running(probe) === 0 && marked(mark) === 0, 'no probe is left');
    assertFree(node);
  });
}

test('500 hanging probes: past the cap each bid is put off within 10 ms, and nothing is left of them', async (t) => {
  const mark = `MARK=${await temporaryFolder(t)}`;
  const tally = new BidTally();
  const probe = 'exec_probe';
  const node = await testSpine(t, {
    bid: { probeExec: hangingScript(mark), probeTimeoutMs: 6000, probeConcurrency: 64, tally: tally.buffer },
  });
  await bids(node, tally, probe);
  const hanging = await node.check(hangingJob);
  const first = Array.from({ length: 64 }, () => node.bid(hanging));
  await waitUntil(() => tally.running(probe) === 64, 'as many probes hang as may');

  const putOff = async (): Promise<number> => {
    const { answer, ms } = await node.bid(hanging);
    assert.ok(typeof answer !== 'string', String(answer));
    assert.deepEqual([answer.code, answer.final], ['probe_slots_full', false]);
    assertFree(node);
    return ms;
  };
  const oneByOne: number[] = [];
  for (let asked = 0; asked < 100; asked += 1) oneByOne.push(await putOff());
  const together = await Promise.all(Array.from({ length: 336 }, () => putOff()));
  assert.equal(tally.running(probe), 64);
  t.diagnostic(`100 one after another: put off in ${percentiles(oneByOne)} ms`);
  t.diagnostic(`336 at once: put off in ${percentiles(together)} ms`);
  assert.ok(at(oneByOne, 0.5) <= SINGLE_MS, percentiles(oneByOne));
  assert.equal(tally.failures(probe, 'slots'), 436);

  await waitUntil(() => marked(mark) === 64, 'each probe has a child');
  for (const { answer } of await Promise.all(first)) {
    assert.ok(typeof answer !== 'string');
    assert.deepEqual([answer.code, answer.final], ['probe_failed', false]);
  }
  await waitUntil(() => marked(mark) === 0, 'all processes are gone, grandchildren too');
  assert.equal(tally.running(probe), 0);
  assertFree(node);
  const { whole } = await bids(node, tally, probe);
  t.diagnostic(`afterwards: ${percentiles(whole)} ms`);
});
