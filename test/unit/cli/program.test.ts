import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { resolve } from 'node:path';
import { test } from 'node:test';
import type { Command } from 'commander';
import { buildProgram } from '../../../src/cli/program.ts';
import { cli, testContext } from '../../support/cli.ts';
import { replay } from '../../support/replay-server.ts';

function leaves(command: Command, path: readonly string[] = []): (readonly [string, Command])[] {
  const own = [...path, command.name()];
  if (command.commands.length === 0) return [[own.slice(1).join(' '), command]];
  return command.commands.flatMap((inner) => leaves(inner, own));
}

/** A port on which nobody listens: it is bound by an outgoing connection, which nobody else can take meanwhile. */
async function closedPort(): Promise<{ port: number; close: () => Promise<void> }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const accepted = once(server, 'connection');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  await Promise.all([accepted, once(socket, 'connect')]);
  const port = socket.localPort ?? 0;
  return {
    port,
    close: async () => {
      socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const commands = leaves(buildProgram(testContext().context, 'bacalhau'));

test('the commands there are', () => {
  assert.deepEqual(
    commands.map(([name]) => name),
    [
      'serve',
      'devstack',
      'docker run',
      'wasm run',
      ...[
        'run',
        'list',
        'describe',
        'executions',
        'history',
        'logs',
        'get',
        'stop',
        'validate',
        'versions',
        'rerun',
      ].map((name) => `job ${name}`),
      'node list',
      'node describe',
      'node approve',
      'node reject',
      'node delete',
      'node executions',
      'node bids',
      'bid explain',
      'bid approve',
      'bid reject',
      'bench bid',
      'bench jobs',
      'bench events',
      'events',
      'agent alive',
      'agent version',
      'agent node',
      'agent config',
      'version',
      'config list',
      'config set',
    ],
  );
});

for (const [name] of commands) {
  test(`${name} --help has examples that its own flags allow`, async () => {
    const run = await cli([...name.split(' '), '--help']);
    assert.equal(run.code, 0);
    const [, examples = ''] = run.stdout.split('\nExamples:\n');
    const lines = examples.trim().split('\n');
    assert.ok(
      lines.some((line) => line.includes(`bacalhau ${name}`)),
      `no example of ${name} in ${examples}`,
    );
    const known = commands.find(([one]) => one === name)?.[1].options.flatMap(({ long }) => long ?? []) ?? [];
    for (const line of lines) {
      const [ours = ''] = line.split(' -- ');
      for (const flag of ours.match(/(?<= )--[a-z][a-z-]*/g) ?? []) {
        assert.ok(known.includes(flag), `${flag} of "${line}" is no flag of ${name}`);
      }
    }
    assert.doesNotMatch(run.stdout, /\u001b/);
  });
}

test('an unknown flag or command names the nearest', async () => {
  const flag = await cli(['serve', '--ipfs-conect', 'x']);
  assert.equal(flag.code, 1);
  assert.match(flag.stderr, /unknown option '--ipfs-conect'[\s\S]*--ipfs-connect/);
  const command = await cli(['jobb', 'list']);
  assert.equal(command.code, 1);
  assert.match(command.stderr, /Did you mean job\?/);
});

test('no node: what happened and what to do, exit code 1', async () => {
  const { port, close } = await closedPort();
  const run = await cli(['job', 'list', '--api-host', '127.0.0.1', '--api-port', String(port)]);
  await close();
  assert.equal(run.code, 1);
  assert.match(
    run.stderr,
    /no node answers at http:\/\/127\.0\.0\.1:\d+ .*ECONNREFUSED.*\nHint: {2}Start a node with "bacalhau serve"/,
  );
  assert.equal(run.stdout, '');
});

test('the address of the node: flag over environment, URL or host', async () => {
  const server = await replay([
    {
      file: '',
      method: 'GET',
      path: '/api/v1/agent/alive',
      requestHeaders: {},
      status: 200,
      responseBody: { Status: 'OK' },
    },
  ]);
  const port = new URL(server.url).port;
  try {
    for (const [argv, env] of [
      [[], { BACALHAU_API_HOST: server.url }],
      [[], { BACALHAU_API_HOST: 'localhost', BACALHAU_API_PORT: port }],
      [[], { BACALHAU_API_HOST: '0.0.0.0', BACALHAU_API_PORT: port }],
      [['--api-port', port], { BACALHAU_API_PORT: '1' }],
      [['--api-host', server.url], { BACALHAU_API_HOST: 'nowhere.invalid', BACALHAU_API_PORT: '1' }],
      [['--api-host', 'http://127.0.0.1:1', '--api-port', port], {}],
    ] as const) {
      const run = await cli(['agent', 'alive', ...argv], { env });
      assert.equal(run.stdout, 'Status: OK\n', run.stderr);
      const before = await cli([...argv, 'agent', 'alive'], { env });
      assert.equal(before.stdout, 'Status: OK\n', 'the same in front of the command');
    }
    const bad = await cli(['agent', 'alive', '--api-port', 'x']);
    assert.match(bad.stderr, /"x" is not a port/);
  } finally {
    await server.close();
  }
});

test('colours only on a terminal, and never with NO_COLOR', async () => {
  const argv = ['job', 'list', '--api-port', '1'];
  assert.match((await cli(argv, { tty: true })).stderr, /\u001b\[31mError/);
  assert.doesNotMatch((await cli(argv, { tty: true, env: { NO_COLOR: '1' } })).stderr, /\u001b/);
  assert.doesNotMatch((await cli(argv)).stderr, /\u001b/);
});

test('flags of a job stay with the job', async () => {
  const dry = async (...words: string[]): Promise<string> => {
    const run = await cli(['docker', 'run', '--dry-run', ...words]);
    assert.equal(run.code, 0, run.stderr);
    return run.stdout;
  };
  assert.match(await dry('image', 'ls', '--cpu', '--wait=false'), /- ls\n {6}- --cpu\n {6}- --wait=false\n/);
  assert.match(
    await dry('image', '--cpu', '2', '--id-only=true', '--', 'ls', '--cpu'),
    /- ls\n {6}- --cpu\n[\s\S]*CPU: "2"/,
  );
  const bad = await cli(['docker', 'run', '--dry-run', '--count', 'many', 'image']);
  assert.match(bad.stderr, /--count "many": expected a whole number/);
});

test('client commands start without loading the node', () => {
  const main = resolve(import.meta.dirname, '../../../src/main.ts');
  const script = `
    process.argv.push('bacalhau', 'version', '--client');
    process.on('exit', () => {
      const loaded = process.getBuiltinModule('module').findPackageJSON ? [...(globalThis.loaded ?? [])] : [];
      for (const url of loaded) if (/node_modules\\/(?:libp2p|piscina|lmdb|dockerode|helia|zod)\\//.test(url)) console.log('LOADED', url);
    });
    const { registerHooks } = await import('node:module');
    globalThis.loaded = new Set();
    registerHooks({ load: (url, context, next) => { globalThis.loaded.add(url); return next(url, context); } });
    await import(${JSON.stringify(main)});
  `;
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  assert.match(run.stdout, /v\d+\.\d+\.\d+/, run.stderr);
  assert.doesNotMatch(run.stdout, /LOADED/);
});
