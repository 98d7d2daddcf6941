import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { runCli } from '../../src/cli/program.ts';
import { testContext } from '../support/cli.ts';
import { startTestNode, type TestNode, type Wire, waitUntil } from '../support/node.ts';
import { suiteScope } from '../support/scope.ts';

const BRIEF = ['--duration', '500ms', '--warm-up', '100ms', '--output', 'json'];

let node: TestNode;
const scope = suiteScope();
before(async () => {
  node = await startTestNode(scope);
  // Threads start with the first job: on a busy machine that takes longer than a brief bench.
  await runCli(['bench', 'bid', ...BRIEF], testContext({ env: env() }).context);
});

function env(): Record<string, string> {
  const { hostname, port } = new URL(node.apiUrl);
  return { BACALHAU_API_HOST: hostname, BACALHAU_API_PORT: port };
}

/** Runs a bench in this process; its document. */
async function bench(argv: readonly string[], code = 0): Promise<Record<string, unknown>> {
  const { context, printed } = testContext({ env: env() });
  assert.equal(await runCli(['bench', ...argv], context), code, printed.stderr);
  return JSON.parse(printed.stdout) as Record<string, unknown>;
}

function figures(document: Record<string, unknown>): {
  begun: number;
  outcomes: Wire;
  latency: Record<string, number>;
} {
  const latency = document['LatencyMs'] as Record<string, number>;
  const { Min = -1, P50 = -1, P99 = -1, Max = -1 } = latency;
  assert.ok(Min > 0 && Min <= P50 && P50 <= P99 && P99 <= Max, JSON.stringify(latency));
  const rows = document['Histogram'] as readonly { Count: number }[];
  assert.equal(
    rows.reduce((sum, { Count }) => sum + Count, 0),
    latency['Count'],
  );
  assert.deepEqual([document['Interrupted'], document['NotBegun'], document['Unanswered']], [false, 0, 0]);
  assert.ok(Number(document['PerSecond']) > 0);
  return { begun: Number(document['Begun']), outcomes: document['Outcomes'] as Wire, latency };
}

async function jobs(): Promise<readonly Wire[]> {
  const { body } = await node.api('GET', '/api/v1/orchestrator/jobs?limit=1000');
  return ((body as Wire)['Items'] ?? []) as readonly Wire[];
}

/** What a bid may leave: executions, promised capacity, history, messages, waiting bids. */
async function traces(): Promise<Wire> {
  const executions = (await node.api('GET', '/api/v1/compute/executions')).body as Wire;
  const metrics = await node.metrics();
  const kept = [...metrics].filter(([name]) =>
    /^bacalhau_(?:capacity\{.*(?:promised|used)|executions\{|outbox_messages|jobs\{)/.test(name),
  );
  return {
    executions: executions['Items'] ?? [],
    jobs: await jobs(),
    ...Object.fromEntries(kept.filter(([, value]) => value > 0)),
  };
}

test('bench bid over REST: what the policy says, and nothing left', async () => {
  const before = await traces();
  const document = await bench(['bid', '--concurrency', '4', ...BRIEF]);
  const { begun, outcomes, latency } = figures(document);
  assert.deepEqual(outcomes, { 'would bid': begun });
  assert.equal(latency['Count'], begun);
  assert.equal(document['Concurrency'], 4);
  assert.deepEqual(await traces(), before);
});

test('bench bid over libp2p: offers, each turned down and forgotten', async () => {
  const before = await traces();
  const [peer = ''] = node.swarmAddresses;
  const document = await bench(['bid', '--peer', peer, '--rate', '200', ...BRIEF]);
  const { begun, outcomes } = figures(document);
  assert.equal(begun, 100);
  assert.deepEqual(outcomes, { 'offered and turned down': 100 });
  assert.deepEqual(await traces(), before);
  assert.deepEqual(((await node.api('GET', '/api/v1/compute/bids')).body as Wire)['Items'], []);
});

test('bench jobs: each is completed, and counted once', async () => {
  const before = (await jobs()).length;
  const document = await bench(['jobs', '--engine', 'mock', '--rate', '40', ...BRIEF]);
  const { begun, outcomes } = figures(document);
  assert.equal(begun, 20);
  assert.deepEqual(outcomes, { completed: 20 });
  assert.ok(Number(document['AcknowledgedMsP50']) > 0);
  // With those of the warm-up.
  const ran = (await jobs()).slice(0, (await jobs()).length - before);
  assert.equal(ran.length, 24);
  const wasm = await bench(['jobs', '--concurrency', '2', ...BRIEF]);
  assert.equal(Object.keys(figures(wasm).outcomes).join(), 'completed');
});

test('bench events: the subscribers get the events of all jobs', async () => {
  const document = await bench([
    'events',
    '--subscribers',
    '3',
    '--engine',
    'mock',
    '--rate',
    '20',
    ...BRIEF,
  ]);
  const { latency } = figures(document);
  const deliveries = Number(document['Deliveries']);
  assert.equal(deliveries, latency['Count']);
  assert.ok(deliveries >= 3 * 10 * 5, `${deliveries} deliveries`);
  assert.ok(Number(document['ClockUncertaintyMs']) < 1000);
});

test('Ctrl+C ends a bench with the figures until then', async () => {
  const { context, printed, interrupt } = testContext({ env: env() });
  const running = runCli(
    ['bench', 'jobs', '--engine', 'mock', '--concurrency', '2', '--duration', '1h'],
    context,
  );
  await waitUntil(() => /^[1-9]\d* s: /m.test(printed.stderr), 'it has measured for a while');
  interrupt();
  assert.equal(await running, 130);
  assert.match(printed.stdout, /Interrupted: these are the figures until then/);
  assert.match(printed.stdout, /\d completed/);
  assert.match(printed.stdout, / p99\.9 +\d/);
});

test('what cannot be measured is said, with the exit code of an error', async () => {
  const run = async (argv: readonly string[], own: Record<string, string> = env()): Promise<string> => {
    const { context, printed } = testContext({ env: own });
    assert.equal(await runCli(['bench', ...argv], context), 1);
    return printed.stderr;
  };
  assert.match(await run(['jobs', '--rate', '0']), /--rate 0: expected a whole number from 1 to/);
  assert.match(await run(['jobs', '--duration', '2h']), /--duration 2h: expected a time from/);
  assert.match(await run(['jobs', '--rate', '5', '--concurrency', '5']), /cannot be used with/);
  assert.match(await run(['bid'], { BACALHAU_API_PORT: '1' }), /127\.0\.0\.1:1/);
  assert.match(await run(['bid', '--peer', 'nonsense']), /multiaddr/);
});
