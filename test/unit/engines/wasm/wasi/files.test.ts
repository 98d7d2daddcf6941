import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Errno, Fdflags, Filetype, Oflags, Rights } from '../../../../../src/engines/wasm/wasi/abi.ts';
import { ALL, BUFFER_AT, FOLDER, Guest, READ, RESULT_AT, ROOT } from '../../../../support/wasi-guest.ts';

const WRITE: bigint = READ | BigInt(Rights.FD_WRITE | Rights.FD_ALLOCATE | Rights.FD_FILESTAT_SET_SIZE);

describe('opening', () => {
  test('flags: create, exclusive, truncate, directory', (t) => {
    const guest = new Guest(t);
    assert.equal(guest.open('rw/new'), -Errno.NOENT);
    const made = guest.open('rw/new', { oflags: Oflags.CREAT | Oflags.EXCL, rights: WRITE });
    assert.equal(guest.write(made, 'content'), Errno.SUCCESS);
    assert.equal(guest.open('rw/new', { oflags: Oflags.CREAT | Oflags.EXCL, rights: WRITE }), -Errno.EXIST);
    assert.equal(guest.cat('rw/new'), 'content');
    assert.equal(guest.open('rw/new', { oflags: Oflags.DIRECTORY }), -Errno.NOTDIR);
    assert.equal(guest.open('rw/new/'), -Errno.NOTDIR);
    assert.ok(guest.open('rw/new', { oflags: Oflags.TRUNC, rights: WRITE }) > 0);
    assert.equal(guest.cat('rw/new'), '');
    assert.equal(guest.open('rw', { rights: WRITE }), -Errno.ISDIR);
    assert.equal(guest.open('rw/new', { oflags: 64 }), -Errno.INVAL);
    assert.equal(statSync(join(guest.folders.rw, 'new')).mode & 0o777, 0o644);
  });

  test('a read-only mount refuses every change', (t) => {
    const guest = new Guest(t);
    writeFileSync(join(guest.folders.ro, 'file'), 'kept');
    assert.equal(guest.open('ro/file', { rights: WRITE }), -Errno.ROFS);
    assert.equal(guest.open('ro/file', { oflags: Oflags.TRUNC }), -Errno.ROFS);
    assert.equal(guest.open('ro/new', { oflags: Oflags.CREAT }), -Errno.ROFS);
    assert.equal(guest.open('ro/absent', { rights: WRITE }), -Errno.NOENT);
    assert.equal(guest.path('path_unlink_file', 'ro/file'), Errno.ROFS);
    assert.equal(guest.path('path_create_directory', 'ro/new'), Errno.ROFS);
    assert.equal(
      guest.call('path_filestat_set_times', ROOT, 0, ...guest.text('ro/file'), 1n, 1n, 5),
      Errno.ROFS,
    );
    const fd = guest.open('ro/file', { oflags: Oflags.CREAT });
    assert.equal(guest.read(fd), 'kept');
    assert.equal(guest.write(fd, 'x'), Errno.BADF);
    assert.equal(guest.call('fd_filestat_set_size', fd, 0n), Errno.NOTCAPABLE);
    assert.equal(guest.call('fd_allocate', fd, 0n, 10n), Errno.NOTCAPABLE);
    assert.equal(guest.call('fd_filestat_set_times', fd, 1n, 1n, 5), Errno.NOTCAPABLE);
    assert.equal(readFileSync(join(guest.folders.ro, 'file'), 'utf8'), 'kept');
  });

  test('the root outside of mounts can be seen but not written', (t) => {
    const guest = new Guest(t);
    assert.deepEqual(
      guest.list(ROOT).map((entry) => entry.name),
      ['.', '..', 'ro', 'rw'],
    );
    assert.equal(guest.open('new', { oflags: Oflags.CREAT, rights: WRITE }), -Errno.ROFS);
    assert.equal(guest.path('path_create_directory', 'new'), Errno.ROFS);
    assert.equal(guest.path('path_remove_directory', 'rw'), Errno.BUSY);
    assert.equal(guest.rename('rw', 'other'), Errno.BUSY);
    assert.equal(guest.stat('.').type, Filetype.DIRECTORY);
    assert.equal(guest.stat('absent').errno, Errno.NOENT);
  });

  test('paths: empty, with NUL, not UTF-8, too long', (t) => {
    const guest = new Guest(t);
    assert.equal(guest.open(''), -Errno.NOENT);
    assert.equal(guest.open('rw/a\0b'), -Errno.INVAL);
    assert.equal(guest.open('a'.repeat(5000)), -Errno.NAMETOOLONG);
    assert.equal(guest.open(`rw/${'a'.repeat(300)}`), -Errno.NAMETOOLONG);
    guest.memory.set(BUFFER_AT, Uint8Array.from([0xff, 0xfe]));
    assert.equal(guest.path('path_unlink_file', ''), Errno.NOENT);
    assert.equal(guest.call('path_unlink_file', ROOT, BUFFER_AT, 2), Errno.ILSEQ);
    assert.equal(guest.call('path_unlink_file', ROOT, -4, 8), Errno.FAULT);
  });
});

