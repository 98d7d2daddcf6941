import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type Header, pack } from 'tar-stream';
import { NodeError } from '../../../src/core/errors.ts';
import { packDirectory } from '../../../src/files/pack.ts';
import { ArchiveCut, untar, untarGzip } from '../../../src/files/untar.ts';
import { fingerprint, temporaryFolder, writeTree } from '../../support/folders.ts';

type Entry = [Partial<Header> & Pick<Header, 'name'>, string?];

async function archive(...entries: Entry[]): Promise<Buffer> {
  const tar = pack();
  for (const [header, content] of entries) tar.entry(header, content ?? '');
  tar.finalize();
  return buffer(tar as AsyncIterable<unknown> as AsyncIterable<Uint8Array>);
}

const limits = { maxBytes: 1_000_000, maxEntries: 100, signal: new AbortController().signal };
const code = (expected: string) => (thrown: unknown) =>
  thrown instanceof NodeError && thrown.code === expected;

async function unpack(t: TestContext, tar: Uint8Array): Promise<{ root: string; parent: string }> {
  const parent = await temporaryFolder(t);
  const root = join(parent, 'root');
  await untar(Readable.from([tar]), root, limits);
  return { root, parent };
}

const escapes: Record<string, Entry[]> = {
  'an absolute name': [[{ name: '/etc/x' }, 'x']],
  'a climbing name': [[{ name: '../x' }, 'x']],
  'a climbing folder': [[{ name: 'a/../../b/', type: 'directory' }]],
  'an absolute link': [[{ name: 'l', type: 'symlink', linkname: '/etc' }]],
  'a climbing link': [[{ name: 'l', type: 'symlink', linkname: '../..' }]],
  'a hard link to a host file': [[{ name: 'l', type: 'link', linkname: '/etc/passwd' }]],
  'a hard link that climbs': [[{ name: 'l', type: 'link', linkname: '../../etc/passwd' }]],
  'a write through a link': [[{ name: 'l', type: 'symlink', linkname: '/tmp' }], [{ name: 'l/x' }, 'x']],
  'a write through two links': [
    [{ name: 'a/b/up', type: 'symlink', linkname: '../..' }],
    [{ name: 'out', type: 'symlink', linkname: 'a/b/up/..' }],
    [{ name: 'out/x' }, 'x'],
  ],
  'a device': [[{ name: 'd', type: 'character-device', devmajor: 1, devminor: 3 }]],
  'a pipe': [[{ name: 'p', type: 'fifo' }]],
};

for (const [title, entries] of Object.entries(escapes)) {
  test(`${title} is refused and writes nothing outside`, async (t) => {
    const parent = await temporaryFolder(t);
    await assert.rejects(
      untar(Readable.from([await archive(...entries)]), join(parent, 'root'), limits),
      code('InputInvalid'),
    );
    const found = Object.keys(await fingerprint(parent));
    assert.ok(found.every((name) => name === 'root' || name.startsWith('root/')));
  });
}

test('what is packed comes out again', async (t) => {
  const source = await temporaryFolder(t);
  await writeTree(source, {
    'a/b/c.txt': 'c',
    'a/empty': null,
    'a/none.txt': '',
    [`long/${'n'.repeat(120)}/${'m'.repeat(150)}.txt`]: 'long names need an extended header',
    'ü/€.bin': Buffer.alloc(300_000, 3),
    link: { link: 'a/b' },
  });
  const tar = packDirectory(source, limits.signal);
  const { root } = await unpack(t, await buffer(tar as AsyncIterable<unknown> as AsyncIterable<Uint8Array>));
  assert.deepEqual(await fingerprint(root), await fingerprint(source));
});

test('folders come before what is in them', async (t) => {
  const source = await temporaryFolder(t);
  await writeTree(source, { 'z.txt': '', 'a/x': 'x', 'a-b': '', 'a/b/c': '' });
  const tar = packDirectory(source, limits.signal);
  const bytes = await buffer(tar as AsyncIterable<unknown> as AsyncIterable<Uint8Array>);
  const order: string[] = [];
  await untar(Readable.from([bytes]), join(source, 'copy'), limits, (name) => {
    order.push(name);
    return name;
  });
  assert.deepEqual(
    order.map((name) => name.replace(/\/$/, '')),
    ['a', 'a/b', 'a/b/c', 'a/x', 'a-b', 'z.txt'],
  );
});

test('an archive that unfolds to more than is allowed ends there', async (t) => {
  const root = join(await temporaryFolder(t), 'root');
  const bomb = gzipSync(await archive([{ name: 'zeros' }, '\0'.repeat(2_000_000)]));
  await assert.rejects(untarGzip(Readable.from([bomb]), root, limits), code('InputTooLarge'));
});

test('an archive of nothing but headers ends at the limit of entries', async (t) => {
  const root = join(await temporaryFolder(t), 'root');
  const many = Array.from({ length: 200 }, (_, index): Entry => [{ name: `d${index}/`, type: 'directory' }]);
  await assert.rejects(
    untarGzip(Readable.from([gzipSync(await archive(...many))]), root, limits),
    code('InputTooLarge'),
  );
});

test('what is no archive is named', async (t) => {
  const root = join(await temporaryFolder(t), 'root');
  const whole = gzipSync(await archive([{ name: 'a' }, 'x'.repeat(5000)]));
  for (const bytes of [Buffer.from('not gzip'), gzipSync('not a tar, '.repeat(100)), whole.subarray(0, 60)]) {
    await assert.rejects(untarGzip(Readable.from([bytes]), root, limits), code('InputInvalid'));
  }
});

test('an abort in the middle ends it', async (t) => {
  const root = join(await temporaryFolder(t), 'root');
  const controller = new AbortController();
  async function* slow(): AsyncGenerator<Uint8Array> {
    const tar = await archive([{ name: 'a' }, 'x'.repeat(5000)]);
    yield tar.subarray(0, 1000);
    controller.abort(new Error('stopped'));
    yield tar.subarray(1000);
  }
  await assert.rejects(untar(slow(), root, { ...limits, signal: controller.signal }), /stopped/);
});

test('an archive that is cut is told from a whole one', async (t) => {
  const bytes = await archive([{ name: 'a' }, 'x'.repeat(1500)], [{ name: 'b' }, 'x']);
  const folder = await temporaryFolder(t);
  let count = 0;
  const unpacked = (length: number) => {
    count += 1;
    return untar(Readable.from([bytes.subarray(0, length)]), join(folder, String(count)), limits);
  };
  assert.deepEqual(await unpacked(bytes.length), { bytes: 1501, whole: true });
  for (const between of [2048, 3072, 3584]) assert.equal((await unpacked(between)).whole, false);
  for (const within of [300, 512, 1000, 2047, 2100, 2560, 4095]) {
    await assert.rejects(unpacked(within), (thrown) => thrown instanceof ArchiveCut, String(within));
  }
});
