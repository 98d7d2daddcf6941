import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  isJobTerminal,
  isLocalTerminal,
  type JobState,
  type LocalExecutionState,
} from '../../src/core/states.ts';
import type { NodeEvent } from '../../src/events/event.ts';
import { type ClientEncoding, EventClient, storedEvents } from '../support/event-client.ts';
import { mockJob } from '../support/jobs.ts';
import { startNetwork } from '../support/network.ts';
import { startTestNode, type TestNode } from '../support/node.ts';
import { sample } from '../support/prometheus.ts';

const JOBS = 1000;
/** Share of the jobs that are submitted before the node is killed. */
const BEFORE_KILL = 0.5;
/** Events after which a subscriber that cuts does so, at most. */
const CUT_EVENTS = 400;

/** Looks at the node between which nothing may happen, before it is taken to be quiet: a commit takes a few. */
const STILL_LOOKS = 20;

interface Subscriber {
  readonly client: EventClient;
  readonly passes: (event: NodeEvent) => boolean;
  readonly name: string;
}

/** The states that one thing went through, as its events tell: each begins where the one before ended. */
function checkChains(events: readonly NodeEvent[]): Map<string, string> {
  const states = new Map<string, string>();
  for (const event of events) {
    if (event.type === 'node' || event.from === event.to) continue;
    const id = event.type === 'evaluation' ? event.details['EvaluationID'] : event.executionID || event.jobID;
    const key = `${event.role} ${event.type} ${id}`;
    const state = states.get(key);
    const begins = event.type === 'execution' && event.role === 'requester' ? 'New' : '';
    assert.equal(event.from, state ?? begins, `${key} at seq ${event.seq}: ${JSON.stringify(event)}`);
    states.set(key, event.to);
  }
  return states;
}

async function quiet(node: TestNode, jobs: number): Promise<number> {
  await node.waitUntil(
    async () => sample(await node.metrics(), 'bacalhau_jobs', { state: 'Completed' }) >= jobs,
    `${jobs} jobs are completed`,
    90_000,
  );
  let last = -1;
  let still = 0;
  return node.waitUntil(async () => {
    const now = sample(await node.metrics(), 'bacalhau_event_seq', {});
    still = now === last ? still + 1 : 0;
    last = now;
    return still >= STILL_LOOKS ? now : undefined;
  }, 'nothing happens any more');
}

/** Submits jobs, many at a time, so that some find no room. */
async function submitAll(node: TestNode, count: number, duration: string, ids: string[]): Promise<void> {
  let left = count;
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      ids.push(await node.submit(mockJob({ Duration: duration }, { resources: { CPU: '50m' } })));
    }
  };
  await Promise.all(Array.from({ length: 64 }, lane));
}

