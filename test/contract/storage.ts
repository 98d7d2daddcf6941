import assert from 'node:assert/strict';
import { mkdir, readdir, stat } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { NodeError } from '../../src/core/errors.ts';
import type { InputSource } from '../../src/core/job.ts';
import type { PrepareContext, Storage } from '../../src/storages/storage.ts';
import { fingerprint, type Tree, temporaryFolder, writeTree } from '../support/folders.ts';

/** One storage under the suite. */
export interface StorageUnderTest {
  readonly storage: Storage;
  /** Puts the tree where the storage finds it. Answers the input, and where below `path` the tree then is. */
  offer(tree: Tree): Promise<InputSource>;
  /** An input that names nothing. */
  readonly missing: InputSource;
  /** What the node can hold: true where data counts as local before it was prepared. */
  readonly local: boolean;
  /** False where the data is used in place, so that no limit on fetched bytes applies. */
  readonly fetches: boolean;
  /** False where an input is one file. */
  readonly folders: boolean;
}

const signal = (): AbortSignal => new AbortController().signal;

/**
 * What holds for every storage. `factory` is called once a test; the test is skipped with the reason it returns
 * instead of a storage.
 */
export function storageContract(
  name: string,
  factory: (t: TestContext) => Promise<StorageUnderTest | { readonly skip: string }>,
): void {
  const test = (title: string, body: (t: TestContext, under: StorageUnderTest) => Promise<void>): void => {
    it(title, async (t) => {
      const under = await factory(t);
      if ('skip' in under) {
        console.log(`SKIPPED storage contract of ${name}: ${title}: ${under.skip}`);
        t.skip(under.skip);
        return;
      }
      await body(t, under);
    });
  };
  const contextIn = async (t: TestContext, parts: Partial<PrepareContext> = {}): Promise<PrepareContext> => {
    const directory = join(await temporaryFolder(t), 'inputs');
    await mkdir(directory);
    return { signal: signal(), directory, maxBytes: 10_000_000, ...parts };
  };
  const one: Tree = { 'file.txt': 'hello\n' };

  describe(`storage contract: ${name}`, () => {
    test('its type is lower case', async (_t, { storage }) => {
      assert.equal(storage.type, storage.type.toLowerCase());
    });

    test('brings data byte for byte, where the job wants it', async (t, under) => {
      const tree: Tree = under.folders
        ? { 'a.bin': Buffer.from([0, 255, 10, 13]), 'sub/b.txt': 'b', 'sub/deep/ü %.txt': '', empty: null }
        : { 'a.bin': Buffer.from([0, 255, 10, 13]) };
      const source = await temporaryFolder(t);
      await writeTree(source, tree);
      const input = await under.offer(tree);
      const context = await contextIn(t);
      const prepared = await under.storage.prepare(input, context);
      assert.equal(prepared.target, input.Target);
      assert.equal(prepared.alias, input.Alias);
      assert.equal(prepared.readOnly, true);
      assert.equal(resolve(prepared.path), prepared.path, 'the path is absolute');
      const expected = await fingerprint(source);
      const isFolder = (await stat(prepared.path)).isDirectory();
      if (isFolder) assert.deepEqual(await fingerprint(prepared.path), expected);
      else
        assert.deepEqual(
          Object.values(await fingerprint(resolve(prepared.path, '..'))),
          Object.values(expected),
        );
      if (under.fetches) {
        assert.ok(prepared.path.startsWith(context.directory + sep), 'it lies below the directory');
        assert.equal(prepared.bytes, under.folders ? 5 : 4);
      } else {
        assert.equal(prepared.bytes, 0);
        assert.deepEqual(await readdir(context.directory), []);
      }
    });

    test('two inputs in one directory keep apart', async (t, under) => {
      const input = await under.offer(one);
      const context = await contextIn(t);
      const [first, second] = await Promise.all([
        under.storage.prepare(input, context),
        under.storage.prepare(input, context),
      ]);
      if (under.fetches) assert.notEqual(first.path, second.path);
    });

    test('says what is local without fetching', async (_t, under) => {
      const input = await under.offer(one);
      assert.equal(await under.storage.hasLocally(input, signal()), under.local);
      const size = await under.storage.size(input, signal());
      assert.ok(size === undefined || size >= 0);
    });

    test('more bytes than allowed: InputTooLarge, and nothing is left', async (t, under) => {
      if (!under.fetches) return;
      const input = await under.offer({ 'big.bin': Buffer.alloc(200_000, 1) });
      const context = await contextIn(t, { maxBytes: 199_999 });
      await assert.rejects(under.storage.prepare(input, context), hasCode('InputTooLarge'));
      assert.deepEqual(await readdir(context.directory), []);
    });

    test('exactly the allowed bytes pass', async (t, under) => {
      if (!under.fetches) return;
      const input = await under.offer({ 'big.bin': Buffer.alloc(200_000, 1) });
      const prepared = await under.storage.prepare(input, await contextIn(t, { maxBytes: 200_000 }));
      assert.equal(prepared.bytes, 200_000);
    });

    test('what is missing is named by an error, and nothing is left', async (t, under) => {
      const context = await contextIn(t);
      await assert.rejects(under.storage.prepare(under.missing, context), (thrown) => {
        assert.ok(thrown instanceof NodeError, String(thrown));
        assert.ok(['InputInvalid', 'InputUnavailable', 'InputForbidden'].includes(thrown.code), thrown.code);
        return true;
      });
      assert.deepEqual(await readdir(context.directory), []);
    });

    test('parameters that are missing: InputInvalid', async (t, under) => {
      const input = { ...under.missing, Source: { Type: under.storage.type } };
      await assert.rejects(under.storage.prepare(input, await contextIn(t)), hasCode('InputInvalid'));
    });

    test('an abort before the start ends it, and nothing is left', async (t, under) => {
      const input = await under.offer(one);
      const context = await contextIn(t, { signal: AbortSignal.abort() });
      await assert.rejects(under.storage.prepare(input, context));
      assert.deepEqual(await readdir(context.directory), []);
    });
  });
}

function hasCode(code: string): (thrown: unknown) => boolean {
  return (thrown) => {
    assert.ok(thrown instanceof NodeError, String(thrown));
    assert.equal(thrown.code, code, thrown.message);
    return true;
  };
}
