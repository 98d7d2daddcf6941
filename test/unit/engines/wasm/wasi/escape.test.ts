import assert from 'node:assert/strict';
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { Errno, Oflags } from '../../../../../src/engines/wasm/wasi/abi.ts';
import { ALL, FOLDER, Guest, ROOT } from '../../../../support/wasi-guest.ts';

const SECRET = 'the host alone may know this';

/** All entries below a folder, links not followed. */
function entriesOf(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? [path, ...entriesOf(path)] : [path];
    })
    .sort();
}

/** A guest whose folders are full of ways out. */
function trapped(t: ConstructorParameters<typeof Guest>[0]): Guest {
  const guest = new Guest(t);
  const { ro, rw, outside } = guest.folders;
  writeFileSync(join(outside, 'secret'), SECRET);
  writeFileSync(join(guest.folders.base, 'secret'), SECRET);
  for (const folder of [ro, rw]) {
    mkdirSync(join(folder, 'a/b/c'), { recursive: true });
    writeFileSync(join(folder, 'a/plain'), 'plain');
    symlinkSync('../../outside', join(folder, 'a/up'));
    symlinkSync('../outside', join(folder, 'up'));
    symlinkSync('..', join(folder, 'parent'));
    symlinkSync('a/b/../../..', join(folder, 'long'));
    symlinkSync(outside, join(folder, 'absolute'));
    symlinkSync('/', join(folder, 'slash'));
    symlinkSync('../outside/secret', join(folder, 'file'));
    symlinkSync('up', join(folder, 'chain'));
    symlinkSync('a/b', join(folder, 'inner'));
    symlinkSync('loop', join(folder, 'loop'));
    symlinkSync('/proc/self/root', join(folder, 'proc'));
  }
  return guest;
}

const part = fc.constantFrom(
  '..',
  '.',
  '',
  'a',
  'b',
  'c',
  'up',
  'parent',
  'long',
  'absolute',
  'slash',
  'file',
  'chain',
  'inner',
  'loop',
  'proc',
  'secret',
  'outside',
  'ro',
  'rw',
  'plain',
  'etc',
  'passwd',
  'new',
);
const path = fc
  .tuple(fc.constantFrom('ro/', 'rw/', '', '/', 'rw/a/b/', 'ro/inner/'), fc.array(part, { maxLength: 8 }))
  .map(([start, parts]) => start + parts.join('/'));

test('no path, whatever dots and links are in it, reads a file outside of the mounts', (t) => {
  const guest = trapped(t);
  fc.assert(
    fc.property(path, fc.boolean(), (candidate, follow) => {
      const fd = guest.open(candidate, { follow });
      if (fd < 0) return;
      const text = guest.read(fd);
      assert.notEqual(text, SECRET, candidate);
      if (typeof text === 'number') {
        assert.equal(text, Errno.ISDIR);
        const names = guest.list(fd).map((entry) => entry.name);
        assert.ok(!names.includes('secret'), `${candidate} lists a folder of the host`);
      } else {
        assert.equal(text, 'plain', candidate);
      }
      guest.call('fd_close', fd);
    }),
    { numRuns: 2000 },
  );
});

test('no call changes anything outside of the writable mount', (t) => {
  const guest = trapped(t);
  const { base, ro, outside } = guest.folders;
  const outsideBefore = readdirSync(base).sort();
  const roBefore = entriesOf(ro);
  const times = statSync(join(ro, 'a/plain')).mtimeMs;
  fc.assert(
    fc.property(path, path, fc.nat(7), (one, two, what) => {
      switch (what) {
        case 0: {
          const fd = guest.open(one, { oflags: Oflags.CREAT | Oflags.TRUNC, rights: ALL });
          if (fd >= 0) {
            guest.write(fd, 'written');
            guest.call('fd_close', fd);
          }
          break;
        }
        case 1:
          guest.path('path_create_directory', one);
          break;
        case 2:
          guest.rename(one, two);
          break;
        case 3:
          guest.link(one, two, true);
          break;
        case 4:
          guest.symlink(one, two);
          break;
        case 5:
          guest.path('path_unlink_file', one);
          break;
        case 6:
          guest.path('path_remove_directory', one);
          break;
        default:
          guest.call('path_filestat_set_times', ROOT, 1, ...guest.text(one), 1n, 1n, 5);
      }
    }),
    { numRuns: 3000 },
  );
  assert.equal(readFileSync(join(outside, 'secret'), 'utf8'), SECRET);
  assert.deepEqual(readdirSync(outside), ['secret']);
  assert.equal(readFileSync(join(base, 'secret'), 'utf8'), SECRET);
  assert.deepEqual(readdirSync(base).sort(), outsideBefore);
  assert.deepEqual(entriesOf(ro), roBefore);
  assert.equal(readFileSync(join(ro, 'a/plain'), 'utf8'), 'plain');
  assert.equal(statSync(join(ro, 'a/plain')).mtimeMs, times);
  assert.equal(statSync(join(ro, 'a/plain')).nlink, 1);
});