test('20 subscribers see each of 1,000 jobs change, once and in order, over cuts and kill -9', {
  timeout: 240_000,
}, async (t) => {
  // So that some wait, some run and some have ended at any moment.
  const node = await startTestNode(t, {
    env: { BACALHAU_LIMITS_ADMITQUEUE: '64' },
    flags: ['--limit-total-cpu', '1.6'],
  });
  const origin = (): string => node.apiUrl;
  const subscribers: Subscriber[] = [];
  t.after(() => {
    for (const { client } of subscribers) client.stop();
  });
  const random = mulberry(Date.now() % 1e6);
  const subscribe = (
    encoding: ClientEncoding,
    search: string,
    passes: Subscriber['passes'],
    options: { readonly cuts: boolean },
  ): void => {
    let untilCut = Math.ceil(random() * CUT_EVENTS);
    const client: EventClient = new EventClient({
      origin,
      encoding,
      search,
      from: 1,
      onEvents: (events) => {
        untilCut -= events.length;
        if (!options.cuts || untilCut > 0) return;
        untilCut = Math.ceil(random() * CUT_EVENTS);
        client.cut();
      },
    });
    subscribers.push({ client, passes, name: `${encoding} ${search} ${options.cuts ? 'cuts' : ''}` });
  };

  const all = (): boolean => true;
  for (const encoding of ['json', 'msgpack', 'sse'] as const) {
    for (const cuts of [false, true]) {
      subscribe(encoding, '', all, { cuts });
      subscribe(encoding, 'type=job', ({ type }) => type === 'job', { cuts });
    }
    subscribe(encoding, 'role=compute', ({ role }) => role === 'compute', { cuts: encoding !== 'sse' });
  }
  subscribe('json', 'type=evaluation,node', ({ type }) => type === 'evaluation' || type === 'node', {
    cuts: false,
  });
  subscribe('msgpack', `node=${node.nodeId}`, ({ nodeID }) => nodeID === node.nodeId, { cuts: true });

  const ids: string[] = [];
  await submitAll(node, JOBS * BEFORE_KILL, '300ms', ids);
  const some = [ids[3], ids[77], ids.at(-1)].map((id) => id ?? '');
  subscribe('json', some.map((id) => `job=${id}`).join('&'), ({ jobID }) => some.includes(jobID), {
    cuts: false,
  });
  const short = some.map((id) => `j-${id.slice(-8)}`).join(',');
  subscribe(
    'msgpack',
    `job=${short}&type=execution&role=requester`,
    (event) => some.includes(event.jobID) && event.type === 'execution' && event.role === 'requester',
    { cuts: false },
  );
  subscribe(
    'sse',
    'type=execution&role=requester',
    ({ type, role }) => type === 'execution' && role === 'requester',
    { cuts: true },
  );
  assert.equal(subscribers.length, 20);

  // In the middle of it all.
  const completed = async (): Promise<number> =>
    sample(await node.metrics(), 'bacalhau_jobs', { state: 'Completed' });
  await node.waitUntil(async () => (await completed()) >= 100, 'some jobs are completed');
  const done = await completed();
  await node.kill9();
  await node.restart();
  t.diagnostic(`killed when ${done} of ${ids.length} jobs were completed`);
  assert.ok(done < ids.length * 0.9, 'too few jobs were under way to show anything');
  await submitAll(node, JOBS - ids.length, '100ms', ids);
  const last = await quiet(node, ids.length);
  const truth = await storedEvents(node.apiUrl);
  t.diagnostic(`${truth.length} events, the last ${last}; ${ids.length} jobs`);

  await t.test('what is stored tells every transition once', () => {
    for (const [index, { seq }] of truth.entries()) {
      assert.ok(seq > (truth[index - 1]?.seq ?? 0), `seq ${seq} is not above the one before`);
    }
    assert.equal(truth.at(-1)?.seq, last);
    const states = checkChains(truth);
    for (const id of ids) assert.equal(states.get(`requester job ${id}`), 'Completed');
    for (const [key, state] of states) {
      const isEnd = key.startsWith('requester job')
        ? isJobTerminal(state as JobState)
        : key.startsWith('compute')
          ? isLocalTerminal(state as LocalExecutionState)
          : true;
      assert.ok(isEnd, `${key} ended as ${state}`);
    }
    const kinds = new Set(truth.map(({ role, type }) => `${role} ${type}`));
    assert.deepEqual([...kinds].sort(), [
      'compute execution',
      'requester evaluation',
      'requester execution',
      'requester job',
      'requester node',
    ]);
  });

  await t.test('every subscriber has got all of what it wants, once, in order', async () => {
    for (const { client, passes, name } of subscribers) {
      const expected = truth.filter(passes);
      await node.waitUntil(() => client.events.length >= expected.length, `${name} has all events`);
      assert.deepEqual(client.events, expected, name);
      assert.deepEqual(client.gaps, [], name);
      assert.deepEqual(client.faults, [], name);
    }
    const cuts = subscribers.reduce((sum, { client }) => sum + client.connections, 0);
    t.diagnostic(`${cuts} connections of ${subscribers.length} subscribers`);
    assert.ok(cuts > 3 * subscribers.length, 'too few cuts to show anything');
  });
});

