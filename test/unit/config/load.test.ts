import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { configTree, loadConfig, type NodeConfig } from '../../../src/config/load.ts';
import { allSettings, envNames, flagNames, keyAsEnv, keyNames } from '../../../src/config/settings.ts';
import type { Setting } from '../../../src/config/table.ts';
import { NodeError } from '../../../src/core/errors.ts';

let directory = '';
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bacalhau-config-'));
});
after(() => rm(directory, { recursive: true, force: true }));

/** Three different texts that the row accepts, none of them its default. */
function samples(setting: Setting): readonly [string, string, string] {
  const others = (setting.choices ?? []).filter((choice) => choice !== setting.default);
  if (setting.key === 'NodeType') return ['compute', 'requester', 'requester,compute'];
  if (others.length === 1) return [others[0] ?? '', setting.default, others[0] ?? ''];
  if (others.length > 1) return [others[0] ?? '', others.at(-1) ?? '', setting.default];
  if (setting.format === 'url') return ['http://a/', 'http://b/', 'http://c/'];
  if (setting.format === 'multiaddr' || setting.format === 'rpc-address') {
    return ['/ip4/1.1.1.1/tcp/1', '/ip4/1.1.1.1/tcp/2', '/ip4/1.1.1.1/tcp/3'];
  }
  if (setting.format === 'origin') return ['https://a', 'http://b:1', 'null'];
  if (setting.format === 'peer-id') {
    const id = `12D3KooW${'a'.repeat(43)}`;
    return [`${id}A`, `${id}B`, `${id}C`];
  }
  switch (setting.kind) {
    case 'boolean':
      return ['true', 'false', 'true'];
    case 'integer':
      return ['11', '12', '13'];
    case 'port':
      return ['4001', '4002', '4003'];
    case 'duration':
      return ['11s', '12s', '13s'];
    case 'bytes':
      return ['11MB', '12MB', '13MB'];
    case 'amount-cpu':
    case 'amount-gpu':
      return ['1', '2', '3'];
    case 'amount-memory':
    case 'amount-disk':
      return ['1Gb', '2Gb', '3Gb'];
    case 'map':
      return ['a=1', 'a=2', 'a=3'];
    case 'list':
      return ['one', 'two', 'three'];
    case 'string':
      if (setting.key.endsWith('Docker.Host')) return ['/a.sock', '/b.sock', '/c.sock'];
      if (setting.key === 'DataDir') return [`${directory}/a`, `${directory}/b`, `${directory}/c`];
      return ['one', 'two', 'three'];
  }
}

/** Settings that must be there for a row to make sense, as environment: the weakest place where rows do not collide. */
function companions(setting: Setting): Record<string, string> {
  const of = (...keys: string[]): Record<string, string> =>
    Object.fromEntries(keys.map((key) => [keyAsEnv(key), 'true']));
  switch (setting.key) {
    case 'IPFS.Authorization':
      return { [keyAsEnv('IPFS.Connect')]: '/ip4/1.1.1.1/tcp/5001' };
    case 'Engines.Types.Docker.Username':
      return { DOCKER_PASSWORD: 'secret' };
    case 'Engines.Types.Docker.Password':
      return { DOCKER_USERNAME: 'someone' };
    case 'JobAdmissionControl.AcceptHostNetwork':
      return of('JobAdmissionControl.AcceptNetworkedJobs');
    case 'Compute.Enabled':
      return of('Orchestrator.Enabled');
    case 'Orchestrator.Enabled':
      return of('Compute.Enabled');
    default:
      return {};
  }
}

function load(parts: {
  flags?: Record<string, readonly string[]>;
  env?: Record<string, string>;
  files?: readonly string[];
}): NodeConfig {
  const argvFlags = { ...parts.flags, ...(parts.files === undefined ? {} : { config: parts.files }) };
  return loadConfig({ argvFlags, env: { HOME: directory, ...parts.env }, cwd: directory });
}

/** The configuration without what says where values come from. */
function values(config: NodeConfig): unknown {
  const { settings: _settings, policy: _policy, warnings: _warnings, files: _files, ...slices } = config;
  return slices;
}

function yamlOf(key: string, text: string, setting: Setting): string {
  const sections = key.split('.');
  const indent = (depth: number): string => '  '.repeat(depth);
  const head = sections.slice(0, -1).map((section, depth) => `${indent(depth)}${section}:\n`);
  const last = sections.at(-1) ?? '';
  const depth = sections.length - 1;
  const value =
    setting.kind === 'map'
      ? `{${text.replace('=', ': "')}"}`
      : setting.kind === 'list'
        ? `[${text}]`
        : `"${text}"`;
  return `${head.join('')}${indent(depth)}${last}: ${value}\n`;
}

