import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { extract, pack } from 'tar-stream';
import { fillTemplate, readJobFile } from '../../../src/cli/job-file.ts';
import { inlineModule } from '../../../src/cli/wasm-module.ts';
import { NodeError } from '../../../src/core/errors.ts';
import { cli } from '../../support/cli.ts';
import { type ReplayServer, replay } from '../../support/replay-server.ts';

let directory = '';
let server: ReplayServer;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bacalhau-files-'));
  server = await replay([]);
});
after(async () => {
  await server.close();
  await rm(directory, { recursive: true, force: true });
});

async function archive(
  entries: readonly (readonly [Parameters<ReturnType<typeof pack>['entry']>[0], string])[],
): Promise<Buffer> {
  const tar = pack();
  for (const [header, content] of entries) tar.entry(header, content);
  tar.finalize();
  const pieces: Buffer[] = [];
  for await (const piece of tar) pieces.push(piece as Buffer);
  return promisify(gzip)(Buffer.concat(pieces));
}

async function get(id: string, results: readonly unknown[], ...flags: string[]): ReturnType<typeof cli> {
  const cwd = join(directory, id);
  await mkdir(cwd, { recursive: true });
  server.add({
    method: 'GET',
    path: `/api/v1/orchestrator/jobs/${id}/results`,
    status: 200,
    responseBody: { NextToken: '', Items: results },
  });
  return cli(['job', 'get', id, ...flags], { cwd, env: { BACALHAU_API_HOST: server.url } });
}

const urlResult = (name: string): unknown => ({
  Type: 'urlDownload',
  Params: { URL: `${server.url}/${name}.tar.gz` },
});

test('an archive that wants out of its folder is refused, and nothing is left', async () => {
  const entries = [
    { name: '../evil' },
    { name: 'a/../../evil' },
    { name: 'link', type: 'symlink', linkname: '../../../etc' },
    { name: 'pipe', type: 'fifo' },
  ] as const;
  for (const [index, entry] of entries.entries()) {
    server.add({ method: 'GET', path: `/evil${index}.tar.gz`, body: await archive([[entry, '']]) });
    const run = await get(`evil-${index}`, [urlResult(`evil${index}`)]);
    assert.equal(run.code, 1, `${entry.name} was accepted`);
    assert.deepEqual(await readdir(join(directory, `evil-${index}`)), []);
  }
  assert.deepEqual(
    (await readdir(directory)).filter((name) => name === 'evil'),
    [],
  );
});

test('an ipfs result is asked of the node, and case of names does not matter', async () => {
  server.add({
    method: 'GET',
    path: '/ipfs/bafy1.tar.gz',
    body: await archive([[{ name: 'stdout' }, 'hi\n']]),
  });
  const run = await get('ipfs-job', [{ Type: 'IPFS', Params: { cid: 'bafy1' } }]);
  assert.equal(run.code, 0, run.stderr);
  assert.match(run.stderr, /Downloaded ipfs:\/\/bafy1 \(\d+ B\)/);
  assert.equal(await readFile(join(directory, 'ipfs-job/job-ipfs-job/stdout'), 'utf8'), 'hi\n');
});

test('several results: streams one after another, other files must not collide', async () => {
  server.add({
    method: 'GET',
    path: '/one.tar.gz',
    body: await archive([
      [{ name: 'stdout' }, 'one\n'],
      [{ name: 'out/a' }, 'a'],
    ]),
  });
  server.add({
    method: 'GET',
    path: '/two.tar.gz',
    body: await archive([
      [{ name: 'stdout' }, 'two\n'],
      [{ name: 'out/b' }, 'b'],
    ]),
  });
  server.add({ method: 'GET', path: '/three.tar.gz', body: await archive([[{ name: 'out/a' }, 'other']]) });
  const both = await get('two-results', [urlResult('one'), urlResult('two')]);
  assert.equal(both.code, 0, both.stderr);
  const folder = join(directory, 'two-results/job-two-results');
  assert.equal(await readFile(join(folder, 'stdout'), 'utf8'), 'one\ntwo\n');
  assert.deepEqual((await readdir(join(folder, 'out'))).sort(), ['a', 'b']);
  const clash = await get('clash', [urlResult('one'), urlResult('three')]);
  assert.equal(clash.code, 1);
  assert.match(clash.stderr, /is there already/);
  const raw = await get('raw', [urlResult('one'), urlResult('three')], '--raw');
  assert.equal(raw.code, 0, raw.stderr);
  assert.deepEqual((await readdir(join(directory, 'raw/job-raw'))).sort(), ['one.tar.gz', 'three.tar.gz']);
});

test('a download that fails says why, and leaves no folder in the way', async () => {
  const gone = await get('gone', [urlResult('nowhere')]);
  assert.equal(gone.code, 1);
  assert.match(gone.stderr, /nowhere\.tar\.gz: The requested resource\/URL was not found/);
  assert.deepEqual(await readdir(join(directory, 'gone')), []);
  server.add({ method: 'GET', path: '/broken.tar.gz', body: Buffer.from('not gzip') });
  assert.equal((await get('broken', [urlResult('broken')])).code, 1);
  const unknown = await get('unknown', [{ Type: 'carrierPigeon', Params: {} }]);
  assert.match(unknown.stderr, /cannot download such results: .*carrierPigeon/);
  const file = await get('scheme', [{ Type: 'urlDownload', Params: { URL: 'file:///etc/passwd' } }]);
  assert.equal(file.code, 1);
});

