import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, it, type TestContext } from 'node:test';
import { CID } from 'multiformats/cid';
import { sha256 } from 'multiformats/hashes/sha2';
import { containersOfNode, type TestDocker, testDocker } from '../support/docker.ts';
import { temporaryFolder } from '../support/folders.ts';
import { dockerJob } from '../support/jobs.ts';
import { addToKubo, testKubo } from '../support/kubo.ts';
import { startTestNode, type TestNode, type Wire } from '../support/node.ts';
import { pushFreshImage } from '../support/registry-proxy.ts';
import { completed, jobGet, publishedCid, said, submittedId } from '../support/results.ts';
import { suiteScope } from '../support/scope.ts';

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
    assert.deepEqual(await containersOfNode(docker, node.nodeId), [], 'no container is left');
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
