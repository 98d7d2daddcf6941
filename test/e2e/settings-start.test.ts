import assert from 'node:assert/strict';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { cli } from '../support/cli.ts';
import { temporaryFolder } from '../support/folders.ts';
import { mockJob } from '../support/jobs.ts';
import { testKubo } from '../support/kubo.ts';
import { startRefused, startTestNode, type TestNode, type Wire } from '../support/node.ts';
import { said } from '../support/results.ts';
import { freePort } from '../support/services/service.ts';
import { nodeWith, SOURCES } from '../support/settings.ts';
import { swarmNode } from '../support/swarm.ts';

const QUIET = { 'API.Port': '0', 'Libp2p.SwarmPort': '0', 'Libp2p.SwarmHost': '127.0.0.1' };

async function offer(
  node: TestNode,
): Promise<{ publishers: readonly string[]; storages: readonly string[] }> {
  const { body } = await node.api('GET', '/api/v1/agent/node');
  const info = (body as { ComputeNodeInfo: { Publishers: string[]; StorageSources: string[] } })
    .ComputeNodeInfo;
  return { publishers: info.Publishers, storages: info.StorageSources };
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createTcpServer();
    server.once('error', () => resolve(false));
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
}

describe('defaults', () => {
  it('are those of the documents, as config list shows them', async (t) => {
    const home = await temporaryFolder(t);
    const run = await cli(['config', 'list', '--output', 'json'], { env: { HOME: home } });
    assert.equal(run.code, 0, said(run));
    const rows = JSON.parse(run.stdout) as { key: string; text: string; origin: string }[];
    const shown = new Map(rows.map(({ key, text }) => [key, text]));
    for (const [key, text] of [
      ['API.Host', '127.0.0.1'],
      ['API.Port', '1234'],
      ['Libp2p.SwarmHost', '0.0.0.0'],
      ['Libp2p.SwarmPort', '1235'],
      ['IPFS.Connect', ''],
      ['Libp2p.Peers', ''],
      ['JobAdmissionControl.Locality', 'local'],
      ['JobAdmissionControl.RejectStatelessJobs', 'false'],
      ['JobAdmissionControl.AcceptNetworkedJobs', 'false'],
      ['Compute.ExecutionStore.Type', 'lmdb'],
      ['Orchestrator.JobStore.Type', 'lmdb'],
      ['JobDefaults.Task.Publisher', ''],
      ['DataDir', '~/.bacalhau'],
    ] as const) {
      assert.equal(shown.get(key), text, key);
    }
    assert.ok(rows.every(({ origin }) => origin === 'default'));
  });

  it('bring up a node on ports 1234 and 1235, under ~/.bacalhau, that takes local data only', async (t) => {
    if (!(await isFree(1234, '127.0.0.1')) || !(await isFree(1235, '0.0.0.0'))) {
      const reason = 'port 1234 or 1235 is taken on this machine';
      console.log(`SKIPPED ${t.name}: ${reason}`);
      return t.skip(reason);
    }
    const node = await startTestNode(t, { bare: true });
    assert.equal(node.apiUrl, 'http://127.0.0.1:1234');
    assert.ok(
      node.swarmAddresses.every((address) => address.includes('/tcp/1235/')),
      node.output.stdout,
    );
    assert.match(node.output.stdout, /Input data +only what is on this node/);
    const { nodeId } = node;
    for (const file of [
      `${nodeId}-compute/executions.db`,
      `${nodeId}-requester/jobs.db`,
      'libp2p_private_key',
    ]) {
      await stat(join(node.dataDir, file));
    }
    assert.equal((await fetch('http://127.0.0.1:1234/api/v1/agent/alive')).status, 200);

    const second = await startRefused(t, { bare: true, env: { BACALHAU_DIR: await temporaryFolder(t) } });
    assert.equal(second.code, 1);
    assert.match(second.stderr, /1235|1234/);
    assert.match(second.stderr, new RegExp(`\\b${node.pid}\\b`), 'the holder of the port is named');
    const same = await startRefused(t, { bare: true, env: { HOME: join(node.dataDir, '..') } });
    assert.equal(same.code, 1);
    assert.match(
      same.stderr,
      new RegExp(`in use by .*${node.pid}|${node.pid}`),
      'the holder of the directory is named',
    );
  });
});