function faultsOf(run: () => unknown): string {
  try {
    run();
  } catch (thrown) {
    assert.ok(thrown instanceof NodeError, String(thrown));
    assert.equal(thrown.code, 'ConfigInvalid');
    return thrown.message;
  }
  throw new Error('expected a ConfigInvalid');
}

describe('every row: flag over environment over file over default', () => {
  for (const setting of allSettings) {
    test(setting.key, async () => {
      const env = companions(setting);
      const [first, second, third] = samples(setting);
      const file = join(directory, `${setting.key}.yaml`);
      const originOf = (config: NodeConfig): string | undefined =>
        config.settings.find((row) => row.key === setting.key)?.origin;

      assert.equal(originOf(load({})), 'default');

      const seen: unknown[] = [];
      for (const key of keyNames(setting)) {
        for (const written of [key, key.toLowerCase()]) {
          await writeFile(file, yamlOf(written, first, setting));
          const config = load({ env, files: [file] });
          seen.push(values(config));
          assert.match(originOf(config) ?? '', /\.yaml:\d+ \(/);
        }
      }
      for (const one of seen) assert.deepEqual(one, seen[0], 'every key means the same');

      const names = envNames(setting);
      if (!(setting.keyEnv === false)) assert.ok(names.includes(keyAsEnv(setting.key)));
      const byEnv = names.map((name) => {
        const config = load({ env: { ...env, [name]: second }, files: [file] });
        assert.equal(originOf(config), `environment variable ${name}`);
        return values(config);
      });
      for (const one of byEnv) assert.deepEqual(one, byEnv[0], 'every variable means the same');
      assert.notDeepEqual(byEnv[0], seen[0], 'the variable wins over the file');

      for (const flag of flagNames(setting)) {
        const config = load({
          flags: { [flag]: [third] },
          env: { ...env, [names[0] ?? '']: second },
          files: [file],
        });
        assert.equal(originOf(config), `--${flag}`);
        assert.notDeepEqual(values(config), byEnv[0], 'the flag wins');
      }
      const inline = load({ env, files: [`${setting.key}=${third}`] });
      assert.equal(originOf(inline), `--config ${setting.key}`);
    });
  }
});

test('no two rows share a key, a flag or an environment variable', () => {
  for (const names of [keyNames, flagNames, envNames]) {
    const all = allSettings.flatMap((setting) => names(setting).map((name) => name.toLowerCase()));
    assert.deepEqual(
      all.filter((name, index) => all.indexOf(name) !== index),
      [],
    );
  }
});

test('the defaults that the documents name', () => {
  const config = load({});
  assert.equal(config.api.host, '127.0.0.1');
  assert.equal(config.api.port, 1234);
  assert.equal(config.p2p.port, 1235);
  assert.equal(config.bid.locality, 'local');
  assert.equal(config.node.dataDir, join(directory, '.bacalhau'));
  assert.deepEqual(config.node.roles, { compute: true, requester: true });
  assert.deepEqual(config.stores.compute, { type: 'lmdb', path: '' });
  assert.equal(config.bid.maxExecutionTimeoutMs, Number.POSITIVE_INFINITY);
});

test('the short environment names of the documents', async () => {
  const config = load({
    env: {
      BACALHAU_DIR: 'some/where',
      BACALHAU_SERVER_HOST: '0.0.0.0',
      BACALHAU_SERVER_PORT: '4321',
      BACALHAU_COMPUTE_STORE_TYPE: 'BoltDB',
      BACALHAU_COMPUTE_STORE_PATH: 'x/executions.db',
      BACALHAU_JOB_STORE_TYPE: 'InMemory',
      BACALHAU_CAPACITY_MANAGER_OVER_COMMIT: '1',
      LOG_LEVEL: 'debug',
      DOCKER_HOST: 'tcp://127.0.0.1:2375',
      BACALHAU_API_HOST: 'elsewhere',
      BACALHAU_API_PORT: '9',
    },
  });
  assert.equal(config.node.dataDir, join(directory, 'some/where'), 'a relative data directory is resolved');
  assert.equal(config.api.host, '0.0.0.0');
  assert.equal(config.api.port, 4321, 'BACALHAU_API_PORT is for clients');
  assert.deepEqual(config.stores.compute, { type: 'lmdb', path: join(directory, 'x/executions.db') });
  assert.deepEqual(config.stores.requester, { type: 'memory', path: '' });
  assert.equal(config.capacity.ignorePhysicalLimits, true);
  assert.equal(config.log.level, 'debug');
  assert.equal(config.docker.host, 'tcp://127.0.0.1:2375');
});

test('all faults at once, each with its place', async () => {
  const file = join(directory, 'faults.yaml');
  await writeFile(
    file,
    'Node:\n  Libp2p:\n    SwarmProt: 3\n  Compute:\n    Capacity:\n      TotalResourceLimits:\n        CPU: lots\nLabels: [a]\n',
  );
  const message = faultsOf(() =>
    load({
      flags: { 'api-port': ['99999'], 'limit-job-memory': ['2Gb'], 'limit-total-memory': ['1Gb'] },
      env: { LOG_LEVEL: 'loud' },
      files: [file, 'Compute.AlocatedCapacity.GPU=1'],
    }),
  );
  assert.match(message, /has 7 faults/);
  assert.match(
    message,
    /faults\.yaml:3: unknown key "Node\.Libp2p\.SwarmProt"; did you mean "Node\.Libp2p\.SwarmPort"\?/,
  );
  assert.match(
    message,
    /faults\.yaml:7 \(Node\.Compute\.Capacity\.TotalResourceLimits\.CPU\): invalid CPU value: lots/,
  );
  assert.match(message, /faults\.yaml:8: Labels: expected names with values/);
  assert.match(message, /--api-port: "99999" is not a whole number from 0 to 65535/);
  assert.match(message, /environment variable LOG_LEVEL: "loud" is not one of/);
  assert.match(message, /--limit-job-memory: the limit of one job is above the total/);
  assert.match(message, /did you mean "Compute\.AllocatedCapacity\.GPU"/);
});

test('two ways to say one thing must say the same', async () => {
  const file = join(directory, 'twice.yaml');
  await writeFile(file, 'API: {Port: 1}\nNode: {ServerAPI: {Port: 2}}\n');
  assert.match(
    faultsOf(() => load({ files: [file] })),
    /twice\.yaml:2 .* says something else than .*twice\.yaml:1/,
  );
  await writeFile(file, 'API: {Port: 7}\nNode: {ServerAPI: {Port: 7}}\n');
  assert.equal(load({ files: [file] }).api.port, 7);
  assert.match(
    faultsOf(() => load({ flags: { port: ['1'], 'swarm-port': ['2'] } })),
    /--swarm-port: says something else/,
  );
});

test('config.yaml of the data directory is read; files named with -c replace it', async () => {
  const dataDir = await mkdtemp(join(directory, 'data-'));
  await writeFile(join(dataDir, 'config.yaml'), 'API:\n  Port: 4567\n');
  const found = load({ flags: { 'data-dir': [dataDir] } });
  assert.equal(found.api.port, 4567);
  assert.deepEqual(found.files, [join(dataDir, 'config.yaml')]);
  const other = join(directory, 'other.yaml');
  await writeFile(other, `DataDir: ${dataDir}\nLabels:\n  zone: a\n`);
  const replaced = load({ files: [other] });
  assert.equal(replaced.api.port, 1234);
  assert.equal(replaced.node.dataDir, dataDir);
  assert.deepEqual(replaced.node.labels, { zone: 'a' });
  await writeFile(join(dataDir, 'config.yaml'), 'DataDir: /somewhere/else\n');
  assert.doesNotThrow(() => load({ flags: { 'data-dir': [dataDir] } }));
});

test('a file that is missing, broken or no mapping', async () => {
  assert.match(
    faultsOf(() => load({ files: ['nothere.yaml'] })),
    /nothere\.yaml: no such file/,
  );
  const file = join(directory, 'broken.yaml');
  await writeFile(file, 'API:\n  Port: [1\n');
  assert.match(
    faultsOf(() => load({ files: [file] })),
    /broken\.yaml:\d+: not valid YAML/,
  );
  await writeFile(file, '- a\n');
  assert.match(
    faultsOf(() => load({ files: [file] })),
    /expected a mapping/,
  );
  await writeFile(file, '');
  assert.equal(load({ files: [file] }).api.port, 1234);
});

test('multiaddrs', () => {
  assert.match(
    faultsOf(() => load({ flags: { 'ipfs-connect': ['/ip4/nonsense'] } })),
    /--ipfs-connect: .*not a valid multiaddr/,
  );
  assert.match(
    faultsOf(() => load({ flags: { peer: ['1.2.3.4:1235'] } })),
    /--peer: .*not a valid multiaddr/,
  );
  assert.deepEqual(load({ flags: { peer: ['none'] } }).p2p.peers, []);
  assert.equal(
    load({ flags: { 'ipfs-connect': ['/dns4/ipfs.example/tcp/443/https'] } }).ipfs.connect,
    '/dns4/ipfs.example/tcp/443/https',
  );
  assert.equal(
    load({ flags: { 'ipfs-connect': ['https://ipfs.example'] } }).ipfs.connect,
    'https://ipfs.example',
  );
});

test('"" means unset', () => {
  const config = load({ flags: { 'api-port': [''], 'limit-total-cpu': [''] }, env: { LOG_LEVEL: '' } });
  assert.equal(config.api.port, 1234);
  assert.deepEqual(config.capacity.total.cpu, { kind: 'auto' });
  assert.equal(config.log.level, 'info');
});

test('shares of the machine', () => {
  const config = load({ flags: { 'limit-total-cpu': ['50%'], 'limit-total-disk': ['0'] } });
  assert.deepEqual(config.capacity.total.cpu, { kind: 'share', share: 0.5 });
  assert.deepEqual(config.capacity.total.disk, { kind: 'exact', value: 0 });
  assert.match(
    faultsOf(() => load({ flags: { 'limit-total-cpu': ['101%'] } })),
    /more than 100 %/,
  );
});

test('bounds for tests and benches', () => {
  const config = load({ files: ['Limits.ingestQueue=8', 'Limits.offeredTimeout=5s', 'Limits.body=1MiB'] });
  assert.equal(config.limits.ingestQueue, 8);
  assert.equal(config.limits.offeredTimeoutMs, 5000);
  assert.equal(config.limits.bodyBytes, 1_048_576);
  assert.match(
    faultsOf(() => load({ files: ['Limits.bidQueue=0'] })),
    /at least 1/,
  );
});

test('an environment variable that looks like a typing error is named', () => {
  const { warnings } = load({ env: { BACALHAU_COMPUTE_STOR_PATH: 'x', BACALHAU_SOMETHING_OF_OTHERS: 'y' } });
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', /BACALHAU_COMPUTE_STOR_PATH .* BACALHAU_COMPUTE_STORE_PATH/);
});

test('secrets are never shown, and the whole is frozen', () => {
  const env = { DOCKER_USERNAME: 'u', DOCKER_PASSWORD: 'hunter2', BACALHAU_IPFS_AUTHORIZATION: 'hunter3' };
  const config = load({
    env,
    flags: {
      'ipfs-connect': ['/ip4/1.1.1.1/tcp/5001'],
      'job-selection-probe-http': ['http://ann:hunter4@host/probe?key=hunter5'],
      'job-selection-probe-exec': ['my-probe --token hunter6 --strict'],
    },
  });
  assert.equal(config.docker.password, 'hunter2');
  assert.equal(config.bid.probeHttp, 'http://ann:hunter4@host/probe?key=hunter5');
  assert.doesNotMatch(JSON.stringify([config.settings, configTree(config)]), /hunter/);
  const shown = new Map(config.settings.map(({ key, text }) => [key, text] as const));
  assert.equal(
    shown.get('JobAdmissionControl.ProbeHTTP'),
    'http://********@host/probe?key=********',
    'what is no secret is shown',
  );
  assert.equal(shown.get('JobAdmissionControl.ProbeExec'), 'my-probe --token ******** --strict');
  for (const flags of [
    { 'job-selection-probe-http': ['htp://ann:hunter7@host/'] },
    { 'job-selection-probe-http': ['http://a:hunter7@host/', 'http://a:hunter8@host/'] },
    { 'ipfs-connect': ['/x://ann:hunter7@host/'] },
  ]) {
    assert.doesNotMatch(
      faultsOf(() => load({ flags })),
      /hunter/,
    );
  }
  assert.throws(() => Object.assign(config.api, { port: 1 }), TypeError);
  assert.throws(() => (config.p2p.peers as string[]).push('x'), TypeError);
});

test('the tree that the API shows has v1.9 names and kinds', () => {
  const tree = configTree(load({ flags: { 'node-type': ['requester'] } })) as Record<
    string,
    Record<string, unknown>
  >;
  assert.equal(tree['API']?.['Port'], 1234);
  assert.equal(tree['Orchestrator']?.['Enabled'], true);
  assert.equal(tree['Compute']?.['Enabled'], false);
});