describe('reading and writing', () => {
  test('whatever is written at whatever place is read back', (t) => {
    const guest = new Guest(t);
    const fd = guest.open('rw/file', { oflags: Oflags.CREAT, rights: ALL });
    const model = Buffer.alloc(2000);
    let size = 0;
    fc.assert(
      fc.property(fc.nat(1000), fc.string({ unit: 'grapheme-ascii', maxLength: 100 }), (position, text) => {
        assert.equal(guest.call('fd_seek', fd, BigInt(position), 0, RESULT_AT), Errno.SUCCESS);
        assert.equal(guest.write(fd, text), Errno.SUCCESS);
        model.write(text, position);
        if (text.length > 0) size = Math.max(size, position + text.length);
        assert.equal(guest.call('fd_seek', fd, 0n, 0, RESULT_AT), Errno.SUCCESS);
        assert.equal(guest.read(fd, 2000), model.subarray(0, size).toString());
        assert.equal(guest.quota.used, size);
      }),
      { numRuns: 200 },
    );
  });

  test('appending goes to the end, wherever the position is', (t) => {
    const guest = new Guest(t);
    const fd = guest.open('rw/log', { oflags: Oflags.CREAT, rights: ALL, fdflags: Fdflags.APPEND });
    guest.write(fd, 'one');
    guest.call('fd_seek', fd, 0n, 0, RESULT_AT);
    guest.write(fd, 'two');
    assert.equal(guest.cat('rw/log'), 'onetwo');
    assert.equal(guest.call('fd_fdstat_set_flags', fd, 0), Errno.SUCCESS);
    guest.call('fd_seek', fd, 0n, 0, RESULT_AT);
    guest.write(fd, 'ONE');
    assert.equal(guest.cat('rw/log'), 'ONEtwo');
    assert.equal(guest.call('fd_fdstat_set_flags', fd, 64), Errno.INVAL);
  });

  test('positions: from the start, from here, from the end; none before the start', (t) => {
    const guest = new Guest(t);
    const fd = guest.open('rw/file', { oflags: Oflags.CREAT, rights: ALL });
    guest.write(fd, '0123456789');
    const seek = (offset: bigint, whence: number): bigint | number => {
      const errno = guest.call('fd_seek', fd, offset, whence, RESULT_AT);
      return errno === 0 ? guest.resultU64 : errno;
    };
    assert.equal(seek(-3n, 2), 7n);
    assert.equal(seek(1n, 1), 8n);
    assert.equal(guest.read(fd), '89');
    assert.equal(seek(-1n, 0), Errno.INVAL);
    assert.equal(seek(0n, 7), Errno.INVAL);
    assert.equal(seek(1n << 62n, 0), Errno.INVAL);
    assert.equal(guest.call('fd_tell', fd, RESULT_AT), Errno.SUCCESS);
    assert.equal(guest.resultU64, 10n);
  });

  test('scattered buffers are filled in order; too many, or outside of memory, are refused', (t) => {
    const guest = new Guest(t);
    writeFileSync(join(guest.folders.ro, 'file'), 'abcdef');
    const fd = guest.open('ro/file');
    for (const [index, length] of [2, 0, 4].entries()) {
      guest.memory.setU32(16 + index * 8, BUFFER_AT + index * 10);
      guest.memory.setU32(20 + index * 8, length);
    }
    assert.equal(guest.call('fd_read', fd, 16, 3, RESULT_AT), Errno.SUCCESS);
    assert.equal(guest.result, 6);
    assert.equal(Buffer.from(guest.memory.bytes(BUFFER_AT, 2)).toString(), 'ab');
    assert.equal(Buffer.from(guest.memory.bytes(BUFFER_AT + 20, 4)).toString(), 'cdef');
    assert.equal(guest.call('fd_read', fd, 16, 2000, RESULT_AT), Errno.INVAL);
    guest.memory.setU32(20, 1 << 20);
    assert.equal(guest.call('fd_read', fd, 16, 1, RESULT_AT), Errno.FAULT);
  });

  test('sizes: allocate only grows, set_size cuts', (t) => {
    const guest = new Guest(t);
    const fd = guest.open('rw/file', { oflags: Oflags.CREAT, rights: ALL });
    guest.write(fd, '0123456789');
    assert.equal(guest.call('fd_allocate', fd, 0n, 5n), Errno.SUCCESS);
    assert.equal(guest.stat('rw/file').size, 10n);
    assert.equal(guest.call('fd_allocate', fd, 90n, 10n), Errno.SUCCESS);
    assert.equal(guest.stat('rw/file').size, 100n);
    assert.equal(guest.call('fd_allocate', fd, 0n, 0n), Errno.INVAL);
    assert.equal(guest.call('fd_filestat_set_size', fd, 4n), Errno.SUCCESS);
    assert.equal(guest.cat('rw/file'), '0123');
    assert.equal(guest.quota.used, 4);
    assert.equal(guest.call('fd_advise', fd, 0n, 0n, 3), Errno.SUCCESS);
    assert.equal(guest.call('fd_advise', fd, 0n, 0n, 9), Errno.INVAL);
    assert.equal(guest.call('fd_sync', fd), Errno.SUCCESS);
    assert.equal(guest.call('fd_datasync', fd), Errno.SUCCESS);
  });
});

