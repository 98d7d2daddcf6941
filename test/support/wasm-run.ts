import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ResultPath, RunCommandResult } from '../../src/core/job.ts';
import type { PreparedInput, RunReport, RunRequest } from '../../src/engines/engine.ts';
import { WasmEngine } from '../../src/engines/wasm/engine.ts';
import type { Scope } from './node.ts';
import { type RunRequestParts, runRequest } from './run-request.ts';

/** What a folder is to hold: path to content, or to where a symbolic link points. */
export type Files = Readonly<Record<string, string | Uint8Array | { readonly link: string }>>;

/** What a test says of a WASM run; the rest is filled in. */
export interface WasmRun extends Omit<RunRequestParts, 'engine'> {
  /** Binary of the module, which becomes the input "main.wasm". */
  readonly module: Uint8Array;
  /** Arguments after the program's name. */
  readonly args?: readonly string[];
  readonly results?: readonly ResultPath[];
}

/** A built program of test/support/wasm. */
export function builtProgram(name: string): Promise<Buffer> {
  return readFile(new URL(`./wasm/${name}.wasm`, import.meta.url));
}

/** A run request for a module. */
export async function wasmRequest(scope: Scope, run: WasmRun): Promise<RunRequest> {
  const { module, args = [], results = [], ...parts } = run;
  const request = await runRequest(scope, {
    ...parts,
    engine: 'wasm',
    params: { EntryModule: 'main.wasm', Parameters: [...args], ...run.params },
    task: { ResultPaths: [...results], ...run.task },
  });
  return withInput(request, { target: 'main.wasm', content: module });
}

/** The request with one more input: a file with `content`, or a folder with `files`. */
export async function withInput(
  request: RunRequest,
  input: Partial<Omit<PreparedInput, 'content'>> & {
    readonly target: string;
    readonly content?: string | Uint8Array;
    readonly files?: Files;
  },
): Promise<RunRequest> {
  const { content, files, ...given } = input;
  const path = join(request.placement.directory, 'inputs', String(request.inputs.length));
  await mkdir(dirname(path), { recursive: true });
  if (content === undefined) await writeFiles(path, files ?? {});
  else await writeFile(path, content);
  const prepared: PreparedInput = { path, alias: '', readOnly: true, ...given };
  return { ...request, inputs: [...request.inputs, prepared] };
}

/** Makes a folder with these files. */
export async function writeFiles(folder: string, files: Files): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    if (typeof content === 'string' || content instanceof Uint8Array) await writeFile(path, content);
    else await symlink(content.link, path);
  }
}

/** Runs it in this very thread. */
export function runWasm(
  request: RunRequest,
  options: { engine?: WasmEngine; report?: (report: RunReport) => void } = {},
): Promise<RunCommandResult> {
  const engine = options.engine ?? new WasmEngine();
  const report = options.report ?? ((): void => undefined);
  return engine.run(request, { signal: new AbortController().signal, report });
}

/** A file of the results as text. */
export function resultFile(request: RunRequest, name: string): Promise<string> {
  return readFile(join(request.resultsDirectory, name), 'utf8');
}
