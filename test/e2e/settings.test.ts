import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { WebSocket } from 'ws';
import { allSettings } from '../../src/config/settings.ts';
import { temporaryFolder, writeTree } from '../support/folders.ts';
import { helloModule, mockJob, wasmJob } from '../support/jobs.ts';
import type { Scope, TestNode, Wire } from '../support/node.ts';
import { sample } from '../support/prometheus.ts';
import { publishedResult } from '../support/results.ts';
import { suiteScope } from '../support/scope.ts';
import { freePort } from '../support/services/service.ts';
import { nodeWith, SOURCES, type Source, type Values } from '../support/settings.ts';
import { stallingHttp } from '../support/stalling.ts';
import { swarmNode } from '../support/swarm.ts';

/** What the values of a profile are made of. */
interface Surroundings {
  readonly folder: string;
  readonly apiPort: number;
  readonly swarmPort: number;
  /** Swarm addresses of two other nodes. */
  readonly peers: readonly [string, string];
}

/** A node that keeps to itself. */
const strict = ({ folder, apiPort, swarmPort, peers }: Surroundings): Values => ({
  Labels: 'zone=a,disk=ssd',
  'API.Host': '127.0.0.2',
  'API.Port': String(apiPort),
  'Libp2p.SwarmHost': '127.0.0.3',
  'Libp2p.SwarmPort': String(swarmPort),
  'Libp2p.Peers': peers[0],
  'IPFS.SwarmAddresses': peers[1],
  'Compute.AllocatedCapacity.CPU': '1',
  'Compute.AllocatedCapacity.Memory': '1Gb',
  'Compute.AllocatedCapacity.Disk': '2Gb',
  'Compute.AllocatedCapacity.GPU': '0',
  'Compute.JobLimit.CPU': '500m',
  'Compute.JobLimit.Memory': '600Mb',
  'Compute.JobLimit.Disk': '1Gb',
  'Compute.JobLimit.GPU': '0',
  'JobAdmissionControl.Locality': 'local',
  'JobAdmissionControl.RejectStatelessJobs': 'true',
  'JobAdmissionControl.AcceptNetworkedJobs': 'false',
  'Compute.JobTimeouts.Min': '2s',
  'Compute.JobTimeouts.Max': '1h',
  'Compute.JobTimeouts.Default': '2s',
  'Compute.JobTimeouts.BypassList': 'trusted',
  'Engines.Disabled': 'wasm',
  'InputSources.Disabled': 'ipfs',
  'Publishers.Disabled': 'ipfs',
  'Compute.AllowListedLocalPaths': `${folder}/allowed/**`,
  'Compute.Env.AllowList': 'SHARED_*',
  'Publishers.Types.Local.Address': 'http://results.example:8080',
  'JobDefaults.Task.Publisher': 'local',
  'JobDefaults.Task.Resources.CPU': '200m',
  'JobDefaults.Task.Resources.Memory': '64Mb',
  'JobDefaults.Task.Resources.Disk': '10Mb',
  'Compute.ExecutionStore.Type': 'boltdb',
  'Compute.ExecutionStore.Path': `${folder}/stores/e.db`,
  'Orchestrator.JobStore.Type': 'lmdb',
  'Orchestrator.JobStore.Path': `${folder}/stores/j.db`,
  'Logging.Level': 'debug',
  'Logging.Mode': 'json',
  'Limits.ingestQueue': '11',
  'Limits.bidQueue': '12',
  'Limits.admitQueue': '13',
  'Limits.executeQueue': '14',
  'Limits.wasmQueue': '15',
  'Limits.publishQueue': '16',
});