describe('entries', () => {
  test('times are kept to the nanosecond and follow later writes', (t) => {
    const guest = new Guest(t);
    const fd = guest.open('rw/file', { oflags: Oflags.CREAT, rights: ALL });
    const asked = 1_600_000_000_123_456_789n;
    assert.equal(guest.call('fd_filestat_set_times', fd, asked, asked, 5), Errno.SUCCESS);
    assert.equal(guest.stat('rw/file').mtim, asked);
    assert.equal(guest.call('fd_filestat_set_times', fd, 0n, 0n, 3), Errno.INVAL);
    guest.write(fd, 'later');
    assert.ok(guest.stat('rw/file').mtim > asked);
  });

  test('a link can be read, renamed over and removed without touching what it points to', (t) => {
    const guest = new Guest(t);
    writeFileSync(join(guest.folders.rw, 'target'), 'kept');
    assert.equal(guest.symlink('target', 'rw/link'), Errno.SUCCESS);
    assert.equal(guest.call('path_readlink', ROOT, ...guest.text('rw/link'), BUFFER_AT, 3, RESULT_AT), 0);
    assert.equal(Buffer.from(guest.memory.bytes(BUFFER_AT, guest.result)).toString(), 'tar');
    assert.equal(guest.stat('rw/link', false).type, Filetype.SYMBOLIC_LINK);
    assert.equal(guest.stat('rw/link').type, Filetype.REGULAR_FILE);
    assert.equal(guest.open('rw/link', { follow: false }), -Errno.LOOP);
    assert.equal(guest.path('path_unlink_file', 'rw/link'), Errno.SUCCESS);
    assert.equal(guest.cat('rw/target'), 'kept');
  });

  test('a file is created through a link that dangles inside of the mount', (t) => {
    const guest = new Guest(t);
    symlinkSync('not-yet', join(guest.folders.rw, 'link'));
    const fd = guest.open('rw/link', { oflags: Oflags.CREAT, rights: WRITE });
    assert.ok(fd > 0);
    assert.deepEqual(readdirSync(guest.folders.rw).sort(), ['link', 'not-yet']);
  });

  test('a folder is listed whole, whatever the buffer, from any cookie', (t) => {
    const guest = new Guest(t);
    const names = Array.from({ length: 300 }, (_, index) => `name-${'x'.repeat(index % 40)}-${index}`);
    for (const name of names) writeFileSync(join(guest.folders.ro, name), '');
    mkdirSync(join(guest.folders.ro, 'folder'));
    const fd = guest.open('ro', { rights: FOLDER });
    const expected = ['.', '..', 'folder', ...names].sort();
    for (const size of [90, 100, 511, 4096, 32_768]) {
      const listed = guest.list(fd, size);
      assert.deepEqual(listed.map((entry) => entry.name).sort(), expected, `buffer of ${size}`);
    }
    const listed = guest.list(fd);
    const [one] = names;
    const found = listed.find((entry) => entry.name === one);
    assert.equal(found?.ino, guest.stat(`ro/${one}`).ino);
    assert.equal(listed.find((entry) => entry.name === 'folder')?.type, Filetype.DIRECTORY);
    // A cookie from the middle, after the end was reached: reading starts over and skips.
    const middle = listed[150];
    assert.equal(guest.call('fd_readdir', fd, BUFFER_AT, 4096, middle?.next ?? 0n, RESULT_AT), 0);
    const length = guest.memory.getU32(BUFFER_AT + 16);
    const next = Buffer.from(guest.memory.bytes(BUFFER_AT + 24, length)).toString();
    assert.equal(next, listed[151]?.name);
  });

  test('mounts inside of a mounted folder cover its entries', (t) => {
    const guest = new Guest(t, {
      mount: (tree, { ro, rw, outside }) => {
        mkdirSync(join(ro, 'deep/covered'), { recursive: true });
        writeFileSync(join(ro, 'deep/covered/hidden'), '');
        writeFileSync(join(ro, 'deep/beside'), 'beside');
        writeFileSync(join(outside, 'one'), 'a file alone');
        const readOnly = { readOnly: true, quota: undefined };
        tree.mount('/', { kind: 'directory', path: ro, mount: readOnly }, 'test');
        const writable = { readOnly: false, quota: undefined };
        tree.mount('/deep/covered', { kind: 'directory', path: rw, mount: writable }, 'test');
        tree.mount('/deep/one.txt', { kind: 'file', path: join(outside, 'one'), mount: readOnly }, 'test');
      },
    });
    assert.equal(guest.cat('deep/beside'), 'beside');
    assert.equal(guest.cat('deep/covered/hidden'), -Errno.NOENT);
    assert.equal(guest.cat('deep/one.txt'), 'a file alone');
    assert.equal(guest.open('deep/one.txt', { rights: WRITE }), -Errno.ROFS);
    assert.equal(guest.open('deep/one.txt/'), -Errno.NOTDIR);
    assert.ok(guest.open('deep/covered/new', { oflags: Oflags.CREAT, rights: WRITE }) > 0);
    const fd = guest.open('deep');
    assert.deepEqual(
      guest
        .list(guest.open('deep', { rights: FOLDER }))
        .map((entry) => entry.name)
        .sort(),
      ['.', '..', 'beside', 'covered', 'one.txt'],
    );
    assert.ok(fd > 0);
    assert.equal(guest.stat('deep/one.txt').size, 12n);
  });
});

