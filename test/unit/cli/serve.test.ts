import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runCli } from '../../../src/cli/program.ts';
import type { NodeConfig } from '../../../src/config/load.ts';
import { NodeError } from '../../../src/core/errors.ts';
import type { RunningNode } from '../../../src/node-types.ts';
import { cli, testContext } from '../../support/cli.ts';

let directory = '';
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bacalhau-serve-'));
});
after(() => rm(directory, { recursive: true, force: true }));

interface Fake {
  readonly node: RunningNode;
  readonly started: Promise<NodeConfig>;
  readonly startNode: (config: NodeConfig) => Promise<RunningNode>;
  readonly stops: number[];
  fail(error: Error): void;
}

function fakeNode(stop: () => Promise<void> = () => Promise.resolve()): Fake {
  const failed = Promise.withResolvers<Error>();
  const started = Promise.withResolvers<NodeConfig>();
  const stops: number[] = [];
  const node: RunningNode = {
    nodeId: '12D3KooWFake',
    apiUrl: 'http://127.0.0.1:2234',
    apiServer: { name: 'node:http + ws', fallback: '' },
    swarmAddresses: ['/ip4/127.0.0.1/tcp/2235/p2p/12D3KooWFake'],
    engines: ['wasm', 'docker'],
    storages: ['inline'],
    publishers: ['local'],
    capacity: { cpu: 1.6, memory: 2e9, disk: 2e10, gpu: 0 },
    warnings: ['something to know'],
    setPolicy: () => undefined,
    stop: (deadlineMs) => {
      stops.push(deadlineMs);
      return stop();
    },
    failed: failed.promise,
  };
  return {
    node,
    started: started.promise,
    startNode: (config) => {
      started.resolve(config);
      return Promise.resolve(node);
    },
    stops,
    fail: failed.resolve,
  };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

test('flags reach the node; a banner says what there is and what to try; a signal stops it', async () => {
  const fake = fakeNode();
  const dataDir = join(directory, 'a');
  const { context, printed, interrupt } = testContext({
    startNode: fake.startNode,
    env: { HOME: directory },
  });
  const argv = [
    'serve',
    '--data-dir',
    dataDir,
    '--swarm-port=0',
    '--job-selection-reject-stateless',
    '--peer',
    '/ip4/1.1.1.1/tcp/1',
    '--peer',
    '/ip4/1.1.1.1/tcp/2',
  ];
  const running = runCli(argv, context);
  const config = await fake.started;
  assert.equal(config.node.dataDir, dataDir);
  assert.equal(config.p2p.port, 0);
  assert.equal(config.bid.rejectStateless, true);
  assert.deepEqual(config.p2p.peers, ['/ip4/1.1.1.1/tcp/1', '/ip4/1.1.1.1/tcp/2']);
  await until(() => printed.stdout.includes('Press Ctrl+C'));

  for (const text of [
    '12D3KooWFake',
    'http://127.0.0.1:2234',
    '/tcp/2235/',
    'wasm, docker',
    'inline',
    'local',
    dataDir,
    'something to know',
    '1.6 CPU',
  ]) {
    assert.ok(printed.stdout.includes(text), `${text} is not in:\n${printed.stdout}`);
  }
  assert.match(printed.stdout, /bacalhau --api-port 2234 wasm run --follow hello\.wasm/);
  assert.match(
    await readFile(join(dataDir, 'bacalhau.run'), 'utf8'),
    /export BACALHAU_API_HOST=127\.0\.0\.1\nexport BACALHAU_API_PORT=2234\n/,
  );

  const second = await cli(['serve', '--data-dir', dataDir], { startNode: fake.startNode });
  assert.equal(second.code, 1);
  assert.match(second.stderr, new RegExp(`pid ${process.pid}, API http://127\\.0\\.0\\.1:2234`));

  interrupt();
  assert.equal(await running, 0);
  assert.equal(fake.stops.length, 1);
  assert.ok(Math.abs((fake.stops[0] ?? 0) - Date.now() - 10_000) < 2000);
  assert.deepEqual(await readdir(dataDir), [], 'lock and run file are gone');
});

test('a second signal ends at once', async () => {
  const fake = fakeNode(() => new Promise(() => undefined));
  const { context, printed, interrupt } = testContext({ startNode: fake.startNode });
  const running = runCli(['serve', '--data-dir', join(directory, 'b')], context);
  await until(() => printed.stdout.includes('Press Ctrl+C'));
  interrupt();
  await until(() => fake.stops.length === 1);
  interrupt();
  assert.equal(await running, 130);
  assert.equal(existsSync(join(directory, 'b', 'bacalhau.run')), false);
});

test('a node that cannot go on ends with its error', async () => {
  const fake = fakeNode();
  const { context, printed } = testContext({ startNode: fake.startNode });
  const running = runCli(['serve', '--data-dir', join(directory, 'c')], context);
  await until(() => printed.stdout.includes('Press Ctrl+C'));
  fake.fail(new NodeError('DiskFull', 'no space left'));
  assert.equal(await running, 1);
  assert.match(printed.stderr, /Error: no space left/);
  assert.equal(fake.stops.length, 1);
});

test('a port in use: the process that holds it is named', async (t) => {
  if (process.platform !== 'linux') return t.skip('only Linux tells which process listens');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    const run = await cli(['serve', '--data-dir', join(directory, 'd')], {
      startNode: () =>
        Promise.reject(new NodeError('PortInUse', `cannot serve the API on 127.0.0.1:${port}: in use`)),
    });
    assert.equal(run.code, 1);
    assert.match(run.stderr, new RegExp(`it is held by pid ${process.pid} \\(`));
    assert.deepEqual(await readdir(join(directory, 'd')), []);
  } finally {
    server.close();
  }
});

test('a wrong configuration starts nothing', async () => {
  const run = await cli(['serve', '--job-selection-probe-http', 'nonsense', '--limit-job-gpu', 'many'], {
    env: { HOME: directory },
  });
  assert.equal(run.code, 1);
  assert.match(run.stderr, /2 faults/);
  assert.match(run.stderr, /--job-selection-probe-http: "nonsense" is not a valid http\(s\) URL/);
  assert.match(run.stderr, /--limit-job-gpu: invalid GPU value: many/);
});
