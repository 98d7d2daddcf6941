import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { NodeError } from '../../../src/core/errors.ts';
import type { TableSpec } from '../../../src/store/environment.ts';
import { GroupCommit } from '../../../src/store/group-commit.ts';
import { openMemoryEnvironment } from '../../../src/store/memory-environment.ts';
import type { Operation } from '../../../src/store/recorder.ts';

const spec: TableSpec = { name: 'rows', encoding: 'msgpack' };
const table = openMemoryEnvironment().table<number>(spec);

interface Attempt {
  readonly keys: readonly unknown[];
  succeed(): void;
  fail(error: Error): void;
}

function group(): { commit: GroupCommit; attempts: Attempt[]; put: (key: string) => void } {
  const attempts: Attempt[] = [];
  const commit = new GroupCommit(
    (operations: readonly Operation[]) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      attempts.push({ keys: operations.map((operation) => operation.key), succeed: resolve, fail: reject });
      return promise;
    },
    async (error) => new NodeError('DiskFull', String(error)),
  );
  return { commit, attempts, put: (key) => commit.write((batch) => batch.put(table, key, 1)) };
}

describe('group commit', () => {
  it('makes one transaction of a turn, and one of all turns that pass while another is under way', async () => {
    const { commit, attempts, put } = group();
    put('a');
    await Promise.resolve();
    put('b');
    assert.equal(attempts.length, 0);
    await nextTurn();
    assert.deepEqual(attempts[0]?.keys, ['a', 'b']);
    const first = commit.done();
    put('c');
    await nextTurn();
    put('d');
    await nextTurn();
    const second = commit.done();
    assert.equal(attempts.length, 1);
    attempts[0]?.succeed();
    await first;
    put('e');
    await nextTurn();
    assert.deepEqual(attempts[1]?.keys, ['c', 'd', 'e']);
    attempts[1]?.succeed();
    await second;
    await commit.done();
  });

  it('lets what may wait go with others, or alone after a while', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { commit, attempts, put } = group();
    const later = (key: string): void => commit.writeLater((batch) => batch.put(table, key, 1));
    later('a');
    await nextTurn();
    assert.equal(attempts.length, 0);
    put('b');
    await nextTurn();
    assert.deepEqual(attempts[0]?.keys, ['a', 'b']);
    later('c');
    attempts[0]?.succeed();
    const done = commit.done();
    await nextTurn();
    assert.equal(attempts.length, 1);
    t.mock.timers.tick(5);
    assert.deepEqual(attempts[1]?.keys, ['c']);
    attempts[1]?.succeed();
    await done;
    later('d');
    const drained = commit.drain();
    attempts[2]?.succeed();
    await drained;
    t.mock.timers.tick(5);
    assert.equal(attempts.length, 3);
  });

  it('tells all waiters of a failure, keeps the writes and tries again in order', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { commit, attempts, put } = group();
    put('a');
    const first = commit.done();
    await nextTurn();
    put('b');
    const second = commit.done();
    attempts[0]?.fail(new Error('no room'));
    await assert.rejects(first, { code: 'DiskFull' });
    await assert.rejects(second, { code: 'DiskFull' });
    assert.equal(commit.failure()?.code, 'DiskFull');
    put('c');
    await nextTurn();
    assert.equal(attempts.length, 1, 'no attempt before its time');
    const third = commit.done();
    t.mock.timers.tick(1000);
    assert.deepEqual(attempts[1]?.keys, ['a', 'b', 'c']);
    attempts[1]?.succeed();
    await third;
    assert.equal(commit.failure(), undefined);
  });

  it('gives hooks their turn after a change that writes nothing itself', async () => {
    const { commit, attempts } = group();
    let left = 1;
    commit.beforeCommit((batch) => {
      if (left > 0) batch.put(table, 'hook', left);
      left -= 1;
    });
    commit.write(() => undefined);
    await nextTurn();
    assert.deepEqual(attempts[0]?.keys, ['hook']);
    attempts[0]?.succeed();
    await commit.done();
    commit.write(() => undefined);
    await commit.done();
    assert.equal(attempts.length, 1, 'nothing to write, nothing to wait for');
  });

  it('raises no unhandled rejection where nobody waits', async () => {
    const { commit, attempts, put } = group();
    const unhandled: unknown[] = [];
    const listener = (error: unknown): void => void unhandled.push(error);
    process.on('unhandledRejection', listener);
    put('a');
    void commit.done();
    await nextTurn();
    attempts[0]?.fail(new Error('no room'));
    await nextTurn();
    await nextTurn();
    process.off('unhandledRejection', listener);
    assert.deepEqual(unhandled, []);
    const drained = assert.rejects(commit.drain(), { code: 'DiskFull' });
    attempts[1]?.fail(new Error('still none'));
    await drained;
  });

  it('refuses writes when too much waits for a disk that refuses it', async () => {
    const { attempts, commit } = group();
    const big = { name: 'big', encoding: 'bytes' } as const;
    const bytes = openMemoryEnvironment().table<Uint8Array>(big);
    commit.write((batch) => batch.put(bytes, 'a', new Uint8Array(70 * 1024 * 1024)));
    await nextTurn();
    attempts[0]?.fail(new Error('no room'));
    await assert.rejects(commit.done(), { code: 'DiskFull' });
    await nextTurn();
    assert.throws(() => commit.write((batch) => batch.put(bytes, 'b', new Uint8Array(1))), {
      code: 'DiskFull',
    });
  });
});
