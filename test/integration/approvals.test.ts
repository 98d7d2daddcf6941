import assert from 'node:assert/strict';
import { createHash, createSign, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { temporaryFolder } from '../support/folders.ts';
import { type InProcessNode, startInProcess } from '../support/in-process.ts';
import { mockJob } from '../support/jobs.ts';
import { type Wire, waitUntil } from '../support/node.ts';
import { ManualClock } from '../support/requester/manual-clock.ts';

const TEN_MINUTES_MS = 600_000;
const DAY_MS = 86_400_000;

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

interface Life {
  readonly api: InProcessNode['api'];
  submit(): Promise<string>;
  job(id: string): Promise<{ state: string; message: string }>;
  bids(): Promise<readonly Wire[]>;
  history(id: string): Promise<string[]>;
  stop(): Promise<void>;
}

interface World {
  readonly clock: ManualClock;
  /** A node with both roles on the same data directory, and on a clock that stands still. */
  life(flags?: Record<string, string>): Promise<Life>;
}

async function world(t: TestContext): Promise<World> {
  const folder = await temporaryFolder(t);
  const clock = new ManualClock();
  const probe = await undecided(t);
  let running: Life | undefined;
  t.after(() => running?.stop());
  const life = async (flags: Record<string, string> = {}): Promise<Life> => {
    const node = await startInProcess(folder, clock, { 'job-selection-probe-http': probe, ...flags });
    const { api } = node;
    const made: Life = {
      api,
      async submit() {
        const { body } = await api('PUT', '/api/v1/orchestrator/jobs', { Job: mockJob({ Stdout: 'ran' }) });
        return String(body['JobID']);
      },
      async job(id) {
        const { body } = await api('GET', `/api/v1/orchestrator/jobs/${id}`);
        const state = (body['Job'] as Wire)['State'] as Wire;
        return { state: String(state['StateType']), message: String(state['Message'] ?? '') };
      },
      bids: async () => (await api('GET', '/api/v1/compute/bids')).body['Items'] as readonly Wire[],
      async history(id) {
        const { body } = await api('GET', `/api/v1/orchestrator/jobs/${id}/history`);
        return (body['Items'] as readonly Wire[]).map((row) => String((row['Event'] as Wire)['Message']));
      },
      stop: () => node.stop(),
    };
    running = made;
    return made;
  };
  return { clock, life };
}

async function oneWaits(life: Life): Promise<Wire> {
  return waitUntil(async () => (await life.bids())[0], 'a bid waits for approval');
}

test('conformance 7: an approval given ten minutes later, after a restart of both roles', async (t) => {
  const { clock, life } = await world(t);
  const before = await life();
  const id = await before.submit();
  const bid = await oneWaits(before);
  assert.deepEqual([bid['JobID'], bid['Reason'], bid['Approved']], [id, 'ask Ann', false]);
  assert.equal(Number(bid['ExpireTime']), (clock.nowMs() + DAY_MS) * 1e6);
  await waitUntil(async () => (await before.job(id)).message !== '', 'the requester knows that it waits');
  assert.match((await before.job(id)).message, /^Waiting for approval on \S+: ask Ann$/);
  await before.stop();

  clock.advance(TEN_MINUTES_MS);
  const after = await life();
  assert.deepEqual(
    (await after.bids()).map((one) => one['ExecutionID']),
    [bid['ExecutionID']],
  );
  assert.equal((await after.job(id)).state, 'Pending');
  const { status, body } = await after.api('POST', `/api/v1/compute/bids/${String(bid['ExecutionID'])}`, {
    Action: 'approve',
    Reason: 'Ann says yes',
  });
  assert.equal(status, 200);
  assert.deepEqual(body['Bids'], [{ ExecutionID: bid['ExecutionID'], Outcome: 'offered' }]);
  await waitUntil(async () => (await after.job(id)).state === 'Completed', 'the job has run');
  assert.deepEqual(await after.bids(), []);
  const messages = await after.history(id);
  assert.equal(messages.filter((message) => message.startsWith('Waiting for approval')).length, 1);
  // A second word finds nothing to decide, and is no fault.
  const again = await after.api('POST', `/api/v1/compute/bids/${id}`, { Action: 'reject' });
  assert.deepEqual([again.status, again.body['Bids']], [200, []]);
  assert.equal((await after.api('POST', '/api/v1/compute/bids/e-nothing', { Action: 'reject' })).status, 404);
});

test('an approval that is committed holds, although the node stops right after its answer', async (t) => {
  const { life } = await world(t);
  const before = await life();
  const id = await before.submit();
  const bid = await oneWaits(before);
  await before.api('POST', `/api/v1/compute/bids/${id}`, { Action: 'approve' });
  await before.stop();
  const after = await life();
  await waitUntil(async () => (await after.job(id)).state === 'Completed', 'the job has run');
  assert.equal((await after.bids()).length, 0);
  assert.notEqual(bid['ExecutionID'], '');
});

test('conformance 7: a refusal, a day without an answer and a job that is stopped: each ends with its reason', async (t) => {
  const { clock, life } = await world(t);
  const node = await life();
  const refused = await node.submit();
  await oneWaits(node);
  await node.api('POST', `/api/v1/compute/bids/${refused}`, {
    Action: 'reject',
    Reason: 'not on my machine',
  });
  await waitUntil(async () => (await node.job(refused)).state === 'Failed', 'the refused job has failed');
  assert.match((await node.job(refused)).message, /: not on my machine$/);

  const stopped = await node.submit();
  await oneWaits(node);
  await node.api('DELETE', `/api/v1/orchestrator/jobs/${stopped}?reason=enough`);
  await waitUntil(async () => (await node.bids()).length === 0, 'what is wanted no more waits no more');

  const forgotten = await node.submit();
  await oneWaits(node);
  clock.advance(DAY_MS + 1000);
  await waitUntil(async () => (await node.job(forgotten)).state === 'Failed', 'the forgotten job has failed');
  assert.match((await node.job(forgotten)).message, /its bid was not approved in 24h0m/);
});

interface Client {
  readonly id: string;
  /** A signed request, as the v1.2 client makes it. */
  sign(payload: string): string;
}

function client(): Client {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const der = (key: KeyObject): string => key.export({ type: 'pkcs1', format: 'der' }).toString('base64');
  const modulus = Buffer.from(publicKey.export({ format: 'jwk' }).n ?? '', 'base64url');
  return {
    id: createHash('sha256').update(modulus).digest('hex'),
    sign: (payload) => {
      const signature = createSign('sha256').update(payload).sign(privateKey, 'base64');
      return `{ "client_public_key":"${der(publicKey)}", "payload": ${payload} ,"signature":"${signature}"}`;
    },
  };
}

test('conformance 7: the signed approval of v1.2: only the approver’s, only with a good signature, harmless when repeated', async (t) => {
  const { life } = await world(t);
  const ann = client();
  const bob = client();
  const node = await life({ 'job-selection-approver': ann.id.toUpperCase() });
  const id = await node.submit();
  await oneWaits(node);
  const say = (
    who: Client,
    change: Record<string, unknown> = {},
    response: Record<string, unknown> = {},
  ): string =>
    who.sign(
      JSON.stringify({
        Response: { shouldBid: true, shouldWait: false, reason: 'signed "so" {by, Ann}', ...response },
        ClientID: who.id,
        JobID: id,
        ...change,
      }),
    );
  const approve = async (body: string): Promise<number> =>
    (await node.api('POST', '/api/v1/compute/approve', body)).status;
  assert.equal(await approve('{'), 400);
  assert.equal(await approve('{}'), 400);
  assert.equal(await approve(say(ann).replace(id, id.replace(/.$/, 'x'))), 400);
  assert.equal(await approve(say(bob)), 401);
  assert.equal(await approve(say(bob, { ClientID: ann.id })), 400);
  assert.equal(await approve(say(ann, { JobID: 'j-unknown' })), 404);
  assert.equal(await approve(say(ann, {}, { shouldWait: true })), 200);
  assert.equal((await node.bids()).length, 1);
  const good = await node.api('POST', '/api/v1/compute/approve', say(ann));
  assert.deepEqual([good.status, good.body], [200, 'Job approved.']);
  await waitUntil(async () => (await node.job(id)).state === 'Completed', 'the job has run');
  assert.equal(await approve(say(ann)), 200);
  assert.equal(await approve(say(ann, {}, { shouldBid: false })), 200);
  assert.equal((await node.job(id)).state, 'Completed');

  const second = await node.submit();
  await oneWaits(node);
  assert.equal(await approve(say(ann, { JobID: second }, { shouldBid: false, reason: 'no, says Ann' })), 200);
  await waitUntil(async () => (await node.job(second)).state === 'Failed', 'the refused job has failed');
  assert.match((await node.job(second)).message, /: no, says Ann$/);
});

test('the plain word is for programs of this machine only', async (t) => {
  const { life } = await world(t);
  const node = await life();
  const id = await node.submit();
  await oneWaits(node);
  for (const header of ['Origin', 'X-Forwarded-For']) {
    const { status } = await node.api(
      'POST',
      `/api/v1/compute/bids/${id}`,
      { Action: 'approve' },
      { [header]: 'http://x' },
    );
    assert.equal(status, 403, header);
    const policy = await node.api('PUT', '/api/v1/compute/policy', {}, { [header]: 'http://x' });
    assert.equal(policy.status, 403, header);
  }
  assert.equal((await node.api('POST', `/api/v1/compute/bids/${id}`, { Action: 'maybe' })).status, 400);
});
