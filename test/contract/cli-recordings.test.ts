import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { pack } from 'tar-stream';
import { parse, stringify } from 'yaml';
import { cli } from '../support/cli.ts';
import { recordingsFolder } from '../support/recordings.ts';
import { loadCommand, type RecordedCommand, replay, type SeenRequest } from '../support/replay-server.ts';

// Recorded times were printed in UTC.
process.env['TZ'] = 'UTC';

const missing = existsSync(recordingsFolder)
  ? false
  : `no recordings at ${recordingsFolder} (BACALHAU_FIXTURES says where to look)`;
if (missing !== false) console.log(`SKIPPED, the CLI against recordings: ${missing}`);

let directory = '';
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bacalhau-cli-'));
});
after(() => rm(directory, { recursive: true, force: true }));

/** What people read, without colours, spinner frames, and what differs between any two runs. */
function words(text: string): string {
  return (
    text
      .replaceAll(/\u001b\[\??[0-9;]*[a-zA-Z]/g, '')
      .replaceAll(/\r Processing\s+[.🐟]+/gu, '\r')
      .replaceAll(/^(?:Initializing|Migrating|Migration) .*\n/gm, '')
      .split('\n')
      .filter((line) => !line.includes('🐟'))
      .join('\n')
      // Our short ids are the last 8 digits, because ours begin with the time.
      .replaceAll(/\b([jen])-[0-9a-f]{8}\b(?!-)/g, '$1-<short>')
      .replaceAll(/\b\d{4}-\d\d-\d\d (?=\d\d:\d\d:\d\d)/g, '')
      .replaceAll(/\b\d+[smhd] ago\b/g, '<ago>')
      .replaceAll(/\b\d+\.\d+s\b/g, '<time>')
      .split(/\s+/)
      .join(' ')
      .trim()
  );
}

interface Difference {
  /** Ours where it is not the recorded one. */
  readonly argv?: readonly string[];
  readonly code?: number;
  /** Applied to what was recorded before it is compared. */
  readonly stdout?: (recorded: string) => string;
  readonly stderr?: (recorded: string) => string;
}

const same = (text: string): string => text;

/** Where ours differs on purpose. */
const differences: Readonly<Record<string, Difference>> = {
  // `docker run` and `wasm run` publish to ipfs unless told otherwise.
  '10-wasm-run': { argv: ['wasm', 'run', '--publisher', 'none', './empty.wasm'] },
  '11-docker-run': {
    argv: ['docker', 'run', '--publisher', 'none', '127.0.0.1:5000/busybox:1', '--', 'echo', 'hello'],
  },
  '12-docker-run-id-only': {
    argv: [
      'docker',
      'run',
      '--publisher=none',
      '127.0.0.1:5000/busybox:1',
      '--id-only',
      '--',
      'echo',
      'hello',
    ],
  },
  '13-docker-run-follow': {
    argv: [
      ...['docker', 'run', '--follow', '-p', 'none', '127.0.0.1:5000/busybox:1', '--', 'sh', '-c'],
      'echo one; sleep 1; echo two',
    ],
  },
  // The exit code says that the command failed.
  '40-job-run-failing': { code: 1, stderr: () => 'Error: execution e-<short> exited with code 7' },
  '41-describe-failing': { stdout: (text) => `${text} Exit code: 7` },
  '44-job-run-unknown-engine': { code: 1 },
  '48-missing-image': {
    code: 1,
    argv: ['docker', 'run', '-p', 'none', '127.0.0.1:5000/nothere:1', '--', 'true'],
  },
  '49-too-big': {
    code: 1,
    argv: ['docker', 'run', '-p', 'none', '--cpu', '64', '127.0.0.1:5000/busybox:1', '--', 'true'],
  },
  '50-bad-cid': {
    code: 1,
    argv: ['docker', 'run', '-p', 'none', '-i', 'ipfs://notacid', '127.0.0.1:5000/busybox:1', '--', 'true'],
  },
  // A summary without the executions there are would be no summary.
  '65-describe-stopped': { stdout: (text) => text.replace('Summary', 'Summary Cancelled = 1') },
};

async function pieces(stream: AsyncIterable<unknown>): Promise<Buffer[]> {
  const all: Buffer[] = [];
  for await (const piece of stream) all.push(piece as Buffer);
  return all;
}

/** A recorded document, and the hint that the original prints behind it. */
function documentOf(stdout: string): { json: string; footer: string } {
  const lines = stdout.split('\n');
  const at = lines.findIndex((line) => /^[[{]/.test(line));
  return { json: lines[at] ?? '', footer: lines.slice(at + 1).join('\n') };
}

/** Recordings that have a test of their own below, or are no command line. */
const elsewhere = /^(?:05|30|45|8|9|a|README)/;

/** Requests that ours makes and the original does not: to know how commands exited, and why a followed job failed. */
const extra = /\/(?:executions|history\?event_type=all&limit=10)$/;

function comparable(requests: readonly SeenRequest[]): string[] {
  const body = (value: unknown): unknown =>
    typeof value === 'object' && value !== null && 'Credential' in value
      ? { ...value, Credential: null }
      : value;
  const sorted = (_key: string, value: unknown): unknown =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value;
  return [
    ...new Set(
      requests.map(
        ({ method, path, body: sent }) => `${method} ${path} ${JSON.stringify(body(sent), sorted)}`,
      ),
    ),
  ];
}

function recordedRequests(recorded: RecordedCommand): SeenRequest[] {
  return recorded.http
    .filter(({ path }) => !path.startsWith('/api/v1/auth'))
    .map(({ method, path, requestBody }) => ({ method, path, body: requestBody ?? null }));
}

/** Writes the file that a recorded command reads, as far as its request tells. */
async function writeInputs(recorded: RecordedCommand): Promise<void> {
  const put = recorded.http.find((exchange) => exchange.method === 'PUT')?.requestBody as
    | { Job: Record<string, unknown> }
    | undefined;
  const file = /(\S+\.yaml)/.exec(recorded.command)?.[1];
  if (put === undefined) return;
  if (file !== undefined) {
    const { Name, Type, Count, Tasks } = put.Job;
    await writeFile(join(directory, file), stringify({ Name, Type, Count, Tasks }));
  }
  if (recorded.command.includes('empty.wasm')) {
    const [task] = put.Job['Tasks'] as [{ InputSources: [{ Source: { Params: { URL: string } } }] }];
    const url = task.InputSources[0].Source.Params.URL;
    await writeFile(join(directory, 'empty.wasm'), Buffer.from(url.slice(url.indexOf(',') + 1), 'base64'));
  }
}

describe('recorded command lines', { skip: missing }, async () => {
  const names =
    missing === false ? (await readdir(recordingsFolder)).map((name) => name.replace('.json', '')) : [];
  for (const name of names.sort().filter((one) => !elsewhere.test(one))) {
    test(name, async () => {
      const recorded = loadCommand(name);
      const difference = differences[name] ?? {};
      await writeInputs(recorded);
      const server = await replay(recorded.http);
      if (name === '40-job-run-failing') {
        const [executions] = loadCommand('43-executions-failing-json').http;
        assert.ok(executions);
        server.add({ ...executions, path: executions.path.replace(/\?.*$/, '') });
      }
      if (name === '13-docker-run-follow') {
        const last = recorded.http.findLast(({ method }) => method === 'GET');
        assert.ok(last);
        const { Job } = last.responseBody as { Job: Record<string, unknown> };
        server.add({ ...last, responseBody: { Job: { ...Job, State: { StateType: 'Completed' } } } });
      }
      try {
        const argv = difference.argv ?? recorded.command.split(' ').slice(1);
        const run = await cli(argv, { cwd: directory, env: { BACALHAU_API_HOST: server.url } });
        const expected = words(recorded.stdout);
        const isDocument = /--output json/.test(recorded.command);
        if (isDocument) {
          const { json, footer } = documentOf(recorded.stdout);
          // The recorded answers went through doubles, so times agree only as doubles.
          assert.deepEqual(JSON.parse(run.stdout), JSON.parse(json));
          assert.deepEqual(
            Object.keys(JSON.parse(run.stdout) as object),
            Object.keys(JSON.parse(json) as object),
          );
          assert.equal(
            words(run.stderr),
            words(footer),
            'the hint is not in the way of what reads the document',
          );
        } else {
          assert.equal(words(run.stdout), (difference.stdout ?? same)(expected));
        }
        if (!isDocument) assert.equal(words(run.stderr), (difference.stderr ?? same)(words(recorded.stderr)));
        assert.equal(run.code, difference.code ?? recorded.exitCode);

        const ours = comparable(server.seen).filter((line) => !extra.test(line.split(' ')[1] ?? ''));
        const theirs = comparable(recordedRequests(recorded)).filter(
          (line) => !extra.test(line.split(' ')[1] ?? ''),
        );
        assert.deepEqual(ours, theirs);
      } finally {
        await server.close();
      }
    });
  }

  test('05-node-list: the same cells', async () => {
    const recorded = loadCommand('05-node-list');
    const server = await replay(recorded.http);
    try {
      const run = await cli(['node', 'list'], { env: { BACALHAU_API_HOST: server.url } });
      const cells = (text: string): string[] => words(text).split(' ').sort();
      assert.deepEqual(cells(run.stdout), cells(recorded.stdout));
    } finally {
      await server.close();
    }
  });

  test('14-docker-run-dry-run: exactly the same document', async () => {
    const recorded = loadCommand('14-docker-run-dry-run');
    const run = await cli(recorded.command.split(' ').slice(1));
    assert.equal(run.stdout, recorded.stdout);
  });

  test('04-agent-node-text and 73-node-describe: exactly the same YAML', async () => {
    for (const name of ['04-agent-node-text', '73-node-describe']) {
      const recorded = loadCommand(name);
      const server = await replay(recorded.http);
      try {
        const run = await cli(recorded.command.split(' ').slice(1), {
          env: { BACALHAU_API_HOST: server.url },
        });
        assert.equal(run.stdout, recorded.stdout);
        assert.deepEqual(parse(run.stdout), parse(recorded.stdout));
      } finally {
        await server.close();
      }
    }
  });

  test('30-job-get: the results where people expect them', async () => {
    const recorded = loadCommand('30-job-get');
    const [results] = recorded.http;
    assert.ok(results);
    const server = await replay([]);
    try {
      const tar = pack();
      tar.entry({ name: 'stdout' }, 'Hello\n');
      tar.entry({ name: 'stderr' }, 'oops\n');
      tar.entry({ name: 'exitCode' }, '0');
      tar.entry({ name: 'outputs', type: 'directory' });
      tar.entry({ name: 'outputs/answer' }, '42\n');
      tar.finalize();
      const body = await promisify(gzip)(Buffer.concat(await pieces(tar)));
      server.add({ method: 'GET', path: '/e-1.tar.gz', body });
      const items = [{ Type: 'urlDownload', Params: { URL: `${server.url}/e-1.tar.gz` } }];
      server.add({ ...results, responseBody: { NextToken: '', Items: items } });
      const cwd = await mkdtemp(join(directory, 'get-'));
      const argv = recorded.command.split(' ').slice(1);
      const run = await cli(argv, { cwd, env: { BACALHAU_API_HOST: server.url } });
      assert.equal(words(run.stdout), words(recorded.stdout));
      assert.equal(run.code, 0, run.stderr);
      const folder = join(cwd, `job-${argv.at(-1) ?? ''}`);
      assert.deepEqual((await readdir(folder)).sort(), ['exitCode', 'outputs', 'stderr', 'stdout']);
      assert.equal(await readFile(join(folder, 'outputs/answer'), 'utf8'), '42\n');

      const again = await cli(argv, { cwd, env: { BACALHAU_API_HOST: server.url } });
      assert.equal(again.code, 1, 'a folder that is there is not written into');
      const one = await mkdtemp(join(directory, 'one-'));
      const single = await cli(['job', 'get', `${argv.at(-1) ?? ''}/outputs/answer`], {
        cwd: one,
        env: { BACALHAU_API_HOST: server.url },
      });
      assert.equal(single.code, 0, single.stderr);
      const [made = ''] = await readdir(one);
      assert.deepEqual(await readdir(join(one, made)), ['outputs']);
      const missingPath = await cli(['job', 'get', `${argv.at(-1) ?? ''}/no/such`], {
        cwd: await mkdtemp(join(directory, 'none-')),
        env: { BACALHAU_API_HOST: server.url },
      });
      assert.equal(missingPath.code, 1);
      assert.match(missingPath.stderr, /hold no "no\/such"/);
    } finally {
      await server.close();
    }
  });

  test('a spinner on a terminal only, on stderr, and never with NO_COLOR', async () => {
    const recorded = loadCommand('10-wasm-run');
    await writeInputs(recorded);
    for (const [tty, extraEnv, spins] of [
      [true, {}, true],
      [true, { NO_COLOR: '1' }, false],
      [false, {}, false],
    ] as const) {
      const server = await replay(recorded.http);
      try {
        const env = { BACALHAU_API_HOST: server.url, ...extraEnv };
        const run = await cli(['wasm', 'run', '-p', 'none', './empty.wasm'], { cwd: directory, env, tty });
        assert.equal(/\r\u001b\[2K. Processing/u.test(run.stderr), spins);
        assert.doesNotMatch(run.stdout, /\r/);
      } finally {
        await server.close();
      }
    }
  });

  test('45-job-run-invalid: every fault, and no request', async () => {
    await writeFile(join(directory, 'bad.yaml'), 'Name: bad\nType: batch\nCount: -1\n');
    const server = await replay([]);
    try {
      const run = await cli(['job', 'run', 'bad.yaml'], {
        cwd: directory,
        env: { BACALHAU_API_HOST: server.url },
      });
      assert.equal(run.code, 1);
      assert.match(run.stderr, /the job provided is invalid/);
      assert.match(run.stderr, /Count/);
      assert.match(run.stderr, /Tasks/);
      assert.deepEqual(server.seen, []);
    } finally {
      await server.close();
    }
  });
});
