import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Errno, Filetype, Rights } from '../../../../../src/engines/wasm/wasi/abi.ts';
import { wasiFunctions } from '../../../../../src/engines/wasm/wasi/bind.ts';
import { RunEnded } from '../../../../../src/engines/wasm/wasi/ending.ts';
import { BUFFER_AT, Guest, RESULT_AT, ROOT } from '../../../../support/wasi-guest.ts';

test('all functions of preview 1 are there', () => {
  const names = `args_get args_sizes_get environ_get environ_sizes_get clock_res_get clock_time_get fd_advise
    fd_allocate fd_close fd_datasync fd_fdstat_get fd_fdstat_set_flags fd_fdstat_set_rights fd_filestat_get
    fd_filestat_set_size fd_filestat_set_times fd_pread fd_prestat_get fd_prestat_dir_name fd_pwrite fd_read
    fd_readdir fd_renumber fd_seek fd_sync fd_tell fd_write path_create_directory path_filestat_get
    path_filestat_set_times path_link path_open path_readlink path_remove_directory path_rename path_symlink
    path_unlink_file poll_oneoff proc_exit proc_raise sched_yield random_get sock_accept sock_recv sock_send
    sock_shutdown`.split(/\s+/);
  assert.deepEqual([...wasiFunctions].sort(), names.sort());
});

describe('arguments and environment', () => {
  test('arguments in order, environment sorted, each ended by NUL', (t) => {
    const guest = new Guest(t, { args: ['prog', 'ä b'], env: { ZEBRA: '1', ALPHA: 'x=y' } });
    const strings = (get: string, sizes: string): string => {
      assert.equal(guest.call(sizes, RESULT_AT, RESULT_AT + 4), Errno.SUCCESS);
      const [count, bytes] = [guest.memory.getU32(RESULT_AT), guest.memory.getU32(RESULT_AT + 4)];
      assert.equal(guest.call(get, 64, BUFFER_AT), Errno.SUCCESS);
      assert.equal(guest.memory.getU32(64), BUFFER_AT);
      assert.equal(count, 2);
      return Buffer.from(guest.memory.bytes(BUFFER_AT, bytes)).toString();
    };
    assert.equal(strings('args_get', 'args_sizes_get'), 'prog\0ä b\0');
    assert.equal(strings('environ_get', 'environ_sizes_get'), 'ALPHA=x=y\0ZEBRA=1\0');
  });
});

describe('clocks and waiting', () => {
  const now = (guest: Guest, clock: number): bigint => {
    assert.equal(guest.call('clock_time_get', clock, 1n, RESULT_AT), Errno.SUCCESS);
    return guest.resultU64;
  };

  test('realtime is the date, monotonic moves on, CPU time starts at the run', (t) => {
    const guest = new Guest(t);
    const date = Number(now(guest, 0) / 1_000_000n);
    assert.ok(Math.abs(date - Date.now()) < 1000, `${date}`);
    const one = now(guest, 1);
    assert.ok(now(guest, 1) >= one);
    const cpu = now(guest, 2);
    assert.ok(cpu >= 0n && cpu < 5_000_000_000n, `${cpu}`);
    assert.ok(now(guest, 3) >= cpu);
    assert.equal(guest.call('clock_time_get', 9, 1n, RESULT_AT), Errno.INVAL);
    assert.equal(guest.call('clock_res_get', 1, RESULT_AT), Errno.SUCCESS);
    assert.ok(guest.resultU64 >= 1n);
  });

  interface Subscription {
    type: number;
    fd?: number;
    timeout?: bigint;
    absolute?: boolean;
    clock?: number;
  }
  const poll = (
    guest: Guest,
    subscriptions: Subscription[],
  ): { userdata: bigint; error: number; type: number }[] => {
    const { memory } = guest;
    subscriptions.forEach((subscription, index) => {
      const at = BUFFER_AT + index * 48;
      memory.bytes(at, 48).fill(0);
      memory.setU64(at, BigInt(index + 100));
      memory.setU8(at + 8, subscription.type);
      memory.setU32(at + 16, subscription.fd ?? subscription.clock ?? 0);
      memory.setU64(at + 24, subscription.timeout ?? 0n);
      memory.setU16(at + 40, subscription.absolute === true ? 1 : 0);
    });
    assert.equal(guest.call('poll_oneoff', BUFFER_AT, BUFFER_AT + 4096, subscriptions.length, RESULT_AT), 0);
    return Array.from({ length: guest.result }, (_, index) => {
      const at = BUFFER_AT + 4096 + index * 32;
      return { userdata: memory.getU64(at), error: memory.getU16(at + 8), type: memory.getU8(at + 10) };
    });
  };

  test('the soonest of two timeouts wakes, not before its time', (t) => {
    const guest = new Guest(t);
    const begin = process.hrtime.bigint();
    const events = poll(guest, [
      { type: 0, clock: 1, timeout: 10_000_000_000n },
      { type: 0, clock: 1, timeout: 30_000_000n },
    ]);
    assert.ok(process.hrtime.bigint() - begin >= 30_000_000n);
    assert.deepEqual(events, [{ userdata: 101n, error: 0, type: 0 }]);
  });

  test('an absolute time that has passed does not wait; unknown clocks are told', (t) => {
    const guest = new Guest(t);
    assert.deepEqual(poll(guest, [{ type: 0, clock: 0, timeout: 5n, absolute: true }]), [
      { userdata: 100n, error: 0, type: 0 },
    ]);
    assert.equal(poll(guest, [{ type: 0, clock: 7, timeout: 5n }])[0]?.error, Errno.INVAL);
  });

  test('streams and files are ready at once, and a timeout beside them is not waited for', (t) => {
    const guest = new Guest(t);
    const events = poll(guest, [
      { type: 0, clock: 1, timeout: 60_000_000_000n },
      { type: 2, fd: 1 },
      { type: 1, fd: 0 },
      { type: 1, fd: 77 },
      { type: 1, fd: ROOT },
    ]);
    assert.deepEqual(events, [
      { userdata: 101n, error: 0, type: 2 },
      { userdata: 102n, error: 0, type: 1 },
      { userdata: 103n, error: Errno.BADF, type: 1 },
      { userdata: 104n, error: Errno.BADF, type: 1 },
    ]);
    assert.equal(guest.call('poll_oneoff', BUFFER_AT, BUFFER_AT, 0, RESULT_AT), Errno.INVAL);
  });
});

