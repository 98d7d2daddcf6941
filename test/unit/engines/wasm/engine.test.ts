import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { NodeError } from '../../../../src/core/errors.ts';
import type { RunReport } from '../../../../src/engines/engine.ts';
import { WasmEngine } from '../../../../src/engines/wasm/engine.ts';
import { resultFile, runWasm, wasmRequest, withInput, writeFiles } from '../../../support/wasm-run.ts';
import { wat } from '../../../support/wat.ts';

const KIB = 1024;
const PAGE = 64 * KIB;
const WASI = 'wasi_snapshot_preview1';
const EXIT = `(import "${WASI}" "proc_exit" (func $exit (param i32)))`;
const WRITE = `(import "${WASI}" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))`;

const rejects = (run: Promise<unknown>, code: string, text: RegExp): Promise<void> =>
  assert.rejects(run, (error) => {
    assert.ok(error instanceof NodeError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, text);
    return true;
  });

describe('the end of a run', () => {
  test('returning is 0, proc_exit its code', async (t) => {
    const returns = await wat('(module (memory (export "memory") 1) (func (export "_start")))');
    assert.equal((await runWasm(await wasmRequest(t, { module: returns }))).ExitCode, 0);
    const exits = await wat(
      `(module ${EXIT} (func (export "_start") (call $exit (i32.const 42)) unreachable))`,
    );
    const request = await wasmRequest(t, { module: exits });
    assert.equal((await runWasm(request)).ExitCode, 42);
    assert.equal(await resultFile(request, 'exitCode'), '42');
  });

  test('a guest that catches its own exit has ended all the same', async (t) => {
    const module = await wat(`(module ${EXIT}
      (func (export "_start") (try (do (call $exit (i32.const 9))) (catch_all))))`);
    assert.equal((await runWasm(await wasmRequest(t, { module }))).ExitCode, 9);
  });

  for (const [what, body, text] of [
    ['unreachable', 'unreachable', /wasm trap: unreachable/],
    ['division by zero', '(drop (i32.div_u (i32.const 1) (i32.const 0)))', /wasm trap: divide by zero/],
    ['memory out of bounds', '(drop (i32.load (i32.const -8)))', /wasm trap: memory access out of bounds/],
    ['endless recursion', '(call $start)', /wasm trap: call stack exhausted/],
  ] as const) {
    test(`a trap is a result that says so: ${what}`, async (t) => {
      const module = await wat(
        `(module (memory (export "memory") 1) (func $start (export "_start") ${body}))`,
      );
      const request = await wasmRequest(t, { module });
      const result = await runWasm(request);
      assert.equal(result.ExitCode, 1);
      assert.match(result.ErrorMsg, text);
      assert.match(result.ErrorMsg, /memory in use 65\.5 KB, limit 268\.4 MB/);
      assert.doesNotMatch(result.ErrorMsg, /file:|\/src\//);
      assert.equal(await resultFile(request, 'exitCode'), '1');
    });
  }

  test('an uncaught exception of the guest is a trap', async (t) => {
    const module = await wat('(module (tag $t) (func (export "_start") (throw $t)))');
    const result = await runWasm(await wasmRequest(t, { module }));
    assert.equal(result.ExitCode, 1);
    assert.match(result.ErrorMsg, /an exception of the program was not caught/);
  });

  test('a guest that runs out of stack within a system call and goes on is ended', async (t) => {
    // Dives until a call fails for want of stack, catches that, and dives again, for ever.
    const module = await wat(`(module
      (import "${WASI}" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
      (import "${WASI}" "fd_close" (func $close (param i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 8) "out")
      (func $dive
        (drop (call $open (i32.const 3) (i32.const 0) (i32.const 8) (i32.const 3) (i32.const 0)
          (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 32)))
        (drop (call $close (i32.load (i32.const 32))))
        (call $dive))
      (func (export "_start") (loop (try (do (call $dive)) (catch_all)) (br 0))))`);
    const request = await wasmRequest(t, { module, results: [{ Name: 'out', Path: '/out' }] });
    const outcome = await runWasm(request).then(
      (result) => result.ErrorMsg,
      (error: unknown) => String(error),
    );
    assert.match(outcome, /stack/);
  });

  test('what was printed before a trap is kept', async (t) => {
    const module = await wat(`(module ${WRITE} (memory (export "memory") 1)
      (data (i32.const 0) "\\08\\00\\00\\00\\05\\00\\00\\00hello")
      (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20))) unreachable))`);
    const reports: RunReport[] = [];
    const request = await wasmRequest(t, { module });
    const result = await runWasm(request, { report: (report) => reports.push(report) });
    assert.equal(result.Stdout, 'hello');
    assert.equal(await resultFile(request, 'stdout'), 'hello');
    assert.deepEqual(reports, [{ kind: 'running' }, { kind: 'output' }]);
  });

  test('results over their limit end the run with OutputTooLarge', async (t) => {
    const module = await wat(`(module ${WRITE}
      (import "${WASI}" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "\\00\\00\\00\\00\\00\\01\\00\\00out/file")
      (func (export "_start")
        (drop (call $open (i32.const 3) (i32.const 0) (i32.const 8) (i32.const 8) (i32.const 1)
          (i64.const 0x40) (i64.const 0) (i32.const 0) (i32.const 32)))
        (loop (drop (call $write (i32.load (i32.const 32)) (i32.const 0) (i32.const 1) (i32.const 40))) (br 0))))`);
    const results = [{ Name: 'out', Path: '/out' }];
    const request = await wasmRequest(t, { module, results, maxResultBytes: 1000 });
    await rejects(runWasm(request), 'OutputTooLarge', /more than 1\.0 KB to its result paths/);
    assert.equal((await resultFile(request, 'out/file')).length, 768);
  });

  test('no descriptor of the node stays open, however the run ends', async (t) => {
    const module = await wat(`(module
      (import "${WASI}" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 8) "out")
      (func (export "_start")
        (drop (call $open (i32.const 3) (i32.const 0) (i32.const 8) (i32.const 3) (i32.const 0)
          (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 32)))
        unreachable))`);
    const results = [{ Name: 'out', Path: '/out' }];
    const request = await wasmRequest(t, { module, results });
    const engine = new WasmEngine();
    await runWasm(request, { engine });
    const before = readdirSync('/proc/self/fd').length;
    for (let round = 0; round < 20; round++) await runWasm(request, { engine });
    await assert.rejects(runWasm({ ...request, inputs: [] }, { engine }));
    assert.equal(readdirSync('/proc/self/fd').length, before);
  });
});

describe('modules that cannot run', () => {
  test('what is no module, or another kind of module, is said', async (t) => {
    const run = async (module: Uint8Array): Promise<unknown> => runWasm(await wasmRequest(t, { module }));
    await rejects(
      run(Buffer.from('#!/bin/sh\n')),
      'WasmInvalid',
      /main\.wasm: this is no WebAssembly module/,
    );
    await rejects(run(Buffer.from('0061736d0d000100', 'hex')), 'WasmInvalid', /component/);
    await rejects(run(Buffer.from('0061736d01000000ff', 'hex')), 'WasmInvalid', /main\.wasm/);
    const cut = (await wat('(module (memory 1) (func (export "_start")))')).subarray(0, -3);
    await rejects(run(cut), 'WasmInvalid', /main\.wasm: .*ends in the middle/);
    const broken = await wat('(module (func (export "_start")))');
    broken[broken.length - 2] = 0xff;
    await rejects(run(broken), 'WasmInvalid', /main\.wasm: .*expected a valid WebAssembly module/);
  });

  test('a missing entry point, import or function of WASI is named', async (t) => {
    const run = async (text: string, params = {}): Promise<unknown> =>
      runWasm(await wasmRequest(t, { module: await wat(text), params }));
    await rejects(run('(module (func (export "main")))'), 'WasmInvalid', /exports no function _start .*main/);
    await rejects(run('(module)', { Entrypoint: 'go' }), 'WasmInvalid', /exports no function go/);
    await rejects(run('(module (import "env" "f" (func)))'), 'WasmInvalid', /imports the function env\.f/);
    await rejects(run(`(module (import "${WASI}" "fd_dance" (func)))`), 'WasmInvalid', /fd_dance/);
    await rejects(
      run('(module (import "wasi_unstable" "fd_read" (func)))'),
      'WasmInvalid',
      /newer toolchain/,
    );
  });

  test('kinds of modules whose memory cannot be bounded are refused', async (t) => {
    const run = async (text: string): Promise<unknown> =>
      runWasm(await wasmRequest(t, { module: await wat(text) }));
    await rejects(
      run('(module (memory 1 1 shared) (func (export "_start")))'),
      'WasmInvalid',
      /shared memory/,
    );
    await rejects(run('(module (memory i64 1) (func (export "_start")))'), 'WasmInvalid', /64-bit memory/);
    await rejects(
      run('(module (type (array i32)) (func (export "_start")))'),
      'WasmInvalid',
      /garbage-collected/,
    );
    const tables = '(table 600000 externref)'.repeat(2);
    await rejects(run(`(module ${tables} (func (export "_start")))`), 'WasmInvalid', /1200000 elements/);
  });

  test('the module is found by target, by alias, in a folder; else the inputs are named', async (t) => {
    const module = await wat('(module (func (export "_start")))');
    const request = await wasmRequest(t, { module });
    const [input] = request.inputs;
    assert.ok(input);
    const run = (EntryModule: unknown, inputs = request.inputs): Promise<unknown> => {
      const [task] = request.spec.Tasks;
      const Engine = { Type: 'wasm', Params: { EntryModule } };
      return runWasm({ ...request, inputs, spec: { ...request.spec, Tasks: [{ ...task, Engine }] } });
    };
    await run('main.wasm');
    await run('/main.wasm');
    await run('the-alias', [{ ...input, alias: 'the-alias' }]);
    const folder = join(request.placement.directory, 'unpacked');
    await writeFiles(folder, { 'README.md': 'x', 'one.wasm': module });
    await run('main.wasm', [{ ...input, path: folder }]);
    await writeFiles(folder, { 'two.wasm': Buffer.from('no') });
    await rejects(
      run('main.wasm', [{ ...input, path: folder }]),
      'WasmInvalid',
      /the modules one\.wasm, two\.wasm/,
    );
    await rename(join(folder, 'one.wasm'), join(folder, 'main.wasm'));
    await run('main.wasm', [{ ...input, path: folder }]);
    await rejects(
      run('other.wasm'),
      'WasmInvalid',
      /no input has the target or alias other\.wasm .*main\.wasm/,
    );
    await rejects(run(undefined), 'WasmInvalid', /EntryModule/);
    await rejects(run({ Target: 'x' }), 'WasmInvalid', /EntryModule/);
    await writeFiles(folder, { 'planted/evil.wasm': { link: '/etc/passwd' } });
    const planted = [{ ...input, path: join(folder, 'planted/evil.wasm') }];
    await rejects(run('main.wasm', planted), 'WasmInvalid', /symbolic link/);
  });
});

describe('memory', () => {
  /** Grows by pages until it cannot, and exits with the pages it has. */
  const grower = (memory: string): string => `(module ${EXIT} ${memory}
    (func (export "_start")
      (loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
      (call $exit (memory.size))))`;

  for (const [title, memory, expected] of [
    ['without a maximum', '(memory (export "memory") 1)', 16],
    ['with a maximum above the limit', '(memory (export "memory") 1 60000)', 16],
    ['with a maximum below the limit', '(memory (export "memory") 1 5)', 5],
    ['that nobody exports', '(memory 1)', 16],
    ['that is imported', '(import "env" "memory" (memory 1))', 16],
  ] as const) {
    test(`a memory ${title} grows to ${expected} pages at a limit of 16`, async (t) => {
      const text = memory.startsWith('(import')
        ? grower('').replace(EXIT, `${EXIT} ${memory}`)
        : grower(memory);
      const request = await wasmRequest(t, { module: await wat(text), resources: { memory: 16 * PAGE } });
      assert.equal((await runWasm(request)).ExitCode, expected);
    });
  }

  test('a limit that is no whole page is rounded up; none means what WebAssembly can have', async (t) => {
    const small = await wasmRequest(t, {
      module: await wat(grower('(memory (export "memory") 1)')),
      resources: { memory: 2 * PAGE + 1 },
    });
    assert.equal((await runWasm(small)).ExitCode, 3);
    const module = await wat('(module (memory 1) (func (export "_start") unreachable))');
    for (const memory of [0, 8e9]) {
      const { ErrorMsg } = await runWasm(await wasmRequest(t, { module, resources: { memory } }));
      assert.match(
        ErrorMsg,
        memory === 0 ? /limit 4\.3 GB\)/ : /limit 4\.3 GB, the most .* not the 8\.0 GB asked for/,
      );
    }
  });

  test('a module that starts with more than the limit is refused, with both figures', async (t) => {
    const module = await wat('(module (memory 100) (func (export "_start")))');
    const request = await wasmRequest(t, { module, resources: { memory: 50 * PAGE } });
    await rejects(runWasm(request), 'OutOfMemory', /needs 6\.6 MB .* limit of 3\.3 MB/);
  });

  test('several memories share one limit', async (t) => {
    const text = grower('(memory (export "memory") 1) (memory 3)');
    const request = await wasmRequest(t, { module: await wat(text), resources: { memory: 16 * PAGE } });
    assert.equal((await runWasm(request)).ExitCode, 7);
  });

  test('tables do not grow without end either', async (t) => {
    const module = await wat(`(module ${EXIT} (table 1 externref)
      (func (export "_start")
        (call $exit (table.grow (ref.null extern) (i32.const 2000000)))))`);
    assert.equal((await runWasm(await wasmRequest(t, { module }))).ExitCode, 2 ** 32 - 1);
  });
});

