import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryFolder } from '../support/folders.ts';
import { type InProcessNode, startInProcess } from '../support/in-process.ts';
import { mockJob } from '../support/jobs.ts';
import { type Wire, waitUntil } from '../support/node.ts';
import { ManualClock } from '../support/requester/manual-clock.ts';
import { freePort } from '../support/services/service.ts';

const TEN_MINUTES_MS = 600_000;
const STEP_MS = 50;

/** A probe service that leaves everything to an operator. */
async function undecided(t: TestContext): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200).end('{"shouldWait":true,"reason":"ask Ann"}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

interface Pair {
  readonly requester: InProcessNode;
  readonly compute: InProcessNode;
}

test('an approval given ten minutes later, after a restart of both nodes', { timeout: 90_000 }, async (t) => {
  const folder = await temporaryFolder(t);
  const clock = new ManualClock();
  const probe = await undecided(t);
  const port = String(await freePort());
  const running: InProcessNode[] = [];
  t.after(() => Promise.all(running.map((node) => node.stop())));
  const start = async (): Promise<Pair> => {
    const requester = await startInProcess(folder, clock, {
      'data-dir': join(folder, 'a'),
      'node-type': 'requester',
      port,
    });
    running.push(requester);
    const compute = await startInProcess(folder, clock, {
      'data-dir': join(folder, 'b'),
      'node-type': 'compute',
      peer: requester.swarmAddresses[0] ?? '',
      'job-selection-probe-http': probe,
    });
    running.push(compute);
    return { requester, compute };
  };
  /** While it is waited for, time goes on, a little at a time. */
  const until = <T>(check: () => Promise<T | undefined | false>, what: string): Promise<T> =>
    waitUntil(
      () => {
        clock.advance(STEP_MS);
        return check();
      },
      what,
      30_000,
    );
  const bids = async ({ compute }: Pair): Promise<readonly Wire[]> =>
    (await compute.api('GET', '/api/v1/compute/bids')).body['Items'] as readonly Wire[];
  const job = async ({ requester }: Pair, id: string): Promise<{ state: string; message: string }> => {
    const { body } = await requester.api('GET', `/api/v1/orchestrator/jobs/${id}`);
    const state = (body['Job'] as Wire)['State'] as Wire;
    return { state: String(state['StateType']), message: String(state['Message'] ?? '') };
  };

  const before = await start();
  const submitted = await before.requester.api('PUT', '/api/v1/orchestrator/jobs', { Job: mockJob() });
  const id = String(submitted.body['JobID']);
  const bid = await until(async () => (await bids(before))[0], 'the bid waits for approval');
  assert.deepEqual([bid['JobID'], bid['RequesterID']], [id, before.requester.nodeId]);
  await until(
    async () => /^Waiting for approval on \S+: ask Ann$/.test((await job(before, id)).message),
    'the requester says that it waits',
  );
  await Promise.all([before.requester.stop(), before.compute.stop()]);

  clock.advance(TEN_MINUTES_MS);
  const after = await start();
  assert.deepEqual(
    (await bids(after)).map((one) => one['ExecutionID']),
    [bid['ExecutionID']],
  );
  assert.match((await job(after, id)).message, /^Waiting for approval/);
  const { body } = await after.compute.api('POST', `/api/v1/compute/bids/${id}`, { Action: 'approve' });
  assert.deepEqual(body['Bids'], [{ ExecutionID: bid['ExecutionID'], Outcome: 'offered' }]);
  await until(async () => (await job(after, id)).state === 'Completed', 'the job has run');
  const { body: rows } = await after.requester.api('GET', `/api/v1/orchestrator/jobs/${id}/executions`);
  assert.deepEqual(
    (rows['Items'] as readonly Wire[]).map((row) => row['ID']),
    [bid['ExecutionID']],
    'by the execution that was approved',
  );
});
