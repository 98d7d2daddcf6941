import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { testDocker } from '../support/docker.ts';
import { dockerJob, helloModule, mockJob, wasmJob } from '../support/jobs.ts';
import { connection, onlyAt, sitesIfPossible, startNetwork } from '../support/network.ts';
import { startTestNode, type TestNode, waitUntil } from '../support/node.ts';
import { localExecutions } from '../support/node-facts.ts';
import { completed, jobGet, said } from '../support/results.ts';

const LARGE_BYTES = 4 * 1024 * 1024;
const SMALL_JOBS = 200;

/** The module with so many bytes more, which do nothing: a custom section. */
async function largeModule(bytes: number): Promise<Uint8Array> {
  const name = Buffer.from('\u0003pad');
  const size = bytes + name.length;
  const length = Buffer.alloc(5);
  for (let index = 0; index < 5; index += 1) {
    length[index] = ((size >>> (7 * index)) & 0x7f) | (index < 4 ? 0x80 : 0);
  }
  return Buffer.concat([await helloModule(), Buffer.from([0]), length, name, Buffer.alloc(bytes, 7)]);
}

/** A rejected node gets no job until it is approved. */
async function decided(a: TestNode, [b, c]: readonly TestNode[]): Promise<void> {
  const { nodeId: rejected = '' } = c ?? {};
  assert.equal((await a.cli(['node', 'reject', '-m', 'not now', rejected])).stdout, 'Ok\n');
  assert.match((await a.cli(['node', 'reject', rejected])).stderr, /already rejected/);
  const before = await a.submit({ ...mockJob(), Type: 'ops' });
  await completed(a, before);
  const held = async (node: TestNode | undefined): Promise<boolean> =>
    node !== undefined && (await localExecutions(node)).some(({ jobId }) => jobId === before);
  assert.deepEqual([await held(b), await held(c)], [true, false]);
  assert.equal((await a.cli(['node', 'approve', rejected])).stdout, 'Ok\n');
}

test('a requester and two compute nodes: jobs run at both, logs come live, results come to the requester', {
  timeout: 120_000,
}, async (t) => {
  const docker = testDocker();
  const sites = await sitesIfPossible(t, 3);
  const { requester: a, computes } = await startNetwork(t, {
    computes: [
      ['--labels', 'site=b'],
      ['--labels', 'site=c'],
    ],
    ...(docker === undefined ? {} : { env: { DOCKER_HOST: docker.dockerHost } }),
    ...(sites === undefined ? {} : { sites }),
  });
  const parts = { publisher: 'local' };
  const module = await helloModule();
  for (const site of ['b', 'c']) {
    const id = await a.submit(onlyAt(wasmJob(module, parts), site));
    await completed(a, id);
    assert.equal(await readFile(join(await jobGet(t, a, id), 'stdout'), 'utf8'), 'hello\n');
    assert.equal((await a.cli(['job', 'logs', id])).stdout, 'hello\n');
    if (docker === undefined) continue;
    const script = `echo one at ${site}; sleep 3; echo two at ${site}; echo kept > /outputs/file`;
    const results = { ...parts, results: [{ Name: 'outputs', Path: '/outputs' }] };
    const slow = await a.submit(onlyAt(dockerJob(docker.image, ['sh', '-c', script], results), site));
    const reader = await a.startCli(['job', 'logs', '--follow', slow]);
    await waitUntil(() => reader.printed.stdout === `one at ${site}\n`, 'the first line comes');
    assert.equal((await a.jobState(slow)).state, 'Running', 'while the job still runs');
    assert.equal((await reader.ended).code, 0);
    assert.equal(reader.printed.stdout, `one at ${site}\ntwo at ${site}\n`);
    await completed(a, slow);
    const folder = await jobGet(t, a, slow);
    assert.equal(await readFile(join(folder, 'outputs', 'file'), 'utf8'), 'kept\n');
  }
  const run = await a.cli(['node', 'list', '--show', 'seen,version']);
  assert.equal(
    run.stdout.match(/Compute +APPROVED +CONNECTED +(?:now|\d+s ago) +v\d/g)?.length,
    2,
    said(run),
  );
  assert.match(run.stdout, /Requester +APPROVED +CONNECTED/);
  await decided(a, computes);
  const everywhere = await a.submit({ ...mockJob({ Stdout: 'x' }), Type: 'ops' });
  await completed(a, everywhere);
  assert.equal((await a.executions(everywhere)).length, 2, 'an ops job runs once on each');
});

test('two nodes with both roles: jobs submitted at either run where they fit', {
  timeout: 60_000,
}, async (t) => {
  const a = await startTestNode(t, { flags: ['--labels', 'site=a'] });
  const [peer = ''] = a.swarmAddresses;
  const b = await startTestNode(t, { flags: ['--labels', 'site=b', '--peer', peer] });
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    await one.waitUntil(
      async () => (await connection(one, other.nodeId)) === 'CONNECTED',
      'they know each other',
    );
  }
  const module = await helloModule();
  for (const [at, site, where] of [
    [a, 'b', b],
    [b, 'a', a],
    [a, 'a', a],
  ] as const) {
    const id = await at.submit(onlyAt(wasmJob(module, { publisher: 'local' }), site));
    await completed(at, id);
    assert.ok(
      (await localExecutions(where)).some(({ jobId }) => jobId === id),
      `it ran at ${site}`,
    );
    assert.equal(await readFile(join(await jobGet(t, at, id), 'stdout'), 'utf8'), 'hello\n');
  }
});

test('a program of 4 MB in the job itself crosses while small jobs go on', { timeout: 90_000 }, async (t) => {
  const { requester: a, computes } = await startNetwork(t, { computes: [[]] });
  const large = await a.submit(wasmJob(await largeModule(LARGE_BYTES)));
  const small = await Promise.all(Array.from({ length: SMALL_JOBS }, () => a.submit(mockJob())));
  await Promise.all([large, ...small].map((id) => completed(a, id)));
  assert.equal((await a.executions(large))[0]?.stdout, 'hello\n');
  const [b] = computes;
  assert.ok(b !== undefined);
  assert.equal((await b.metrics()).get('bacalhau_messages_refused_total{reason="foreign"}') ?? 0, 0);
});