describe('roles', () => {
  for (const [what, values] of [
    ['NodeType', { NodeType: 'compute' }],
    ['Orchestrator.Enabled', { 'Compute.Enabled': 'true', 'Orchestrator.Enabled': 'false' }],
  ] as const) {
    it(`${what}: a compute node alone takes no jobs`, async (t) => {
      const node = await nodeWith(t, what === 'NodeType' ? 'flags' : 'config.yaml', { ...QUIET, ...values });
      assert.match(node.output.stdout, /Roles +compute\n/);
      const reply = await node.api('PUT', '/api/v1/orchestrator/jobs', { Job: mockJob() });
      assert.ok(reply.status >= 400, String(reply.status));
      await assert.rejects(stat(join(node.dataDir, `${node.nodeId}-requester`)));
    });
  }

  for (const [what, values] of [
    ['NodeType', { NodeType: 'requester' }],
    ['Compute.Enabled', { 'Compute.Enabled': 'false', 'Orchestrator.Enabled': 'true' }],
  ] as const) {
    it(`${what}: a requester alone runs no jobs`, async (t) => {
      const node = await nodeWith(t, 'environment variables', { ...QUIET, ...values });
      assert.match(node.output.stdout, /Roles +requester\n/);
      const id = await node.submit(mockJob());
      assert.notEqual((await node.jobState(id)).state, 'Completed');
      await assert.rejects(stat(join(node.dataDir, `${node.nodeId}-compute`)));
    });
  }
});

describe('the default of GPUs', () => {
  it('is asked for by a job that states none', async (t) => {
    const node = await nodeWith(t, 'config.yaml', {
      ...QUIET,
      'JobDefaults.Task.Resources.GPU': '1',
      'Compute.AllocatedCapacity.GPU': '2',
      'Compute.IgnorePhysicalResourceLimits': 'true',
    });
    const id = await node.submit(mockJob({}, { resources: {} }));
    const { Job } = (await node.api('GET', `/api/v1/orchestrator/jobs/${id}`)).body as { Job: Wire };
    assert.match(JSON.stringify(Job), /"GPU":"1"/);
  });
});

describe('settings that stop the start', () => {
  const cases: readonly (readonly [what: string, flags: readonly string[], reason: RegExp])[] = [
    [
      '--job-selection-probe-http',
      ['--job-selection-probe-http', 'not a url'],
      /--job-selection-probe-http: "not a url" is not a valid http\(s\) URL/,
    ],
    [
      'a malformed --ipfs-connect',
      ['--ipfs-connect', '/ip4/nowhere/tcp/5001'],
      /--ipfs-connect: .*not a valid multiaddr/,
    ],
    ['a malformed --peer', ['--peer', 'example.org:1235'], /--peer: .*not a valid multiaddr/],
    [
      'a malformed --ipfs-swarm-addrs',
      ['--ipfs-swarm-addrs', '/ip4/1.2.3.4/tcp'],
      /--ipfs-swarm-addrs: .*not a valid multiaddr/,
    ],
    ['a limit that is no amount', ['--limit-total-memory', 'much'], /--limit-total-memory: .*much/],
    ['a job limit above the total', ['--limit-total-cpu', '1', '--limit-job-cpu', '2'], /above the total/],
    [
      'more than the machine has',
      ['--limit-total-cpu', '10000'],
      /--limit-total-cpu: .*--ignore-physical-resource-limits/,
    ],
    [
      'an unknown choice',
      ['--job-selection-data-locality', 'nearby'],
      /"nearby" is not one of local, anywhere/,
    ],
    [
      'a port that is none',
      ['--api-port', '70000'],
      /--api-port: "70000" is not a whole number from 0 to 65535/,
    ],
    ['an unknown flag', ['--api-prot', '1'], /unknown option '--api-prot'[\s\S]*--api-port/],
    [
      'a path for a store in memory',
      ['--compute-execution-store-type', 'memory', '--compute-execution-store-path', '/x'],
      /memory has no path/,
    ],
  ];
  it('each with where it is and what is wrong', async (t) => {
    const runs = await Promise.all(cases.map(([, flags]) => startRefused(t, { flags })));
    for (const [index, [what, , reason]] of cases.entries()) {
      const run = runs[index];
      assert.ok(run !== undefined);
      assert.equal(run.code, 1, `${what}: ${said(run)}`);
      assert.match(run.stderr, reason, what);
    }
  });

  it('all at once, from a file with unknown keys too', async (t) => {
    const dataDir = join(await temporaryFolder(t), 'data');
    await mkdir(dataDir);
    const yaml =
      'API:\n  Prot: 1\nJobAdmissionControl:\n  Localty: anywhere\n  ProbeHTTP: nowhere\nLogging.Level: loud\n';
    await writeFile(join(dataDir, 'config.yaml'), yaml);
    const run = await startRefused(t, { dataDir });
    assert.equal(run.code, 1);
    for (const reason of [
      /config\.yaml:2: unknown key "API\.Prot"; did you mean "API\.Port"\?/,
      /config\.yaml:4: unknown key "JobAdmissionControl\.Localty"; did you mean "JobAdmissionControl\.Locality"\?/,
      /config\.yaml:5.*: .*nowhere/,
      /config\.yaml:6.*: "loud" is not one of/,
    ]) {
      assert.match(run.stderr, reason);
    }
  });

  it('from the environment as well; a misspelt variable is pointed out', async (t) => {
    const env = { BACALHAU_JOBADMISSIONCONTROL_PROBEHTTP: 'nowhere' };
    const run = await startRefused(t, { env });
    assert.match(run.stderr, /BACALHAU_JOBADMISSIONCONTROL_PROBEHTTP: .*nowhere/);
    const node = await startTestNode(t, { env: { BACALHAU_JOB_STOR_PATH: '/x' } });
    assert.match(node.output.stdout, /BACALHAU_JOB_STOR_PATH is not known.*BACALHAU_JOB_STORE_PATH/);
  });
});