test('a node whose stores are in memory names what it has forgotten, and its numbers go on rising', async (t) => {
  const flags = ['--compute-execution-store-type', 'memory', '--requester-job-store-type', 'memory'];
  const node = await startTestNode(t, { flags });
  await node.waitForJob(await node.submit(mockJob()));
  const before = await storedEvents(node.apiUrl);
  const last = before.at(-1)?.seq ?? 0;
  await node.restart();
  const client = new EventClient({ origin: () => node.apiUrl, encoding: 'json', from: last + 1 });
  t.after(() => client.stop());
  await node.waitForJob(await node.submit(mockJob()));
  await node.waitUntil(() => client.events.some(({ to }) => to === 'Completed'), 'the second life is told');
  assert.deepEqual(
    client.gaps.map(({ role, from }) => ({ role, from })).toSorted((a, b) => (a.role < b.role ? -1 : 1)),
    [
      { role: 'compute', from: last + 1 },
      { role: 'requester', from: last + 1 },
    ],
  );
  const first = client.events[0]?.seq ?? 0;
  assert.ok(first > last);
  for (const gap of client.gaps) assert.ok(gap.to < first);
});

test('a node with one role streams what is its own', async (t) => {
  const node = await startTestNode(t, { flags: ['--node-type', 'requester'] });
  await node.submit(mockJob());
  const client = new EventClient({ origin: () => node.apiUrl, encoding: 'msgpack', from: 1 });
  t.after(() => client.stop());
  await node.waitUntil(() => client.events.some(({ type }) => type === 'evaluation'), 'the job waits');
  assert.deepEqual(
    client.events
      .filter(({ type }) => type !== 'node')
      .map(({ type, from, to, role }) => ({ type, from, to, role })),
    [
      { type: 'job', from: '', to: 'Pending', role: 'requester' },
      { type: 'job', from: 'Pending', to: 'Queued', role: 'requester' },
      { type: 'evaluation', from: '', to: 'blocked', role: 'requester' },
    ],
  );
});

test('a compute node streams its own; its requester tells that it joined, was rejected, and was lost', async (t) => {
  const { requester, computes } = await startNetwork(t, { computes: [[]] });
  const [compute] = computes;
  assert.ok(compute !== undefined);
  const there = new EventClient({ origin: () => compute.apiUrl, encoding: 'msgpack', from: 1 });
  const here = new EventClient({
    origin: () => requester.apiUrl,
    encoding: 'sse',
    search: `type=node&node=${compute.nodeId.slice(-8)}`,
    from: 1,
  });
  t.after(() => {
    there.stop();
    here.stop();
  });
  const id = await requester.submit(mockJob());
  await requester.waitForJob(id);
  await requester.waitUntil(() => there.events.at(-1)?.to === 'Completed', 'the compute node tells the end');
  assert.deepEqual(
    new Set(there.events.map(({ role, type }) => `${role} ${type}`)),
    new Set(['compute execution']),
  );
  checkChains(there.events);
  const toldThere = there.events.map(({ jobID }) => jobID);
  assert.deepEqual(new Set(toldThere), new Set([id]));

  const { status } = await requester.api('PUT', `/api/v1/orchestrator/nodes/${compute.nodeId}`, {
    Action: 'reject',
    Message: 'for now',
  });
  assert.equal(status, 200);
  await compute.kill9();
  await requester.waitUntil(() => here.events.some(({ to }) => to === 'DISCONNECTED'), 'the node is lost');
  assert.deepEqual(
    here.events.filter(({ from, to }) => from !== to).map(({ to, reason }) => [to, reason]),
    [
      ['CONNECTED', 'Node joined'],
      ['REJECTED', 'Node rejected'],
      ['DISCONNECTED', 'Node lost'],
    ],
  );
});

/** A small generator of random numbers, so that a seed tells what happened. */
function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
