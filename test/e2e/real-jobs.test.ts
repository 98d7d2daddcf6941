import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { before, describe, it, type TestContext } from 'node:test';
import { CID } from 'multiformats/cid';
import { sha256 } from 'multiformats/hashes/sha2';
import { shortId } from '../../src/core/ids.ts';
import { type TestDocker, testDocker } from '../support/docker.ts';
import { temporaryFolder, writeTree } from '../support/folders.ts';
import { dockerJob, helloModule, wasmJob } from '../support/jobs.ts';
import { addToKubo, testKubo } from '../support/kubo.ts';
import { startTestNode, type TestNode, type Wire } from '../support/node.ts';
import { pushFreshImage } from '../support/registry-proxy.ts';
import { jobGet, publishedCid, publishedResult, said, submittedId } from '../support/results.ts';
import { suiteScope } from '../support/scope.ts';
import { goProgram } from '../support/wasm-go.ts';
import { builtProgram } from '../support/wasm-run.ts';

const dockerHost = process.env['BACALHAU_TEST_DOCKER_HOST'] ?? '';
/** Small enough to be one block, so that its CID is that of its bytes. */
const TEXT = Buffer.from(`what the job reads ${randomBytes(8).toString('hex')}\n`);
const RAW = 0x55;

async function rawCid(bytes: Uint8Array): Promise<string> {
  return CID.createV1(RAW, await sha256.digest(bytes)).toString();
}

/** The documents' example: `cat /file.txt` on an IPFS input, published to IPFS. */
function catJob(image: string, cid: string): Wire {
  const job = dockerJob(image, ['cat', '/file.txt'], { publisher: 'ipfs' });
  const [task] = job['Tasks'] as Wire[];
  const input = { Source: { Type: 'ipfs', Params: { CID: cid } }, Alias: 'file', Target: '/file.txt' };
  return { ...job, Tasks: [{ ...task, InputSources: [input] }] };
}

/** The same in the form of the first releases. */
function oldCatSpec(image: string, cid: string): Wire {
  return {
    engine: 'docker',
    verifier: 'ipfs',
    job_spec_vm: { image, entrypoint: ['cat', '/file.txt'] },
    inputs: [{ engine: 'ipfs', cid, path: '/file.txt' }],
  };
}

async function completed(node: TestNode, id: string): Promise<void> {
  const end = await node.waitForJob(id);
  assert.equal(end.state, 'Completed', `${end.message} ${JSON.stringify(await node.history(id))}`);
}

/** The job's results, downloaded with the CLI, hold `content` as stdout and the usual files. */
async function holds(t: TestContext, node: TestNode, id: string, content: Uint8Array): Promise<void> {
  const results = await jobGet(t, node, id);
  assert.deepEqual((await readdir(results)).sort(), ['exitCode', 'stderr', 'stdout']);
  assert.deepEqual(await readFile(join(results, 'stdout')), Buffer.from(content), 'byte for byte');
  assert.equal(await readFile(join(results, 'exitCode'), 'utf8'), '0');
}

