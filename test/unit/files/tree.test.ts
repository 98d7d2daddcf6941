import assert from 'node:assert/strict';
import { lstat, readFile, readlink, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { NodeError } from '../../../src/core/errors.ts';
import { type TreeLimits, TreeWriter } from '../../../src/files/tree.ts';
import { fingerprint, temporaryFolder } from '../../support/folders.ts';

async function* bytes(...chunks: string[]): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  for (const chunk of chunks) yield Buffer.from(chunk);
}

async function writer(
  t: TestContext,
  limits: Partial<TreeLimits> = {},
): Promise<{ root: string; parent: string; tree: TreeWriter }> {
  const parent = await temporaryFolder(t);
  const root = join(parent, 'root');
  const signal = new AbortController().signal;
  return { root, parent, tree: new TreeWriter(root, { maxBytes: 100, maxEntries: 50, signal, ...limits }) };
}

const code = (expected: string) => (thrown: unknown) =>
  thrown instanceof NodeError && thrown.code === expected;

test('names that leave the folder are refused', async (t) => {
  const { tree, parent } = await writer(t);
  for (const name of ['/etc/passwd', '../x', 'a/../../x', 'a/..', '..', 'a\0b', 'x'.repeat(5000)]) {
    await assert.rejects(tree.file(name, bytes('x')), code('InputInvalid'), name);
    await assert.rejects(tree.directory(name), code('InputInvalid'), name);
    await assert.rejects(tree.hardLink('ok', name), code('InputInvalid'), name);
  }
  await tree.finish();
  assert.deepEqual(Object.keys(await fingerprint(parent)), []);
});

test('links that leave the folder are refused, or left out where that is asked for', async (t) => {
  const { tree } = await writer(t);
  const outside: [name: string, target: string][] = [
    ['link', '/etc/passwd'],
    ['link', '..'],
    ['link', '../root/x'],
    ['a/link', '../../x'],
    // Through another link, "b/.." may be anywhere.
    ['link', 'b/../c'],
    ['', 'x'],
    ['link', ''],
  ];
  for (const [name, target] of outside) {
    assert.throws(() => tree.symbolicLink(name, target), code('InputInvalid'), `${name} -> ${target}`);
  }
  const lenient = await writer(t, { outsideLinks: 'omit' });
  lenient.tree.symbolicLink('link', '/etc/passwd');
  lenient.tree.symbolicLink('good', './x/y');
  await lenient.tree.finish();
  assert.deepEqual(Object.keys(await fingerprint(lenient.root)), ['good']);
});

test('nothing is written through a link', async (t) => {
  const { tree, root } = await writer(t);
  tree.symbolicLink('a/up', '..');
  await tree.file('a/up/file', bytes('x'));
  // The name is taken by a real folder now.
  await assert.rejects(tree.finish(), code('InputInvalid'));
  assert.ok((await lstat(join(root, 'a/up'))).isDirectory());
});

test('links inside are made, at the end', async (t) => {
  const { tree, root } = await writer(t);
  tree.symbolicLink('a/b/link', '../../x');
  await tree.file('x', bytes('he', 'llo'));
  await tree.finish();
  assert.equal(await readFile(join(root, 'a/b/link'), 'utf8'), 'hello');
  assert.equal(await readlink(join(root, 'a/b/link')), '../../x');
});

test('a second name shares the file; a later file of a name replaces it', async (t) => {
  const { tree, root } = await writer(t);
  await tree.file('x', bytes('one'));
  await tree.hardLink('y', 'x');
  await tree.file('x', bytes('two'));
  assert.equal(await readFile(join(root, 'x'), 'utf8'), 'two');
  assert.equal(await readFile(join(root, 'y'), 'utf8'), 'one');
  await assert.rejects(tree.hardLink('z', 'nothing'), code('InputInvalid'));
});

test('bytes of all files together are limited', async (t) => {
  const { tree } = await writer(t, { maxBytes: 10 });
  await tree.file('a', bytes('12345'));
  await tree.file('b', bytes('12345'));
  assert.equal(tree.bytes, 10);
  await assert.rejects(tree.file('c', bytes('1')), code('InputTooLarge'));
});

test('an endless file ends at the limit', async (t) => {
  const { tree } = await writer(t, { maxBytes: 1000 });
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) {
      await Promise.resolve();
      yield Buffer.alloc(64);
    }
  }
  await assert.rejects(tree.file('a', endless()), code('InputTooLarge'));
});

test('entries are limited, whatever they are', async (t) => {
  const { tree } = await writer(t, { maxEntries: 3 });
  await tree.directory('a');
  await tree.file('b', bytes());
  tree.symbolicLink('c', 'b');
  await assert.rejects(tree.directory('d'), code('InputTooLarge'));
});

test('the execute permission is kept, set-user-id is not', async (t) => {
  const { tree, root } = await writer(t);
  await tree.file('run', bytes('x'), true);
  await tree.file('data', bytes('x'));
  assert.equal((await stat(join(root, 'run'))).mode & 0o7777, 0o755);
  assert.equal((await stat(join(root, 'data'))).mode & 0o7777, 0o644);
});

test('a file in place of a folder is named', async (t) => {
  const { tree } = await writer(t);
  await tree.file('a', bytes('x'));
  await assert.rejects(tree.file('a/b', bytes('x')), code('InputInvalid'));
});

test('a link behind a link is refused: its target would be counted from elsewhere', async (t) => {
  const { tree, root } = await writer(t);
  tree.symbolicLink('x/b', '..');
  tree.symbolicLink('x/b/c', '../..');
  await assert.rejects(
    tree.finish(),
    (thrown: unknown) => thrown instanceof NodeError && /x\/b\/c lies behind x\/b/.test(thrown.message),
  );
  assert.equal(Object.keys(await fingerprint(root)).includes('c'), false);
});

test('property: whatever the names and targets, nothing appears outside', async (t) => {
  const part = fc.constantFrom('..', '.', '', 'a', 'b', 'c', '/', '...');
  const path = fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('/'));
  const entry = fc.record({
    kind: fc.constantFrom('file', 'directory', 'link', 'hard'),
    name: path,
    target: path,
  });
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { maxLength: 8 }), async (entries) => {
      const { tree, root, parent } = await writer(t);
      for (const { kind, name, target } of entries) {
        try {
          if (kind === 'file') await tree.file(name, bytes('x'));
          else if (kind === 'directory') await tree.directory(name);
          else if (kind === 'hard') await tree.hardLink(name, target);
          else tree.symbolicLink(name, target);
        } catch (thrown) {
          assert.ok(thrown instanceof NodeError, String(thrown));
        }
      }
      await tree.finish().catch((thrown: unknown) => assert.ok(thrown instanceof NodeError, String(thrown)));
      assert.ok(
        Object.keys(await fingerprint(parent)).every((name) => name === 'root' || name.startsWith('root/')),
      );
      for (const [name, what] of Object.entries(await fingerprint(root).catch(() => ({})))) {
        if (!what.startsWith('link ')) continue;
        // A dangling one leads nowhere.
        const real = await realpath(join(root, name)).catch(() => root);
        assert.ok(real === root || real.startsWith(`${root}/`), `${name} leads to ${real}`);
      }
    }),
    { numRuns: 150 },
  );
});