test('a small module travels as it is, a larger one as a compressed archive', async () => {
  const magic = Buffer.from('\0asm\u0001\0\0\0', 'latin1');
  const small = join(directory, 'small.wasm');
  const large = join(directory, 'large.wasm');
  const content = Buffer.concat([magic, Buffer.alloc(600, 7)]);
  await writeFile(small, magic);
  await writeFile(large, content);
  const one = await inlineModule(small, 'main.wasm');
  assert.deepEqual(one.Source.Params, { URL: `data:application/wasm;base64,${magic.toString('base64')}` });
  const two = await inlineModule(large, 'main.wasm');
  const url = String(two.Source.Params?.['URL']);
  assert.ok(url.startsWith('data:application/gzip;base64,'));
  const tar = extract();
  tar.end(await promisify(gunzip)(Buffer.from(url.slice(url.indexOf(',') + 1), 'base64')));
  const names: string[] = [];
  const pieces: Buffer[] = [];
  for await (const entry of tar) {
    names.push(entry.header.name);
    for await (const piece of entry) pieces.push(piece as Buffer);
  }
  assert.deepEqual(names, ['large.wasm']);
  assert.deepEqual(Buffer.concat(pieces), content);
  assert.equal(
    String((await inlineModule(large, 'm')).Source.Params?.['URL']),
    url,
    'equal modules make equal jobs',
  );
  await writeFile(small, 'text');
  await assert.rejects(inlineModule(small, 'm'), /not a WebAssembly module/);
  await assert.rejects(inlineModule(join(directory, 'nope'), 'm'), /cannot read the module/);
});

test('job files: any case of keys, unknown and node-owned keys are errors, the older form is sent as it is', () => {
  const file = readJobFile(
    'name: x\ntype: batch\ntasks:\n- name: main\n  engine: {type: docker}\n  resources: {CPU: 0.5, Memory: 64MB}\n',
    'x.yaml',
  );
  assert.equal(file.kind, 'job');
  assert.ok(file.kind === 'job');
  assert.equal(file.job['Name'], 'x');
  assert.equal(file.job['Count'], 1);
  assert.deepEqual((file.job['Tasks'] as Record<string, unknown>[])[0]?.['Resources'], {
    CPU: '0.5',
    Memory: '64mb',
  });
  assert.throws(
    () => readJobFile('Tasks: []\nID: j-1\nLables: {}\n', 'x.yaml'),
    (thrown) => {
      assert.ok(thrown instanceof NodeError);
      assert.match(thrown.message, /"ID" is set by the node/);
      assert.match(thrown.message, /"Lables"; did you mean "Labels"/);
      return true;
    },
  );
  for (const text of [
    'APIVersion: V1beta1\nSpec: {Engine: Docker}\n',
    '{"job_spec_vm": {"image": "x"}, "engine": "docker"}',
  ]) {
    const spec = readJobFile(text, 'x');
    assert.ok(spec.kind === 'spec');
    assert.equal(spec.text, text);
    assert.equal(spec.contentType, text.startsWith('{') ? 'application/json' : 'application/yaml');
  }
  assert.throws(() => readJobFile('a: [', 'x'), /neither YAML nor JSON/);
  assert.throws(() => readJobFile('- a', 'x'), /expected a job/);
});

test('templates', () => {
  assert.equal(fillTemplate('Name: {{.name}}-{{ .n }}', { name: 'a', n: '1' }), 'Name: a-1');
  assert.throws(() => fillTemplate('{{.a}} {{.b}} {{.a}}', {}), /no value: a, b /);
});

test('config set writes what serve reads; comments stay; an alias of the key goes', async () => {
  const dataDir = join(directory, 'config-dir');
  await mkdir(dataDir);
  const path = join(dataDir, 'config.yaml');
  await writeFile(path, '# mine\nNode:\n  ServerAPI:\n    Port: 9 # old\nLabels:\n  a: b # keep\n');
  const set = (...argv: string[]): ReturnType<typeof cli> =>
    cli(['config', 'set', '--data-dir', dataDir, ...argv]);
  assert.equal((await set('api.port', '4321')).code, 0);
  assert.equal((await set('Engines.Disabled', 'docker', 'mock')).code, 0);
  const text = await readFile(path, 'utf8');
  assert.match(text, /# mine/);
  assert.match(text, /# keep/);
  const list = await cli(['config', 'list', '--data-dir', dataDir, '--output', 'json']);
  const rows = JSON.parse(list.stdout) as { key: string; text: string; origin: string }[];
  assert.equal(rows.find((row) => row.key === 'API.Port')?.text, '4321');
  assert.equal(rows.find((row) => row.key === 'Engines.Disabled')?.text, 'docker,mock');
  assert.equal((await set('API.Port')).code, 0);
  assert.doesNotMatch(await readFile(path, 'utf8'), /Port/);
  const wrong = await set('API.Prot', '1');
  assert.match(wrong.stderr, /did you mean "API\.Port"/);
  assert.match((await set('API.Port', 'many')).stderr, /not a whole number/);
});