describe('import modules', () => {
  test('are instantiated first, linked by name, and use WASI with their own memory', async (t) => {
    const library = await wat(`(module ${WRITE} (memory (export "memory") 1)
      (data (i32.const 0) "\\08\\00\\00\\00\\08\\00\\00\\00from lib")
      (func (export "speak") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))))`);
    const main = await wat(
      '(module (import "lib" "speak" (func $speak)) (func (export "_start") (call $speak)))',
    );
    const base = await wasmRequest(t, { module: main, params: { ImportModules: ['lib.wasm'] } });
    const request = await withInput(base, { target: 'lib.wasm', content: library });
    assert.equal((await runWasm(request)).Stdout, 'from lib');
    await rejects(runWasm(base), 'WasmInvalid', /ImportModules\[0\]: no input .* lib\.wasm/);
  });

  test('an import of another type is said', async (t) => {
    const main = await wat('(module (import "lib" "f" (func (param i32))) (func (export "_start")))');
    const base = await wasmRequest(t, { module: main, params: { ImportModules: ['lib.wasm'] } });
    const library = await wat('(module (func (export "f")))');
    const request = await withInput(base, { target: 'lib.wasm', content: library });
    await rejects(runWasm(request), 'WasmInvalid', /main\.wasm: .*lib/);
  });
});

