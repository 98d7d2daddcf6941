import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { makeFolders, type Spawned, spawnCommand } from '../support/child.ts';
import { helloModule, wasmJob } from '../support/jobs.ts';
import { waitUntil } from '../support/node.ts';

interface Stack extends Spawned {
  readonly home: string;
  get(path: string): Promise<Record<string, unknown>>;
  put(path: string, body: unknown): Promise<Record<string, unknown>>;
}

async function start(t: TestContext, flags: readonly string[]): Promise<Stack> {
  const folders = await makeFolders({});
  const { home } = folders;
  const spawned = await spawnCommand(['devstack', '--api-port', '0', ...flags], { folders });
  const { child, printed, ended } = spawned;
  t.after(async () => {
    child.kill('SIGKILL');
    await ended;
    await rm(home, { recursive: true, force: true });
  });
  await waitUntil(
    () => printed.stdout.includes('Press Ctrl+C to stop.') || child.exitCode !== null,
    'the network runs',
    60_000,
  );
  const api = `http://127.0.0.1:${/BACALHAU_API_PORT=(\d+)/.exec(printed.stdout)?.[1] ?? ''}/api/v1`;
  const ask = async (path: string, init: RequestInit = {}): Promise<Record<string, unknown>> =>
    (await (await fetch(`${api}${path}`, init)).json()) as Record<string, unknown>;
  return {
    ...spawned,
    home,
    get: (path) => ask(path),
    put: (path, body) =>
      ask(path, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }),
  };
}

test('devstack: one command, a network that runs jobs, nothing left behind', {
  timeout: 120_000,
}, async (t) => {
  const stack = await start(t, ['--compute-nodes', '2']);
  const { printed, child, ended, home } = stack;
  assert.match(printed.stdout, /A network of 3 nodes is running/, printed.stderr);
  for (const name of ['requester-1', 'compute-1', 'compute-2']) {
    assert.match(printed.stdout, new RegExp(`${name} +http://127.0.0.1:\\d+  12D3KooW`));
  }
  assert.match(printed.stdout, /serve .*--peer \/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\/12D3KooW/);
  const folder = /Data +(\S+) \(removed at the end\)/.exec(printed.stdout)?.[1] ?? '';
  assert.ok(folder.startsWith(join(home, 'tmp')), folder);
  assert.deepEqual(
    (await readdir(folder)).toSorted((a, b) => a.localeCompare(b)),
    ['compute-1', 'compute-2', 'requester-1'],
  );
  const nodes = (await stack.get('/orchestrator/nodes'))['Nodes'] as {
    Info: {
      NodeType: string;
      Labels: Record<string, string>;
      ComputeNodeInfo: { MaxCapacity: { CPU?: number } };
    };
  }[];
  const computes = nodes.filter(({ Info }) => Info.NodeType === 'Compute');
  assert.equal(computes.length, 2);
  const [one, two] = computes.map(({ Info }) => Info.ComputeNodeInfo.MaxCapacity.CPU ?? 0);
  assert.equal(one, two, 'equal shares of the machine');

  const job = { ...wasmJob(await helloModule()), Type: 'ops' };
  const { JobID } = await stack.put('/orchestrator/jobs', { Job: job });
  await waitUntil(async () => {
    const { Job } = (await stack.get(`/orchestrator/jobs/${String(JobID)}`)) as {
      Job: { State: { StateType: string } };
    };
    return Job.State.StateType === 'Completed';
  }, 'the job has run');
  const { Items } = (await stack.get(`/orchestrator/jobs/${String(JobID)}/executions`)) as {
    Items: { NodeID: string; RunOutput: { Stdout: string } }[];
  };
  assert.equal(new Set(Items.map(({ NodeID }) => NodeID)).size, 2, 'on both compute nodes');
  assert.deepEqual(
    Items.map(({ RunOutput }) => RunOutput.Stdout),
    ['hello\n', 'hello\n'],
  );

  child.kill('SIGINT');
  assert.deepEqual(await ended, { code: 0, signal: null }, printed.stderr);
  assert.equal(existsSync(folder), false);
});

test('devstack says what is wrong with its flags, and with a network that nobody could call', {
  timeout: 60_000,
}, async (t) => {
  for (const [flags, message] of [
    [['--compute-nodes', 'two'], /--compute-nodes two: expected a whole number/],
    [['--compute-nodes', '99'], /up to 32/],
    [['--requester-nodes', '0'], /needs a requester/],
    [['--config', 'Nonsense=1'], /Nonsense/],
  ] as const) {
    const { printed, child } = await start(t, flags);
    assert.equal(child.exitCode, 1, printed.stdout);
    assert.match(printed.stderr, message);
  }
});
