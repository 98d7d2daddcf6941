import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import type { Environment, Key, TableSpec } from '../../src/store/environment.ts';
import { compareKeys } from '../../src/store/keys.ts';

/** How the suite gets an environment; every call makes a new, empty one. */
export interface StoreFactory {
  open(role: 'compute' | 'requester'): Promise<Environment>;
  /** Removes what was made. */
  dispose(): Promise<void>;
}

/** Opens an environment for `use`, and closes it whatever happens. */
export async function withEnvironment(
  factory: StoreFactory,
  role: 'compute' | 'requester',
  use: (environment: Environment) => Promise<void>,
): Promise<void> {
  const environment = await factory.open(role);
  try {
    await use(environment);
  } finally {
    await environment.close();
  }
}

const rowsTable: TableSpec = { name: 'test-rows', encoding: 'msgpack' };
const bytesTable: TableSpec = { name: 'test-bytes', encoding: 'bytes' };

/** What every kind of environment must do. */
export function environmentContract(factory: () => StoreFactory): void {
  it('reads what was committed, in the order of the keys', () =>
    withEnvironment(factory(), 'compute', async (environment) => {
      const table = environment.table<string>(rowsTable);
      const keys: Key[] = [
        ['b', 2],
        'a',
        10,
        ['b', 10],
        -3,
        ['b'],
        2.5,
        ['b', 2, 'x'],
        'ä',
        '',
        '\u{1f600}',
        '\uff5e',
      ];
      environment.write((batch) => {
        for (const key of keys) if (key !== '') batch.put(table, key, JSON.stringify(key));
      });
      await environment.committed();
      const sorted = keys.filter((key) => key !== '').sort(compareKeys);
      assert.deepEqual(
        table.range().map((row) => row.value),
        sorted.map((key) => JSON.stringify(key)),
      );
      assert.deepEqual(
        table.range({ start: ['b', 2], end: ['b', 10] }).map((row) => row.value),
        ['["b",2]', '["b",2,"x"]'],
      );
      assert.deepEqual(table.keys({ start: ['b', 10], end: ['b', 2], reverse: true, limit: 1, offset: 1 }), [
        ['b', 2, 'x'],
      ]);
      assert.equal(table.count({ start: 'a' }), sorted.length - 3);
      assert.equal(table.size(), sorted.length);
      assert.equal(table.get('missing'), undefined);
      assert.equal(table.has(['b', 10]), true);
    }));

  it('keeps bytes as they are, empty ones too', () =>
    withEnvironment(factory(), 'compute', async (environment) => {
      const table = environment.table<Uint8Array>(bytesTable);
      environment.write((batch) => {
        batch.put(table, 'full', new Uint8Array([0, 255, 1]));
        batch.put(table, 'empty', new Uint8Array(0));
      });
      await environment.flushed();
      assert.deepEqual([...(table.get('full') ?? [])], [0, 255, 1]);
      assert.equal(table.has('empty'), true);
      assert.equal(table.get('empty')?.length, 0);
      assert.deepEqual(table.keys(), ['empty', 'full']);
    }));

  it('forgets the writes of a callback that throws, and refuses a key that is too long', () =>
    withEnvironment(factory(), 'compute', async (environment) => {
      const table = environment.table<number>(rowsTable);
      environment.write((batch) => batch.put(table, 'kept', 1));
      assert.throws(
        () =>
          environment.write((batch) => {
            batch.put(table, 'lost', 1);
            batch.remove(table, 'kept');
            batch.put(table, 'x'.repeat(3000), 1);
          }),
        { code: 'StoreFailed' },
      );
      await environment.committed();
      assert.deepEqual(table.keys(), ['kept']);
    }));

  it('applies writes of one turn in order, and stores a value as it was when it was put', () =>
    withEnvironment(factory(), 'compute', async (environment) => {
      const table = environment.table<{ n: number }>(rowsTable);
      const value = { n: 1 };
      environment.write((batch) => batch.put(table, 'a', value));
      value.n = 2;
      environment.write((batch) => {
        batch.put(table, 'b', { n: 1 });
        batch.remove(table, 'b');
        batch.remove(table, 'never was');
        batch.put(table, 'c', { n: 1 });
        batch.put(table, 'c', { n: 3 });
      });
      await environment.committed();
      assert.deepEqual(table.range(), [
        { key: 'a', value: { n: 1 } },
        { key: 'c', value: { n: 3 } },
      ]);
    }));

  it('runs beforeCommit hooks in the transaction', () =>
    withEnvironment(factory(), 'compute', async (environment) => {
      const table = environment.table<number>(rowsTable);
      let n = 0;
      environment.beforeCommit((batch) => {
        n += 1;
        batch.put(table, 'hook', n);
      });
      environment.write((batch) => batch.put(table, 'a', 1));
      await environment.committed();
      assert.equal(table.get('hook'), n);
      assert.ok(n > 0);
    }));

  it('agrees with a plain sorted array on any sequence of writes and any range', async () => {
    const key = fc.oneof(
      fc.integer({ min: -50, max: 50 }),
      fc.constantFrom('a', 'aa', 'b', '\u00e9', '\uffee', '\u{10000}', 'a b'),
      fc.tuple(fc.constantFrom('a', 'b'), fc.oneof(fc.nat(20), fc.constantFrom('x', 'yy'))),
    );
    const range = fc.record(
      {
        start: key,
        end: key,
        reverse: fc.boolean(),
        limit: fc.integer({ min: 1, max: 9 }),
        offset: fc.nat(3),
      },
      { requiredKeys: [] },
    );
    let run = 0;
    await withEnvironment(factory(), 'compute', (environment) =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.record({ key, put: fc.boolean() }), { maxLength: 120 }),
          fc.array(range, { minLength: 1, maxLength: 5 }),
          async (writes, ranges) => {
            run += 1;
            const table = environment.table<number>({ name: `p${run % 8}`, encoding: 'msgpack' });
            environment.write((batch) => {
              for (const old of table.keys()) batch.remove(table, old);
            });
            const model: Key[] = [];
            environment.write((batch) => {
              for (const write of writes) {
                const at = model.findIndex((other) => compareKeys(other, write.key) === 0);
                if (at >= 0) model.splice(at, 1);
                if (write.put) {
                  model.push(write.key);
                  batch.put(table, write.key, 1);
                } else batch.remove(table, write.key);
              }
            });
            await environment.committed();
            model.sort(compareKeys);
            assert.equal(table.size(), model.length);
            for (const options of ranges) {
              const down = options.reverse === true;
              const expected = (down ? model.toReversed() : model).filter((k) => {
                const fromStart = options.start === undefined ? 0 : compareKeys(k, options.start);
                const toEnd = options.end === undefined ? (down ? 1 : -1) : compareKeys(k, options.end);
                return down ? fromStart <= 0 && toEnd > 0 : fromStart >= 0 && toEnd < 0;
              });
              const offset = options.offset ?? 0;
              const page = expected.slice(offset, offset + (options.limit ?? expected.length));
              assert.deepEqual(table.keys(options), page, JSON.stringify(options));
            }
          },
        ),
        { numRuns: 60 },
      ),
    );
  });

  it('refuses everything after close', async () => {
    const environment = await factory().open('compute');
    const table = environment.table<number>(rowsTable);
    environment.write((batch) => batch.put(table, 'a', 1));
    await environment.close();
    await environment.close();
    assert.throws(() => environment.write((batch) => batch.put(table, 'a', 2)), { code: 'StoreFailed' });
  });
}