/** As much of a Kubo daemon as a node asks for to know that it is there. */
async function fakeKubo(t: TestContext, port: number): Promise<{ authorizations: Set<string> }> {
  const authorizations = new Set<string>();
  const server: Server = createServer(({ headers }, reply) => {
    authorizations.add(headers.authorization ?? '');
    reply.setHeader('content-type', 'application/json');
    reply.end(
      JSON.stringify({ Version: '0.42.0', Commit: '', Repo: '18', System: 'amd64/linux', Golang: 'go' }),
    );
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { authorizations };
}

describe('--ipfs-connect', () => {
  it('a daemon out of reach is said and withdrawn, and offered when it comes', {
    timeout: 60_000,
  }, async (t) => {
    const port = await freePort();
    const node = await nodeWith(t, 'environment variables', {
      ...QUIET,
      'JobAdmissionControl.Locality': 'anywhere',
      'IPFS.Connect': `/ip4/127.0.0.1/tcp/${port}`,
      'IPFS.Authorization': 'basic:user:secret-word',
    });
    assert.match(node.output.stderr, /ipfs/i, 'it is said');
    const before = await offer(node);
    assert.ok(
      !before.publishers.includes('ipfs') && !before.storages.includes('ipfs'),
      JSON.stringify(before),
    );
    const id = await node.submit(mockJob({}, { publisher: 'ipfs' }));
    const end = await node.waitForJob(id);
    assert.equal(end.state, 'Failed');
    assert.match(end.message, /ipfs/);

    const kubo = await fakeKubo(t, port);
    await node.waitUntil(
      async () => {
        const { publishers, storages } = await offer(node);
        return publishers.includes('ipfs') && storages.includes('ipfs');
      },
      'the daemon is offered',
      30_000,
    );
    assert.deepEqual(
      [...kubo.authorizations],
      [`Basic ${Buffer.from('user:secret-word').toString('base64')}`],
    );
    const config = JSON.stringify((await node.api('GET', '/api/v1/agent/config')).body);
    assert.ok(
      !`${config}${node.output.stderr}${node.output.stdout}`.includes('secret-word'),
      'no secret is shown',
    );
  });

  for (const source of SOURCES) {
    it(`a real daemon is used, named by ${source}`, async (t) => {
      const kubo = await testKubo(t);
      if (kubo === undefined) return;
      const node = await nodeWith(t, source, { ...QUIET, 'IPFS.Connect': kubo.connect });
      const { publishers, storages } = await offer(node);
      assert.ok(publishers.includes('ipfs') && storages.includes('ipfs'));
      const id = await node.submit(mockJob({ Stdout: 'to kubo' }, { publisher: 'ipfs' }));
      assert.equal((await node.waitForJob(id)).state, 'Completed');
    });
  }
});

describe('--peer', () => {
  it('is dialled again and again until it is there', async (t) => {
    const hub = await swarmNode(t);
    const address = hub.host.addresses()[0] ?? '';
    const port = Number(/\/tcp\/(\d+)/.exec(address)?.[1]);
    assert.ok(port > 0);
    const node = await startTestNode(t, { flags: ['--peer', `${address},/ip4/127.0.0.1/tcp/1`] });
    await node.waitUntil(async () => {
      const { peers } = (await node.api('GET', '/api/v1/agent/debug')).body as { peers: string[] };
      return peers.includes(hub.host.peerId);
    }, 'the peer is connected, although the other one is not there');
  });
});