describe('the quota of result paths', () => {
  test('what is removed, cut or replaced can be written again', (t) => {
    const guest = new Guest(t, { quota: 100 });
    const write = (path: string, text: string): void => {
      const fd = guest.open(path, { oflags: Oflags.CREAT | Oflags.TRUNC, rights: ALL });
      assert.equal(guest.write(fd, text), Errno.SUCCESS);
      guest.call('fd_close', fd);
    };
    for (let round = 0; round < 5; round++) {
      write('rw/a', 'x'.repeat(90));
      assert.equal(guest.quota.used, 90);
      assert.equal(guest.path('path_unlink_file', 'rw/a'), Errno.SUCCESS);
      assert.equal(guest.quota.used, 0);
    }
    write('rw/a', 'x'.repeat(40));
    write('rw/b', 'x'.repeat(40));
    assert.equal(guest.rename('rw/a', 'rw/b'), Errno.SUCCESS);
    assert.equal(guest.quota.used, 40);
    assert.equal(guest.link('rw/b', 'rw/c'), Errno.SUCCESS);
    assert.equal(guest.path('path_unlink_file', 'rw/b'), Errno.SUCCESS);
    assert.equal(guest.quota.used, 40);
  });

  test('a removed file that is still open keeps its bytes until it is closed', (t) => {
    const guest = new Guest(t, { quota: 100 });
    const fd = guest.open('rw/a', { oflags: Oflags.CREAT, rights: ALL });
    guest.write(fd, 'x'.repeat(50));
    guest.path('path_unlink_file', 'rw/a');
    assert.equal(guest.quota.used, 50);
    guest.call('fd_close', fd);
    assert.equal(guest.quota.used, 0);
  });

  test('one byte more ends the run, and it stays ended', (t) => {
    const guest = new Guest(t, { quota: 100 });
    const fd = guest.open('rw/a', { oflags: Oflags.CREAT, rights: ALL });
    assert.equal(guest.write(fd, 'x'.repeat(100)), Errno.SUCCESS);
    assert.throws(() => guest.write(fd, 'x'));
    assert.equal(guest.host.ending?.kind, 'failed');
    assert.throws(() => guest.call('sched_yield'));
    assert.equal(statSync(join(guest.folders.rw, 'a')).size, 100);
  });

  test('a sparse file counts what its size says', (t) => {
    const guest = new Guest(t, { quota: 100 });
    const fd = guest.open('rw/a', { oflags: Oflags.CREAT, rights: ALL });
    assert.throws(() => guest.call('fd_filestat_set_size', fd, 1n << 40n));
  });
});
