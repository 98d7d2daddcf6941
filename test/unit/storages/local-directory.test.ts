import assert from 'node:assert/strict';
import { mkdir, readdir, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { NodeError } from '../../../src/core/errors.ts';
import type { PreparedInput } from '../../../src/engines/engine.ts';
import { createLocalDirectoryStorage, parseAllowedPath } from '../../../src/storages/local-directory.ts';
import { temporaryFolder, writeTree } from '../../support/folders.ts';
import { inputSource } from '../../support/publishing.ts';

async function world(t: TestContext): Promise<{ root: string; secret: string }> {
  const root = await temporaryFolder(t);
  const secret = await temporaryFolder(t);
  await writeTree(root, { 'data/a.txt': 'a', 'data/sub/b.txt': 'b', 'other/c.txt': 'c' });
  await writeTree(secret, { 'key.pem': 'secret' });
  return { root, secret };
}

function prepare(allowList: string[], params: Record<string, unknown>): Promise<PreparedInput> {
  const context = { directory: '/nonexistent', maxBytes: 1, signal: new AbortController().signal };
  return createLocalDirectoryStorage({ allowList }).prepare(inputSource('localDirectory', params), context);
}

const code = (expected: string) => (thrown: unknown) => {
  assert.ok(thrown instanceof NodeError, String(thrown));
  assert.equal(thrown.code, expected, thrown.message);
  return true;
};

test('modes of the allow-list', () => {
  assert.deepEqual(parseAllowedPath('/a/**:rw'), { pattern: '/a/**', writable: true });
  assert.deepEqual(parseAllowedPath('/a:ro'), { pattern: '/a', writable: false });
  assert.deepEqual(parseAllowedPath('/a/'), { pattern: '/a', writable: false });
});

test('globs decide what is allowed', async (t) => {
  const { root } = await world(t);
  const cases: [pattern: string, path: string, allowed: boolean][] = [
    ['/data', '/data', true],
    ['/data', '/data/sub', false],
    ['/data/*', '/data/sub', true],
    ['/data/*', '/data/sub/b.txt', false],
    ['/data/**', '/data', true],
    ['/data/**', '/data/sub/b.txt', true],
    ['/data/**', '/other', false],
    ['/{data,other}/*.txt', '/other/c.txt', true],
    ['/data/**', '/data/../other', false],
    ['/data/**', '/data/sub/..', true],
  ];
  for (const [pattern, path, allowed] of cases) {
    const attempt = prepare([root + pattern], { SourcePath: root + path });
    if (allowed) await attempt;
    else await assert.rejects(attempt, code('InputForbidden'), `${pattern} ${path}`);
  }
  await assert.rejects(prepare([], { SourcePath: root }), code('InputForbidden'));
});

test('a link cannot leave the allow-list', async (t) => {
  const { root, secret } = await world(t);
  await symlink(secret, join(root, 'data/out'));
  await symlink(join(root, 'data/sub'), join(root, 'data/inside'));
  const allow = [`${root}/data/**:rw`];
  for (const path of ['out', 'out/key.pem']) {
    await assert.rejects(prepare(allow, { SourcePath: join(root, 'data', path) }), code('InputForbidden'));
  }
  const { path } = await prepare(allow, { SourcePath: join(root, 'data/inside') });
  assert.equal(path, join(root, 'data/sub'));
  await assert.rejects(
    prepare(allow, { SourcePath: join(root, 'data/out/new'), ReadWrite: true, CreateAs: 'dir' }),
    code('InputForbidden'),
  );
  assert.deepEqual(await readdir(secret), ['key.pem']);
});

test('an allow-list that itself goes through a link works', async (t) => {
  const { root } = await world(t);
  await symlink(join(root, 'data'), join(root, 'alias'));
  const { path } = await prepare([`${root}/alias/**`], { SourcePath: join(root, 'alias/sub') });
  assert.equal(path, join(root, 'data/sub'));
  assert.equal(
    (await prepare([`${root}/alias`], { SourcePath: join(root, 'alias') })).path,
    join(root, 'data'),
  );
  await assert.rejects(
    prepare([`${root}/alias/**`], { SourcePath: join(root, 'other') }),
    code('InputForbidden'),
  );
});

test('read-only unless the job asks and the list allows', async (t) => {
  const { root } = await world(t);
  const SourcePath = join(root, 'data');
  assert.equal((await prepare([`${SourcePath}:rw`], { SourcePath })).readOnly, true);
  assert.equal((await prepare([`${SourcePath}:rw`], { SourcePath, ReadWrite: true })).readOnly, false);
  await assert.rejects(prepare([SourcePath], { SourcePath, ReadWrite: true }), code('InputForbidden'));
  const both = [SourcePath, `${SourcePath}:rw`];
  assert.equal((await prepare(both, { SourcePath, ReadWrite: true })).readOnly, false);
});

test('CreateAs makes what is missing, for writable inputs only', async (t) => {
  const { root } = await world(t);
  const allow = [`${root}/data/**:rw`];
  const at = (name: string): string => join(root, 'data', name);
  await prepare(allow, { SourcePath: at('new'), ReadWrite: true, CreateAs: 'dir' });
  assert.ok((await stat(at('new'))).isDirectory());
  await prepare(allow, { SourcePath: at('new.log'), ReadWrite: true, CreateAs: 'infer' });
  assert.ok((await stat(at('new.log'))).isFile());
  for (const params of [{ CreateAs: 'dir' }, { ReadWrite: true, CreateAs: 'noop' }, { ReadWrite: true }]) {
    await assert.rejects(prepare(allow, { SourcePath: at('none'), ...params }), code('InputUnavailable'));
  }
});

test('what is neither file nor folder, or not absolute, is refused', async (t) => {
  await assert.rejects(prepare(['/dev/**'], { SourcePath: '/dev/null' }), code('InputInvalid'));
  await assert.rejects(prepare(['**'], { SourcePath: 'relative' }), code('InputInvalid'));
  const root = await temporaryFolder(t);
  await mkdir(join(root, 'x'));
  const storage = createLocalDirectoryStorage({ allowList: [`${root}/**`] });
  const has = (path: string): Promise<boolean> =>
    storage.hasLocally(inputSource('localDirectory', { SourcePath: path }), new AbortController().signal);
  assert.deepEqual(
    [await has(join(root, 'x')), await has(join(root, 'y')), await has('/etc')],
    [true, false, false],
  );
});