describe('inputs and results', () => {
  const module = '(module (memory (export "memory") 1) (func (export "_start")))';

  test('a target or a name that is taken, or climbs, is refused', async (t) => {
    const request = await wasmRequest(t, { module: await wat(module) });
    const withFolder = await withInput(request, { target: '/data', files: {} });
    await rejects(
      runWasm(await withInput(withFolder, { target: '/data/', files: {} })),
      'InputInvalid',
      /taken/,
    );
    await rejects(
      runWasm(await withInput(request, { target: '/a/../b', files: {} })),
      'InputInvalid',
      /"\.\."/,
    );
    for (const Name of ['stdout', '..', 'a/b', '']) {
      const bad = await wasmRequest(t, { module: await wat(module) });
      const [task] = bad.spec.Tasks;
      const spec = {
        ...bad.spec,
        Tasks: [{ ...task, ResultPaths: [{ Name, Path: '/x' }] }] as [typeof task],
      };
      await rejects(runWasm({ ...bad, spec }), 'InputInvalid', /result path name/);
    }
  });

  test('an input that is itself a link is refused where it was fetched, and followed where the operator put it', async (t) => {
    const request = await wasmRequest(t, { module: await wat(module) });
    const folder = join(request.placement.directory, 'fetched');
    await writeFiles(folder, { link: { link: '/etc' } });
    const input = { path: join(folder, 'link'), target: '/data', alias: '', readOnly: true };
    await rejects(
      runWasm({ ...request, inputs: [...request.inputs, input] }),
      'InputInvalid',
      /symbolic link/,
    );
    const elsewhere = { ...request.placement, directory: join(request.placement.directory, 'other') };
    const result = await runWasm({ ...request, placement: elsewhere, inputs: [...request.inputs, input] });
    assert.equal(result.ExitCode, 0);
  });

  test('result folders are made, and a run may start although its results are there', async (t) => {
    const results = [{ Name: 'one', Path: '/deep/one' }];
    const request = await wasmRequest(t, { module: await wat(module), results });
    await writeFile(join(request.resultsDirectory, 'stdout'), 'of an earlier attempt');
    await runWasm(request);
    assert.ok(existsSync(join(request.resultsDirectory, 'one')));
    assert.equal(await resultFile(request, 'stdout'), '');
  });
});