describe('the example of the documents', () => {
  const scope = suiteScope();
  let node: TestNode;
  let docker: TestDocker | undefined;
  before(async () => {
    docker = testDocker();
    if (docker !== undefined) node = await startTestNode(scope, { env: { DOCKER_HOST: dockerHost } });
  });

  it('runs on the embedded IPFS node, with what an earlier job published', async (t) => {
    if (docker === undefined) return t.skip('no Docker Engine for tests');
    const first = await node.submit(
      dockerJob(
        docker.image,
        ['sh', '-c', 'printf %s "$TEXT" >/outputs/file.txt; echo >>/outputs/file.txt'],
        {
          publisher: 'ipfs',
          results: [{ Name: 'outputs', Path: '/outputs' }],
          env: { TEXT: TEXT.toString().trimEnd() },
        },
      ),
    );
    await completed(node, first);
    const second = await node.submit(catJob(docker.image, await rawCid(TEXT)));
    await completed(node, second);
    await holds(t, node, second, TEXT);

    const [root, image] = [await publishedCid(node, first), docker.image];
    const folder = await node.cli([
      ...['docker', 'run', '--publisher', 'ipfs', '--input', `ipfs://${root}:/data`],
      ...[
        image,
        '--',
        'sh',
        '-c',
        'cat /data/outputs/file.txt; ls /data; echo no >/data/new && echo WROTE; true',
      ],
    ]);
    assert.equal(folder.code, 0, said(folder));
    const results = await jobGet(t, node, submittedId(folder));
    assert.equal(
      await readFile(join(results, 'stdout'), 'utf8'),
      `${TEXT.toString()}exitCode\noutputs\nstderr\nstdout\n`,
    );
    assert.match(await readFile(join(results, 'stderr'), 'utf8'), /Read-only file system/);
  });

  it('takes its input from a Kubo peer over bitswap, and gives its result to it', async (t) => {
    const kubo = await testKubo(t);
    if (docker === undefined || kubo === undefined) return;
    const content = randomBytes(700_000);
    const cid = await addToKubo(kubo, content);
    for (const flag of ['--peer', '--ipfs-swarm-addrs']) {
      await rm(join(node.dataDir, 'ipfs'), { recursive: true, force: true });
      await node.restart({ flags: [flag, kubo.swarm] });
      const id = await node.submit(catJob(docker.image, cid));
      await completed(node, id);
      await holds(t, node, id, content);
      const fetched = join(await temporaryFolder(t), flag);
      const { signal } = new AbortController();
      await kubo.client.get(await publishedCid(node, id), fetched, { signal, maxBytes: 1e7 });
      assert.deepEqual(await readFile(join(fetched, 'stdout')), content);
    }
  });

  it('runs in the form of the first releases, through REST and job run', async (t) => {
    if (docker === undefined) return t.skip('no Docker Engine for tests');
    const spec = oldCatSpec(docker.image, await rawCid(TEXT));
    await node.restart({ flags: [] });
    const seed = await node.submit(
      dockerJob(docker.image, ['sh', '-c', `printf '${TEXT.toString().trimEnd()}\\n' >/outputs/f`], {
        publisher: 'ipfs',
        results: [{ Name: 'outputs', Path: '/outputs' }],
      }),
    );
    await completed(node, seed);
    for (const body of [{ APIVersion: 'V1beta1', Spec: spec }, { spec }, spec]) {
      const reply = await node.api('PUT', '/api/v1/orchestrator/jobs', body);
      assert.equal(reply.status, 200, JSON.stringify(reply.body));
      const { JobID, Warnings } = reply.body as { JobID: string; Warnings: string[] };
      assert.match(Warnings.join('\n'), /older form/);
      await completed(node, JobID);
      await holds(t, node, JobID, TEXT);
    }
    const file = join(await temporaryFolder(t), 'job.json');
    await writeFile(file, JSON.stringify({ APIVersion: 'V1beta1', Spec: spec }));
    const run = await node.cli(['job', 'run', file]);
    assert.equal(run.code, 0, said(run));
    await holds(t, node, submittedId(run), TEXT);
  });

  it('runs an image that is pulled from a registry', async (t) => {
    if (docker === undefined) return t.skip('no Docker Engine for tests');
    const { docker: engine, registry, image: base } = docker;
    if (registry === undefined) return t.skip('no registry for tests: BACALHAU_TEST_REGISTRY is not set');
    const image = `${registry}/${await pushFreshImage(engine, registry, base, 200_000)}`;
    await assert.rejects(engine.getImage(image).inspect(), 'the engine does not have it yet');
    t.after(() => engine.getImage(image).remove({ force: true }));
    const id = await node.submit(dockerJob(image, ['busybox', 'wc', '-c', '/noise'], { publisher: 'ipfs' }));
    await completed(node, id);
    await holds(t, node, id, Buffer.from('200000 /noise\n'));
    await engine.getImage(image).inspect();
  });
});

describe('the example of the documents, through a Kubo daemon', () => {
  it('reads from it and publishes to it', async (t) => {
    const [kubo, docker] = [await testKubo(t), testDocker(t)];
    if (docker === undefined || kubo === undefined) return;
    const node = await startTestNode(t, {
      env: { DOCKER_HOST: dockerHost },
      // It is "local" that seeds ask for: what is on the daemon is local data.
      flags: ['--ipfs-connect', kubo.connect, '--job-selection-data-locality', 'local'],
    });
    const content = randomBytes(700_000);
    const id = await node.submit(catJob(docker.image, await addToKubo(kubo, content)));
    await completed(node, id);
    await holds(t, node, id, content);
    const { signal } = new AbortController();
    assert.ok(await kubo.client.has(await publishedCid(node, id), signal), 'the result is on the daemon');

    const elsewhere = await node.submit(catJob(docker.image, await rawCid(randomBytes(32))));
    const end = await node.waitForJob(elsewhere);
    assert.equal(end.state, 'Failed');
    assert.match(end.message, /job-selection-data-locality is "local"/);
  });
});

