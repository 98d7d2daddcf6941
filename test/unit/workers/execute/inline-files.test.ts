import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { NodeError } from '../../../../src/core/errors.ts';
import type { RunRequest } from '../../../../src/engines/engine.ts';
import { InlineFiles } from '../../../../src/workers/execute/inline-files.ts';
import { wasmRequest } from '../../../support/wasm-run.ts';
import { wat } from '../../../support/wat.ts';

const dataUrl = (content: Uint8Array | string): string =>
  `data:application/octet-stream;base64,${Buffer.from(content).toString('base64')}`;

/** A request for a job with these inline inputs. */
async function request(t: TestContext, contents: readonly (Uint8Array | string)[]): Promise<RunRequest> {
  const InputSources = contents.map((content, index) => ({
    Source: { Type: 'inline', Params: { URL: dataUrl(content) } },
    Alias: `a${index}`,
    Target: `/in/${index}`,
  }));
  return wasmRequest(t, { module: new Uint8Array(), task: { InputSources } });
}

test('inputs are decoded, and a module that comes again is the same bytes', async (t) => {
  const files = new InlineFiles();
  const module = await wat('(module)');
  const asked = await request(t, ['text', module, '']);
  const [text, first, empty] = files.of(asked);
  assert.equal(Buffer.from(text?.content ?? []).toString(), 'text');
  assert.equal(empty?.content.length, 0);
  assert.deepEqual(Buffer.from(first?.content ?? []), Buffer.from(module));
  const { directory } = asked.placement;
  assert.deepEqual(
    { path: first?.path, target: first?.target, alias: first?.alias, readOnly: first?.readOnly },
    { path: join(directory, 'inputs', '1', 'content'), target: '/in/1', alias: 'a1', readOnly: true },
  );
  const other = await request(t, [module, 'text']);
  const [again, textAgain] = files.of(other);
  assert.equal(again?.content, first?.content);
  assert.notEqual(textAgain?.content, text?.content);
  assert.deepEqual([again?.target, again?.alias], ['/in/0', 'a0']);
  assert.equal(again?.path, join(other.placement.directory, 'inputs', '0', 'content'));
});

test('the least lately used modules go first, and one that is too large at once', async (t) => {
  const files = new InlineFiles({ keptBytes: 500 });
  const modules = await Promise.all(
    [60, 60, 60, 2000].map((bytes, index) =>
      wat(`(module (memory 1) (data "${String(index).repeat(bytes)}"))`),
    ),
  );
  const read = async (index: number): Promise<unknown> =>
    files.of(await request(t, [modules[index] ?? '']))[0]?.content;
  const [zero, one] = [await read(0), await read(1)];
  assert.equal(await read(0), zero);
  await read(2);
  assert.equal(await read(0), zero, 'used lately, kept');
  assert.notEqual(await read(1), one, 'not used lately, gone');
  await read(0);
  const large = await read(3);
  assert.notEqual(await read(3), large);
  assert.equal(await read(0), zero, 'what is not kept at all puts nothing out');
});

test('together they are within what the job may write, also those that are kept', async (t) => {
  const files = new InlineFiles();
  const module = await wat('(module)');
  files.of(await request(t, [module]));
  const asked = { ...(await request(t, [module, 'x'])), maxResultBytes: module.length };
  assert.throws(
    () => files.of(asked),
    (error) => error instanceof NodeError && error.code === 'InputTooLarge',
  );
});
