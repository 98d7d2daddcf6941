import assert from 'node:assert/strict';
import { cpSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { WasmEngine } from '../../src/engines/wasm/engine.ts';
import { resultFile, runWasm, wasmRequest } from '../support/wasm-run.ts';

/** Programs whose outcome differs on purpose, each with its reason. */
const EXPECTED_DIFFERENCES: Readonly<Record<string, string>> = {};

const repository = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const fixtures = process.env['BACALHAU_FIXTURES'] ?? resolve(repository, '../shared');
const suite = join(fixtures, 'wasi-testsuite');

interface Expectation {
  readonly args?: string[];
  readonly env?: Record<string, string>;
  readonly root?: string;
  readonly exit_code?: number;
  readonly stdout?: string;
  readonly stderr?: string;
}

function expectationOf(program: string): Expectation {
  const file = program.replace(/\.wasm$/, '.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Expectation) : {};
}

function programs(): string[] {
  return ['c', 'rust'].flatMap((language) =>
    readdirSync(join(suite, language))
      .filter((name) => name.endsWith('.wasm'))
      .map((name) => join(suite, language, name)),
  );
}

if (!existsSync(suite)) {
  const reason = `the WASI conformance programs are not at ${suite} (set BACALHAU_FIXTURES to the folder that has wasi-testsuite)`;
  console.log(`SKIPPED: ${reason}`);
  test('WASI conformance', (t) => t.skip(reason));
} else {
  const engine = new WasmEngine();
  const all = programs();
  let passed = 0;
  after(() => console.log(`WASI conformance: ${passed} of ${all.length} programs pass`));

  test('the suite is complete', () => assert.equal(all.length, 60));

  for (const program of all) {
    const name = `${basename(dirname(program))}/${basename(program, '.wasm')}`;
    test(`WASI: ${name}`, async (t) => {
      const expected = expectationOf(program);
      const request = await wasmRequest(t, {
        module: readFileSync(program),
        args: expected.args ?? [],
        env: expected.env ?? {},
        results: expected.root === undefined ? [] : [{ Name: 'root', Path: '/' }],
      });
      if (expected.root !== undefined) {
        const root = join(request.resultsDirectory, 'root');
        cpSync(join(dirname(program), expected.root), root, { recursive: true });
      }
      const result = await runWasm(request, { engine });
      const difference = EXPECTED_DIFFERENCES[name];
      if (difference !== undefined) {
        assert.notEqual(result.ExitCode, expected.exit_code ?? 0, `passes now, although: ${difference}`);
        return;
      }
      const said = `stdout: ${result.Stdout}\nstderr: ${result.stderr}\n${result.ErrorMsg}`;
      assert.equal(result.ExitCode, expected.exit_code ?? 0, said);
      if (expected.stdout !== undefined) assert.equal(await resultFile(request, 'stdout'), expected.stdout);
      if (expected.stderr !== undefined) assert.equal(await resultFile(request, 'stderr'), expected.stderr);
      passed += 1;
    });
  }
}