describe('WASM jobs', () => {
  const scope = suiteScope();
  let node: TestNode;
  let folder = '';
  before(async () => {
    folder = await temporaryFolder(scope);
    node = await startTestNode(scope, { flags: ['--allow-listed-local-paths', `${folder}/allowed/**`] });
    await writeTree(folder, {
      'files.wasm': await builtProgram('files'),
      'allowed/data/text.txt': 'what the job reads\n',
      'allowed/data/sub/b.txt': 'bbbbb',
      'secret.txt': 'not for jobs',
    });
  });

  it('a C program reads a file, writes a file and exits with 3', async (t) => {
    const run = await node.cli([
      ...['wasm', 'run', '--publisher', 'local', '--output', 'outputs:/outputs', '--output', 'more:/more'],
      ...['--input', 'src=data:text/plain;base64,d2hhdCB0aGUgam9iIHJlYWRzCg==,dst=/inputs/text.txt'],
      join(folder, 'files.wasm'),
    ]);
    assert.equal(run.code, 1, said(run));
    assert.match(run.stderr, /exited with code 3/);
    const id = submittedId(run);
    assert.equal((await node.jobState(id)).state, 'Completed');
    const results = await jobGet(t, node, id);
    assert.deepEqual((await readdir(results)).sort(), ['exitCode', 'more', 'outputs', 'stderr', 'stdout']);
    assert.equal(await readFile(join(results, 'exitCode'), 'utf8'), '3');
    assert.equal(await readFile(join(results, 'outputs/capitals.txt'), 'utf8'), 'WHAT THE JOB READS\n');
    assert.deepEqual(await readdir(join(results, 'more')), []);
    const stdout = await readFile(join(results, 'stdout'), 'utf8');
    assert.match(stdout, /refused \/etc\/passwd/);
    assert.doesNotMatch(stdout, /REACHED/);
    assert.match(await readFile(join(results, 'stderr'), 'utf8'), /: 0 of the host's files reached\n/);

    const archive = await jobGet(t, node, id, ['--raw']);
    const [name = ''] = await readdir(archive);
    assert.match(name, /^e-[0-9a-f-]{36}\.tar\.gz$/);
    assert.equal((await readFile(join(archive, name))).subarray(0, 2).toString('hex'), '1f8b');
    const one = await node.cli(['job', 'get', '--output-dir', archive, `${id}/outputs/capitals.txt`]);
    assert.equal(one.code, 0, said(one));
    assert.equal(await readFile(join(archive, 'outputs/capitals.txt'), 'utf8'), 'WHAT THE JOB READS\n');
  });

  it('a Go program walks a folder of this machine, as a job file says', async (t) => {
    const module = await goProgram();
    if (typeof module === 'string') {
      console.log(`SKIPPED ${t.name}: ${module}`);
      return t.skip(module);
    }
    await writeFile(join(folder, 'allowed/walker.wasm'), module);
    const local = (path: string): Wire => ({
      Type: 'localDirectory',
      Params: { SourcePath: join(folder, path) },
    });
    const job = {
      Name: 'walker',
      Type: 'batch',
      Count: 1,
      Tasks: [
        {
          Name: 'main',
          Engine: { Type: 'wasm', Params: { EntryModule: 'main.wasm', Parameters: ['one', 'two words'] } },
          Env: { GREETING: 'grüß Gott' },
          InputSources: [
            { Source: local('allowed/walker.wasm'), Target: 'main.wasm' },
            { Source: local('allowed/data'), Target: '/inputs' },
            { Source: { Type: 'inline', Params: { URL: 'data:,first%0Asecond%0A' } }, Target: '/dev/stdin' },
          ],
          ResultPaths: [{ Name: 'made', Path: '/outputs' }],
          Publisher: { Type: 'local' },
          Resources: { CPU: '1', Memory: '256mb' },
        },
      ],
    };
    const file = join(folder, 'walker.yaml');
    // JSON is YAML.
    await writeFile(file, JSON.stringify(job, null, 2));
    const run = await node.cli(['job', 'run', '--follow', file]);
    assert.equal(run.code, 1, said(run));
    assert.match(run.stderr, /exited with code 7/, 'the code of a program that found all as it should be');
    for (const line of [
      'args one,two words',
      'env grüß Gott',
      'file /inputs/text.txt 19',
      'lines 2',
      'done',
    ]) {
      assert.ok(run.stdout.includes(`${line}\n`), `no "${line}" in\n${said(run)}`);
    }
    const results = await jobGet(t, node, submittedId(run));
    assert.equal(await readFile(join(results, 'made/deep/er/final-1'), 'utf8'), '1');
    assert.equal(await readFile(join(results, 'stderr'), 'utf8'), '');
    assert.equal(await readFile(join(results, 'exitCode'), 'utf8'), '7');
  });

  it('what the commands show of a job', async () => {
    const id = await node.submit(wasmJob(await helloModule(), { name: 'shown', publisher: 'local' }));
    await completed(node, id);
    const [execution] = await node.executions(id);
    const short = shortId(execution?.id ?? '');
    const logs = await node.cli(['job', 'logs', id]);
    assert.equal(logs.stdout, 'hello\n', said(logs));
    const followed = await node.cli(['job', 'logs', '--follow', 'shown']);
    assert.equal(followed.stdout, 'hello\n', said(followed));

    const described = await node.cli(['job', 'describe', 'shown']);
    assert.equal(described.code, 0, said(described));
    for (const pattern of [
      /^ID +=  ?j-/m,
      /^Name +=  ?shown$/m,
      /^State +=  ?Completed$/m,
      /^Completed = 1$/m,
    ]) {
      assert.match(described.stdout, pattern);
    }
    assert.match(described.stdout, /Standard Output\nhello\n/);
    assert.ok(described.stdout.includes(short), described.stdout);

    const history = await node.cli(['job', 'history', id]);
    for (const words of ['Job submitted', 'Requested execution on', 'Completed successfully', short]) {
      assert.ok(history.stdout.includes(words), `no "${words}" in\n${said(history)}`);
    }
    const executions = await node.cli(['job', 'executions', id]);
    assert.match(executions.stdout, new RegExp(`${short}.*Completed`), said(executions));

    const held = await node.cli(['node', 'executions', '--output', 'json']);
    assert.equal(held.code, 0, said(held));
    const rows = JSON.parse(held.stdout) as Wire[];
    const row = rows.find((one) => JSON.stringify(one).includes(execution?.id ?? ''));
    assert.ok(row !== undefined, said(held));
    assert.ok(JSON.stringify(row).includes('"shown"'), `the original job is in ${JSON.stringify(row)}`);
    const table = await node.cli(['node', 'executions']);
    assert.match(table.stdout, new RegExp(short), said(table));
    const listed = await node.cli(['job', 'list']);
    assert.match(listed.stdout, /shown +wasm +batch +Completed/, said(listed));
  });

  it('--follow prints the output while the job runs', async () => {
    const run = await node.cli([
      'wasm',
      'run',
      '--follow',
      '--publisher',
      'none',
      join(folder, 'files.wasm'),
    ]);
    assert.match(run.stdout, /Waiting for logs/);
    assert.match(run.stderr + run.stdout, /\/inputs\/text\.txt/, 'its own complaint about a missing input');
    assert.equal(run.code, 1);
  });

  it('a local folder is mounted only where the allow-list has it', async () => {
    for (const [path, reason] of [
      [join(folder, 'secret.txt'), /--allow-listed-local-paths/],
      [join(folder, 'allowed/../secret.txt'), /--allow-listed-local-paths/],
    ] as const) {
      const id = await node.submit(
        withInput(wasmJob(await helloModule()), { Type: 'localDirectory', Params: { SourcePath: path } }),
      );
      const end = await node.waitForJob(id);
      assert.equal(end.state, 'Failed', path);
      assert.match(end.message, reason);
    }
  });

  it('a URL of this machine is an input only where the allow-list has it', async (t) => {
    const server = createServer((_, reply) => reply.end('from the network\n'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    const url = `http://127.0.0.1:${address.port}/text.txt`;
    const job = withInput(
      wasmJob(await builtProgram('files'), {
        publisher: 'local',
        resources: { CPU: '100m', Memory: '32mb' },
        results: [{ Name: 'outputs', Path: '/outputs' }],
      }),
      { Type: 'urlDownload', Params: { URL: url } },
      '/inputs',
    );
    const refused = await node.submit(job);
    const end = await node.waitForJob(refused);
    assert.equal(end.state, 'Failed');
    assert.match(JSON.stringify(await node.history(refused)), /127\.0\.0\.1.*--url-allow-list/);

    const other = await startTestNode(t, { flags: ['--url-allow-list', '127.0.0.1'] });
    const id = await other.submit(job);
    await completed(other, id);
    const results = await jobGet(t, other, id);
    assert.equal(await readFile(join(results, 'outputs/capitals.txt'), 'utf8'), 'FROM THE NETWORK\n');

    await other.restart({
      flags: ['--job-selection-data-locality', 'local', '--url-allow-list', '127.0.0.1'],
    });
    const local = await other.submit(job);
    const refusal = await other.waitForJob(local);
    assert.equal(refusal.state, 'Failed');
    assert.match(refusal.message, /--job-selection-data-locality/);
    assert.equal((await publishedResult(other, id)).Type, 'urlDownload', 'earlier results are kept');
  });
});

function withInput(job: Wire, source: Wire, target = '/inputs'): Wire {
  const [task] = job['Tasks'] as Wire[];
  const inputs = task?.['InputSources'] as Wire[];
  return {
    ...job,
    Tasks: [{ ...task, InputSources: [...inputs, { Source: source, Alias: '', Target: target }] }],
  };
}