test('equal modules are compiled once a memory limit', async (t) => {
  const engine = new WasmEngine();
  const module = await wat('(module (memory 1) (func (export "_start")))');
  for (let round = 0; round < 3; round++) await runWasm(await wasmRequest(t, { module }), { engine });
  assert.equal(engine.compilations, 1);
  await runWasm(await wasmRequest(t, { module, resources: { memory: 5 * PAGE } }), { engine });
  assert.equal(engine.compilations, 2);
});

test('nothing of one run is in the memory of the next, whatever became of it', async (t) => {
  const engine = new WasmEngine();
  // Exits with what it finds in its memory; leaves something there, then ends as its first argument's length says.
  const module = await wat(`(module ${EXIT}
    (import "${WASI}" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
    (memory (export "memory") 1) (data (i32.const 16) "\\05")
    (func (export "_start")
      (if (i32.or (i32.load (i32.const 8192)) (i32.load8_u (i32.const 65535))) (then (call $exit (i32.const 9))))
      (if (i32.ne (i32.load8_u (i32.const 16)) (i32.const 5)) (then (call $exit (i32.const 8))))
      (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536))
      (drop (call $sizes (i32.const 0) (i32.const 4)))
      (if (i32.eq (i32.load (i32.const 0)) (i32.const 2)) (then unreachable))
      (if (i32.eq (i32.load (i32.const 0)) (i32.const 3)) (then (drop (memory.grow (i32.const 1)))))
      (call $exit (memory.size))))`);
  const codes: number[] = [];
  for (const args of [[], ['traps'], [], ['grows', 'x'], [], []]) {
    codes.push((await runWasm(await wasmRequest(t, { module, args }), { engine })).ExitCode);
  }
  assert.deepEqual(codes, [1, 1, 1, 2, 1, 1]);
});