/** A node that takes everything, in small amounts. */
const open = (): Values => ({
  'API.Host': '127.0.0.1',
  'API.Port': '0',
  'Libp2p.SwarmHost': '127.0.0.1',
  'Libp2p.SwarmPort': '0',
  'API.MaxConnections': '60',
  'API.RequestTimeout': '1s',
  'Compute.AllocatedCapacity.CPU': '10000',
  'Compute.IgnorePhysicalResourceLimits': 'true',
  'JobAdmissionControl.Locality': 'anywhere',
  'JobAdmissionControl.AcceptNetworkedJobs': 'true',
  'JobAdmissionControl.AcceptHostNetwork': 'true',
  'InputSources.URLAllowList': '127.0.0.1',
  'InputSources.ReadTimeout': '1s',
  'InputSources.MaxRetryCount': '1',
  'Compute.MaxResultSize': '20kb',
  'Compute.ExecutionStore.Type': 'memory',
  'Orchestrator.JobStore.Type': 'memory',
  'Workers.Wasm': '1',
  'Limits.body': '100kb',
  'Limits.stream': '1kb',
  'Limits.logReaders': '2',
});

/** Settings whose effect is shown in other files; the rest of the table is below. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  DataDir: 'e2e/settings-start',
  NodeType: 'e2e/settings-start',
  'Compute.Enabled': 'e2e/settings-start',
  'Orchestrator.Enabled': 'e2e/settings-start',
  'IPFS.Connect': 'e2e/settings-start',
  'IPFS.Authorization': 'e2e/settings-start',
  'JobAdmissionControl.ProbeExec': 'e2e/settings-start',
  'JobAdmissionControl.ProbeHTTP': 'e2e/settings-start',
  'JobDefaults.Task.Resources.GPU': 'e2e/settings-start',
  'Engines.Types.Docker.Host': 'e2e/real-jobs',
  // Never applied to the loopback.
  'API.RateLimit': 'unit/net/api/rate-limit',
  'Engines.Types.Docker.Username': 'unit/config',
  'Engines.Types.Docker.Password': 'unit/config',
  // How many threads there are shows in no answer; that the pools have them is the runner's test.
  'Workers.Ingest': 'integration/runner',
  'Workers.Bid': 'integration/runner',
  'Workers.Admit': 'integration/runner',
  'Workers.Supervise': 'integration/runner',
  'Workers.Publish': 'integration/runner',
  'Limits.batchItems': 'integration/runner',
  'Limits.offeredTimeout': 'unit/pipeline',
  'Limits.asksInFlight': 'unit/requester/room',
  'Limits.logBuffer': 'contract/api-sockets',
};

it('every setting of the table is in one of these tests', async () => {
  const where = { folder: '', apiPort: 1, swarmPort: 1, peers: ['', ''] as const };
  const here = new Set([...Object.keys(strict(where)), ...Object.keys(open()), ...Object.keys(ELSEWHERE)]);
  assert.deepEqual(
    allSettings.map(({ key }) => key).filter((key) => !here.has(key)),
    [],
  );
});

/** A job that reads inline data, so that no node calls it stateless. */
function reading(params: Wire = {}, more: Wire = {}, jobMore: Wire = {}): Wire {
  return {
    Type: 'batch',
    ...jobMore,
    Tasks: [
      {
        Name: 'main',
        Engine: { Type: 'mock', Params: params },
        Resources: { CPU: '10m', Memory: '4mb', Disk: '1mb' },
        InputSources: [{ Source: { Type: 'inline', Params: { URL: 'data:,x' } }, Alias: '', Target: '/x' }],
        ...more,
      },
    ],
  };
}

function input(type: string, params: Wire): Wire {
  return { InputSources: [{ Source: { Type: type, Params: params }, Alias: '', Target: '/data' }] };
}

async function refused(node: TestNode, job: Wire, reason: RegExp): Promise<string> {
  const id = await node.submit(job);
  const end = await node.waitForJob(id);
  assert.equal(end.state, 'Failed', end.message);
  assert.match(end.message, reason);
  return id;
}

async function completes(node: TestNode, job: Wire): Promise<string> {
  const id = await node.submit(job);
  const end = await node.waitForJob(id);
  assert.equal(end.state, 'Completed', end.message);
  return id;
}