describe('descriptors', () => {
  test('standard streams are neither terminals nor seekable', (t) => {
    const guest = new Guest(t);
    for (const fd of [0, 1, 2]) {
      assert.equal(guest.call('fd_fdstat_get', fd, BUFFER_AT), Errno.SUCCESS);
      assert.equal(guest.memory.getU8(BUFFER_AT), Filetype.UNKNOWN);
      assert.equal(guest.call('fd_seek', fd, 0n, 0, RESULT_AT), Errno.SPIPE);
    }
    assert.equal(guest.read(0), '');
    assert.equal(guest.read(1), Errno.BADF);
    assert.equal(guest.write(0, 'x'), Errno.BADF);
    assert.equal(guest.write(1, 'hello'), Errno.SUCCESS);
    assert.equal(guest.output, 'hello');
  });

  test('renumber moves a descriptor over another and frees its old number', (t) => {
    const guest = new Guest(t);
    const fd = guest.open('rw', { rights: 0n });
    assert.equal(guest.call('fd_renumber', fd, 0), Errno.SUCCESS);
    assert.equal(guest.call('fd_fdstat_get', fd, BUFFER_AT), Errno.BADF);
    assert.equal(guest.call('fd_fdstat_get', 0, BUFFER_AT), Errno.SUCCESS);
    assert.equal(guest.memory.getU8(BUFFER_AT), Filetype.DIRECTORY);
    assert.equal(guest.call('fd_renumber', 0, 99), Errno.BADF);
    assert.equal(guest.call('fd_renumber', 0, 0), Errno.SUCCESS);
    assert.equal(guest.open('rw', { rights: 0n }), fd);
  });

  test('rights can be given up, not taken, and bind what is opened through a folder', (t) => {
    const guest = new Guest(t);
    const { PATH_OPEN, FD_READ, FD_SEEK, FD_TELL } = Rights;
    const reader = BigInt(FD_READ | FD_SEEK | FD_TELL);
    assert.equal(guest.call('fd_fdstat_set_rights', ROOT, BigInt(PATH_OPEN), reader), Errno.SUCCESS);
    assert.equal(guest.call('fd_fdstat_set_rights', ROOT, BigInt(PATH_OPEN), 0x3fffffffn), Errno.NOTCAPABLE);
    assert.equal(guest.path('path_create_directory', 'rw/x'), Errno.NOTCAPABLE);
    assert.equal(guest.open('rw/x', { oflags: 1 }), -Errno.NOTCAPABLE);
    assert.equal(guest.stat('rw').errno, Errno.NOTCAPABLE);
  });

  test('sockets: none', (t) => {
    const guest = new Guest(t);
    assert.equal(guest.call('sock_shutdown', 1, 1), Errno.NOTSOCK);
    assert.equal(guest.call('sock_recv', 99, 0, 0, 0, 0, 0), Errno.BADF);
  });
});

describe('the end of the process', () => {
  test('exit ends the run with its code, once', (t) => {
    const guest = new Guest(t);
    assert.throws(() => guest.call('proc_exit', 3), RunEnded);
    assert.deepEqual(guest.host.ending, { kind: 'exit', code: 3 });
    assert.throws(() => guest.call('proc_exit', 4), RunEnded);
    assert.deepEqual(guest.host.ending, { kind: 'exit', code: 3 });
  });

  test('a signal ends the run as a shell would say it; harmless ones do nothing', (t) => {
    const guest = new Guest(t);
    assert.equal(guest.call('proc_raise', 17), Errno.SUCCESS);
    assert.equal(guest.call('proc_raise', 99), Errno.INVAL);
    assert.throws(() => guest.call('proc_raise', 6), RunEnded);
    assert.deepEqual(guest.host.ending, { kind: 'exit', code: 134 });
  });

  test('random bytes differ', (t) => {
    const guest = new Guest(t);
    assert.equal(guest.call('random_get', BUFFER_AT, 32), Errno.SUCCESS);
    const one = Buffer.from(guest.memory.bytes(BUFFER_AT, 32)).toString('hex');
    assert.equal(guest.call('random_get', BUFFER_AT, 32), Errno.SUCCESS);
    assert.notEqual(Buffer.from(guest.memory.bytes(BUFFER_AT, 32)).toString('hex'), one);
    assert.equal(guest.call('random_get', 60_000, 10_000), Errno.FAULT);
  });
});