test('links inside of a mount are followed; those that leave it, or are absolute, are refused', (t) => {
  const guest = trapped(t);
  assert.equal(guest.cat('ro/inner/../plain'), 'plain');
  for (const way of [
    'ro/file',
    'ro/up/secret',
    'ro/chain/secret',
    'ro/absolute/secret',
    'ro/proc/etc/passwd',
  ]) {
    assert.equal(guest.cat(way), -Errno.PERM, way);
  }
  assert.equal(guest.cat('ro/loop'), -Errno.LOOP);
  assert.equal(guest.cat('ro/a/up/secret'), -Errno.PERM);
  assert.equal(guest.cat('../outside/secret'), -Errno.PERM);
  assert.equal(guest.cat('ro/../../outside/secret'), -Errno.PERM);
  assert.equal(guest.cat('/etc/passwd'), -Errno.PERM);
});

test('a link that climbs out cannot be made, one that stays inside can', (t) => {
  const guest = trapped(t);
  assert.equal(guest.symlink('/etc/passwd', 'rw/one'), Errno.PERM);
  assert.equal(guest.symlink('../x', 'rw/one'), Errno.PERM);
  assert.equal(guest.symlink('../../x', 'rw/a/one'), Errno.PERM);
  assert.equal(guest.symlink('../plain', 'rw/a/b/one'), Errno.SUCCESS);
  assert.equal(guest.cat('rw/a/b/one'), 'plain');
  assert.equal(guest.symlink('x', 'ro/one'), Errno.ROFS);
});

test('a descriptor of a folder gives no way above that folder', (t) => {
  const guest = trapped(t);
  const dir = guest.open('rw/a/b', { rights: FOLDER, oflags: Oflags.DIRECTORY });
  assert.ok(dir > ROOT);
  assert.equal(guest.open('../plain', { dir }), -Errno.PERM);
  assert.ok(guest.open('c/..', { dir }) > 0);
  assert.equal(guest.open('/rw/a/plain', { dir }), -Errno.PERM);
});

test('a folder that is moved while it is open stays the folder it was', (t) => {
  const guest = trapped(t);
  const dir = guest.open('rw/a/b', { rights: FOLDER, oflags: Oflags.DIRECTORY });
  assert.equal(guest.rename('rw/a/b', 'rw/moved'), Errno.SUCCESS);
  assert.equal(guest.path('path_create_directory', 'inside', dir), Errno.SUCCESS);
  assert.ok(existsSync(join(guest.folders.rw, 'moved/inside')));
});

test('a read-only mount is not reached through a hard link made in a writable one', (t) => {
  const guest = trapped(t);
  assert.equal(guest.link('ro/a/plain', 'rw/plain'), Errno.XDEV);
  assert.equal(guest.rename('ro/a/plain', 'rw/plain'), Errno.ROFS);
  assert.equal(guest.rename('rw/a/plain', 'ro/new'), Errno.ROFS);
  // One that the host made is the same file, and this name of it may not be written.
  linkSync(join(guest.folders.rw, 'a/plain'), join(guest.folders.ro, 'linked'));
  assert.equal(guest.open('ro/linked', { rights: ALL }), -Errno.ROFS);
});

test('a FIFO of the host neither blocks nor opens', (t) => {
  const guest = trapped(t);
  process.getBuiltinModule('node:child_process').execFileSync('mkfifo', [join(guest.folders.ro, 'fifo')]);
  assert.equal(guest.open('ro/fifo'), -Errno.ACCES);
});

test('descriptors of a run are bounded', (t) => {
  const guest = trapped(t);
  let last = 0;
  for (let count = 0; count < 600 && last >= 0; count++) last = guest.open('ro/a/plain');
  assert.equal(last, -Errno.MFILE);
});

test('a path that goes deep holds few folders of the node open', (t) => {
  const guest = trapped(t);
  const deep = `${'d/'.repeat(300)}end`;
  mkdirSync(join(guest.folders.rw, deep), { recursive: true });
  assert.equal(guest.stat(`rw/${deep}`).errno, Errno.NAMETOOLONG);
  assert.equal(guest.stat(`rw/${'d/../'.repeat(300)}a/plain`).errno, Errno.SUCCESS);
});