async function computeInfo(node: TestNode): Promise<{ labels: Wire; info: Record<string, Wire> }> {
  const { body } = await node.api('GET', '/api/v1/agent/node');
  const { Labels, ComputeNodeInfo } = body as { Labels: Wire; ComputeNodeInfo: Record<string, Wire> };
  return { labels: Labels, info: ComputeNodeInfo };
}

for (const source of SOURCES) {
  describe(`a strict node, set by ${source}`, () => strictSuite(source));
  describe(`an open node, set by ${source}`, () => openSuite(source));
}

function strictSuite(source: Source): void {
  const scope: Scope = suiteScope();
  let node: TestNode;
  let where: Surroundings;
  let hubs: readonly string[] = [];
  before(async () => {
    const folder = await temporaryFolder(scope);
    await writeTree(folder, { 'allowed/data.txt': 'data', 'other.txt': 'other', stores: null });
    const [first, second] = [await swarmNode(scope), await swarmNode(scope)];
    const address = ({ host }: typeof first): string => host.addresses()[0] ?? '';
    hubs = [first.host.peerId, second.host.peerId].toSorted();
    where = {
      folder,
      apiPort: await freePort(),
      swarmPort: await freePort(),
      peers: [address(first), address(second)],
    };
    node = await nodeWith(scope, source, strict(where), { SHARED_WORD: 'shared', HIDDEN: 'hidden' });
  });

  it('listens where it was told', () => {
    assert.equal(node.apiUrl, `http://127.0.0.2:${where.apiPort}`);
    assert.ok(node.swarmAddresses[0]?.startsWith(`/ip4/127.0.0.3/tcp/${where.swarmPort}/p2p/`));
    assert.match(node.output.stdout, /Warning: the REST API listens on 127\.0\.0\.2 without authentication/);
  });

  it('connects to its peers and to the IPFS nodes', async () => {
    await node.waitUntil(async () => {
      const { peers } = (await node.api('GET', '/api/v1/agent/debug')).body as { peers: string[] };
      return JSON.stringify(peers.toSorted()) === JSON.stringify(hubs);
    }, 'both peers are connected');
  });

  it('offers what it was told to', async () => {
    const { labels, info } = await computeInfo(node);
    assert.equal(labels['zone'], 'a');
    assert.equal(labels['disk'], 'ssd');
    assert.deepEqual(info['MaxCapacity'], { CPU: 1, Memory: 1e9, Disk: 2e9 });
    assert.deepEqual(info['MaxJobRequirements'], { CPU: 0.5, Memory: 6e8, Disk: 1e9 });
    assert.ok(!JSON.stringify(info['ExecutionEngines']).includes('wasm'));
    assert.deepEqual(info['Publishers'], ['local', 'noop']);
    assert.ok(!JSON.stringify(info['StorageSources']).includes('ipfs'));
  });

  it('refuses what it must not run, each with its reason', async () => {
    const hello = wasmJob(await helloModule());
    const network = (Type: string): Wire => reading({}, { Network: { Type } });
    const asks = (resources: Wire): Wire => reading({}, { Resources: resources });
    const timeout = (ExecutionTimeout: number): Wire => reading({}, { Timeouts: { ExecutionTimeout } });
    const ipfs = { Publisher: { Type: 'ipfs' } };
    const cid = { CID: 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi' };
    await Promise.all([
      refused(node, mockJob(), /without any input volumes/),
      refused(node, network('Full'), /require network access/),
      refused(node, asks({ CPU: '600m', Memory: '4mb' }), /CPU: 0\.6.*more than.*CPU: 0\.5/),
      refused(node, asks({ CPU: '10m', Memory: '700mb' }), /Memory: 700\.0 MB.*more than.*Memory: 600\.0 MB/),
      refused(node, asks({ CPU: '10m', Disk: '1.5gb' }), /Disk: 1\.5 GB.*more than.*Disk: 1\.0 GB/),
      refused(node, asks({ CPU: '10m', GPU: '1' }), /GPU: 1.*more than.*GPU: 0/),
      refused(node, timeout(1), /timeout 1s.*minimum.*2s|2s/),
      refused(node, timeout(7200), /timeout 2h.*1h/),
      refused(node, hello, /wasm/),
      refused(node, reading({}, ipfs), /ipfs/),
      refused(node, reading({}, input('ipfs', cid)), /ipfs/),
      refused(node, reading({}, input('urlDownload', { URL: 'http://127.0.0.1:9/x' })), /data-locality/),
      refused(
        node,
        reading({}, input('localDirectory', { SourcePath: join(where.folder, 'other.txt') })),
        /--allow-listed-local-paths/,
      ),
      refused(node, reading({}, { Env: { A: 'env:HIDDEN' } }), /HIDDEN is not in this node's allow-list/),
    ]);
  });

  it('runs what it may, as its defaults say', async () => {
    const local = input('localDirectory', { SourcePath: join(where.folder, 'allowed/data.txt') });
    const env = { Env: { A: 'env:SHARED_WORD' } };
    const [id, , , echo] = await Promise.all([
      completes(node, reading({}, { Resources: {} })),
      completes(node, reading({}, local)),
      completes(node, reading({}, { Timeouts: { ExecutionTimeout: 1 } }, { Namespace: 'trusted' })),
      completes(node, reading({ PrintEnv: ['A'] }, env)),
      refused(node, reading({ Duration: '60s' }), /2s/),
    ]);
    assert.equal((await node.executions(echo))[0]?.stdout, 'A=shared\n');
    const { Job } = (await node.api('GET', `/api/v1/orchestrator/jobs/${id}`)).body as { Job: Wire };
    const [task] = Job['Tasks'] as Wire[];
    assert.deepEqual(task?.['Resources'], { CPU: '200m', Memory: '64mb', Disk: '10mb' });
    assert.deepEqual(task?.['Publisher'], { Type: 'local' });
    const { Params } = await publishedResult(node, id);
    assert.match(String(Params['URL']), /^http:\/\/results\.example:8080\/results\/e-.*\.tar\.gz$/);
  });

  it('never runs more at once than fits', async () => {
    const jobs = Array.from({ length: 8 }, () =>
      reading({ Duration: '100ms' }, { Resources: { CPU: '400m', Memory: '4mb' } }),
    );
    const ids = await Promise.all(jobs.map((job) => node.submit(job)));
    let most = 0;
    await node.waitUntil(async () => {
      const metrics = await node.metrics();
      const used = sample(metrics, 'bacalhau_capacity', { account: 'used', resource: 'cpu' });
      assert.ok(used <= 1, `${used} CPU are used of 1`);
      most = Math.max(most, used);
      const states = await Promise.all(ids.map((id) => node.jobState(id)));
      return states.every(({ state }) => state === 'Completed');
    }, 'all jobs are completed');
    assert.ok(most >= 0.79, `two ran at once: ${most}`);
  });

  it('keeps its stores, logs and bounds as told', async () => {
    assert.ok((await stat(join(where.folder, 'stores/e.db'))).size > 0);
    assert.ok((await stat(join(where.folder, 'stores/j.db'))).size > 0);
    const lines = node.output.stderr.trim().split('\n');
    const levels = lines.map((line) => (JSON.parse(line) as { level: unknown }).level);
    assert.ok(
      levels.includes('debug') || levels.includes(20),
      `no debug line in ${lines.slice(0, 3).join('\n')}`,
    );
    const metrics = await node.metrics();
    for (const [index, stage] of ['ingest', 'bid', 'admit', 'execute', 'wasm', 'publish'].entries()) {
      assert.equal(sample(metrics, 'bacalhau_stage_queue_bound', { stage }), 11 + index, stage);
    }
  });
}

function openSuite(source: Source): void {
  const scope: Scope = suiteScope();
  let node: TestNode;
  before(async () => {
    node = await nodeWith(scope, source, open());
  });

  it('says that its state will be lost, and writes no store', async () => {
    assert.match(node.output.stdout, /compute: in memory, lost at exit/);
    assert.match(node.output.stdout, /requester: in memory, lost at exit/);
    await assert.rejects(stat(join(node.dataDir, `${node.nodeId}-compute/executions.db`)));
  });

  it('offers more than the machine has, and networks', async () => {
    assert.equal((await computeInfo(node)).info['MaxCapacity']?.['CPU'], 10_000);
    await completes(node, reading({}, { Network: { Type: 'Full' } }));
    await completes(node, reading({}, { Network: { Type: 'Host' } }));
  });

  it('tries a download as often, and waits for it as long, as told', async () => {
    const asked: string[] = [];
    const failing = createServer(({ method = '' }, reply) => {
      if (method === 'GET') asked.push(method);
      reply.writeHead(500).end();
    });
    await new Promise<void>((resolve) => failing.listen(0, '127.0.0.1', resolve));
    scope.after(() => failing.close());
    const { port } = failing.address() as AddressInfo;
    const stalled = await stallingHttp(scope);
    const url = (address: string): Wire => reading({}, input('urlDownload', { URL: `http://${address}/x` }));
    const [id] = await Promise.all([
      refused(node, url(`127.0.0.1:${port}`), /500/),
      refused(node, url(stalled.address), /urlDownload/),
    ]);
    const executions = (await node.executions(id)).length;
    assert.equal(asked.length, 2 * executions, 'one try, and one more, in each execution');
    assert.equal(stalled.waiting, 0, 'nobody waits any longer');
  });

  it('bounds inputs, output, bodies, connections, slow requests and log readers', async () => {
    const bulk = { URL: `data:,${'x'.repeat(30_000)}` };
    const chatty = reading({ OutputBytes: 5000 });
    await Promise.all([
      refused(node, reading({}, { ...input('inline', bulk), Resources: { CPU: '10m' } }), /20\.0 KB|20000/),
      refused(node, chatty, /stdout/),
    ]);
    const large = await node.api('PUT', '/api/v1/orchestrator/jobs', { Job: { Name: 'x'.repeat(100_000) } });
    assert.equal(large.status, 413);
    const port = Number(new URL(node.apiUrl).port);
    const half = 'PUT /api/v1/orchestrator/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{';
    const slow = await openConnection(port, half);
    assert.match(slow.answer, /^HTTP\/1\.1 (?:503|408)/);
    slow.close();

    const alive = 'GET /api/v1/agent/alive HTTP/1.1\r\nHost: x\r\n\r\n';
    const connections = await Promise.all(Array.from({ length: 70 }, () => openConnection(port, alive)));
    const answered = connections.filter(({ answer }) => answer.includes('"OK"')).length;
    assert.ok(answered > 20 && answered <= 60, `${answered} of 70 connections were answered`);
    for (const connection of connections) connection.close();

    const id = await node.submit(reading({ Duration: '60s' }));
    await node.waitUntil(async () => (await node.jobState(id)).state === 'Running', 'the job runs');
    await node.waitUntil(async () => {
      // Closed connections leave their places one after another.
      return sample(await node.metrics(), 'bacalhau_http_connections') < 50;
    }, 'there is room for connections');
    const url = `ws://127.0.0.1:${port}/api/v1/orchestrator/jobs/${id}/logs?follow=true`;
    const sockets = await Promise.all([logReader(url), logReader(url), logReader(url)]);
    assert.equal(sockets.filter((opened) => opened !== undefined).length, 2);
    for (const socket of sockets) socket?.terminate();
    assert.equal((await node.cli(['job', 'stop', id])).code, 0);
  });
}

/** A connection that stays open after its first answer; "" where it was closed without one. */
function openConnection(port: number, request: string): Promise<{ answer: string; close: () => void }> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(request));
    const close = (): void => void socket.destroy();
    socket.once('data', (bytes) => resolve({ answer: bytes.toString(), close }));
    socket.on('error', () => undefined);
    socket.once('close', () => resolve({ answer: '', close }));
  });
}

function logReader(url: string): Promise<WebSocket | undefined> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url);
    socket.once('open', () => resolve(socket));
    socket.once('error', () => resolve(undefined));
  });
}
