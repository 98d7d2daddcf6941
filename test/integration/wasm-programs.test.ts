import assert from 'node:assert/strict';
import { mkdtemp, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run, servicesForbidden, which } from '../support/services/service.ts';
import { goProgram } from '../support/wasm-go.ts';
import {
  builtProgram,
  resultFile,
  runWasm,
  type WasmRun,
  wasmRequest,
  withInput,
} from '../support/wasm-run.ts';

const sources = fileURLToPath(new URL('../support/wasm/', import.meta.url));

function skip(t: TestContext, reason: string): void {
  console.log(`SKIPPED ${t.name}: ${reason}`);
  t.skip(reason);
}

async function temporary(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bacalhau-programs-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Links that were planted in an input, as an archive from a stranger can have them. */
const PLANTED = {
  absolute: { link: '/etc/passwd' },
  climbing: { link: '../../../../../../../etc/passwd' },
  folder: { link: '/etc' },
};

async function checkFilesProgram(t: TestContext, module: Uint8Array): Promise<void> {
  const request = await withInput(
    await wasmRequest(t, { module, results: [{ Name: 'outputs', Path: '/outputs' }] }),
    { target: '/inputs', files: { 'text.txt': 'what the job reads\n', ...PLANTED } },
  );
  const result = await runWasm(request);
  assert.equal(result.ExitCode, 3, result.Stdout + result.stderr + result.ErrorMsg);
  assert.equal(result.stderr, "main.wasm: 0 of the host's files reached\n");
  assert.doesNotMatch(result.Stdout, /REACHED/);
  assert.match(result.Stdout, /refused \/inputs\/text\.txt: Read-only file system/);
  assert.equal(await resultFile(request, 'exitCode'), '3');
  assert.equal(await resultFile(request, 'outputs/capitals.txt'), 'WHAT THE JOB READS\n');
  assert.deepEqual(await readdir(join(request.resultsDirectory, 'outputs')), ['capitals.txt']);
  const source = request.inputs[1]?.path ?? '';
  assert.equal(await readFile(join(source, 'text.txt'), 'utf8'), 'what the job reads\n');
  assert.equal((await stat(join(source, 'text.txt'))).nlink, 1);
}

test('a C program reads an input, writes an output, exits with 3 and reaches no file of the host', async (t) => {
  await checkFilesProgram(t, await builtProgram('files'));
});

test('the same C program, built from its source here', async (t) => {
  const clang =
    process.env['BACALHAU_TEST_CLANG'] ?? (servicesForbidden() ? undefined : await which('clang'));
  if (clang === undefined) return skip(t, 'no clang (BACALHAU_TEST_CLANG); the built program was tested');
  const built = join(await temporary(t), 'files.wasm');
  const compiled = await run(clang, ['--target=wasm32-wasi', '-O1', join(sources, 'files.c'), '-o', built]);
  if (compiled.code !== 0)
    return skip(t, `clang does not build for wasm32-wasi: ${compiled.stderr.slice(0, 200)}`);
  await checkFilesProgram(t, await readFile(built));
});

test('a Go program walks its inputs, makes and renames files, uses clock, random numbers, env and stdin', async (t) => {
  const module = await goProgram();
  if (typeof module === 'string') return skip(t, module);
  const run: WasmRun = {
    module,
    args: ['one', 'two words'],
    env: { GREETING: 'grüß Gott' },
    results: [{ Name: 'made', Path: '/outputs' }],
  };
  const planted = { planted: { link: '/etc/passwd' } };
  const withFiles = await withInput(await wasmRequest(t, run), {
    target: '/inputs',
    files: { 'a.txt': 'aaa', 'sub/b.txt': 'bbbbb', 'sub/deeper/c.txt': '', ...planted },
  });
  const request = await withInput(withFiles, {
    target: '/dev/stdin',
    content: 'first line\nsecond line\n',
  });
  const result = await runWasm(request);
  assert.equal(result.ExitCode, 7, result.Stdout + result.stderr + result.ErrorMsg);
  assert.equal(result.stderr, '');
  assert.deepEqual(result.Stdout.trimEnd().split('\n'), [
    'args one,two words',
    'env grüß Gott',
    'other /inputs d---------',
    'file /inputs/a.txt 3',
    'other /inputs/planted L---------',
    'other /inputs/sub d---------',
    'file /inputs/sub/b.txt 5',
    'other /inputs/sub/deeper d---------',
    'file /inputs/sub/deeper/c.txt 0',
    'stdin first line',
    'stdin second line',
    'lines 2',
    'made final-0',
    'made final-1',
    'refused /etc/passwd',
    'refused ../../../etc/passwd',
    'refused /inputs/planted',
    'done',
  ]);
  assert.equal(await resultFile(request, 'made/deep/er/final-1'), '1');
  assert.deepEqual(await readdir(join(request.resultsDirectory, 'made/deep')), ['er']);
});

test('a file larger than the memory of the job is read and written in parts', async (t) => {
  const bytes = 64 * 1024 * 1024;
  const request = await withInput(
    await wasmRequest(t, {
      module: await builtProgram('files'),
      results: [{ Name: 'outputs', Path: '/outputs' }],
      resources: { memory: 1024 * 1024 },
      maxResultBytes: bytes,
    }),
    { target: '/inputs', files: { ...PLANTED, 'text.txt': '' } },
  );
  const input = join(request.inputs[1]?.path ?? '', 'text.txt');
  await truncate(input, bytes);
  const file = await open(input, 'r+');
  await file.write('the end', bytes - 7);
  await file.close();
  const result = await runWasm(request);
  assert.equal(result.ExitCode, 3, result.stderr + result.ErrorMsg);
  const written = join(request.resultsDirectory, 'outputs/capitals.txt');
  assert.equal((await stat(written)).size, bytes);
  const tail = Buffer.alloc(7);
  const output = await open(written);
  await output.read(tail, 0, 7, bytes - 7);
  await output.close();
  assert.equal(tail.toString(), 'THE END');
});

test('a file input is seen at its target, and an input folder may hold a result folder', async (t) => {
  const base = await wasmRequest(t, {
    module: await builtProgram('files'),
    results: [{ Name: 'outputs', Path: '/outputs' }],
  });
  const folder = await withInput(base, { target: '/inputs', files: PLANTED });
  const request = await withInput(folder, { target: '/inputs/text.txt', content: 'mounted alone\n' });
  const result = await runWasm(request);
  assert.equal(result.ExitCode, 3, result.Stdout + result.stderr);
  assert.equal(await resultFile(request, 'outputs/capitals.txt'), 'MOUNTED ALONE\n');
});

test('an input the operator allows to be written is written in place', async (t) => {
  const folder = await temporary(t);
  await writeFile(join(folder, 'capitals.txt'), 'old, and longer than what comes\n');
  const base = await wasmRequest(t, { module: await builtProgram('files') });
  const withText = await withInput(base, { target: '/inputs', files: { 'text.txt': 'new', ...PLANTED } });
  const shared = { path: folder, target: '/outputs', alias: '', readOnly: false };
  const request = { ...withText, inputs: [...withText.inputs, shared] };
  assert.equal((await runWasm(request)).ExitCode, 3);
  assert.equal(await readFile(join(folder, 'capitals.txt'), 'utf8'), 'NEW');
});
