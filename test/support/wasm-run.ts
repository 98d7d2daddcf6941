import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ResultPath, RunCommandResult } from '../../src/core/job.ts';
import type { PreparedInput, RunReport, RunRequest } from '../../src/engines/engine.ts';
import { WasmEngine } from '../../src/engines/wasm/engine.ts';

/** What a test says of a run; the rest is made up. */
export interface WasmRun {
  /** Binary, put into a file of its own and named by EntryModule "main.wasm". */
  readonly module: Uint8Array;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Besides the module's own. */
  readonly inputs?: readonly PreparedInput[];
  readonly results?: readonly ResultPath[];
  /** Merged into Engine.Params. */
  readonly params?: Readonly<Record<string, unknown>>;
  readonly memory?: number;
  readonly maxStreamBytes?: number;
  readonly maxResultBytes?: number;
}

/** Folders of one execution, removed by `remove`. */
export class WasmBench {
  /** Holds everything of this bench. */
  readonly root: string = mkdtempSync(join(tmpdir(), 'bacalhau-wasm-'));
  readonly placement: string = join(this.root, 'execution');
  readonly results: string = join(this.placement, 'results');
  readonly reports: RunReport[] = [];
  readonly engine: WasmEngine;

  constructor(engine: WasmEngine = new WasmEngine()) {
    this.engine = engine;
    mkdirSync(this.results, { recursive: true });
    mkdirSync(join(this.placement, 'inputs'));
  }

  /** Makes a file or, without content, a folder below the execution's inputs, and tells its path. */
  input(name: string, content?: string | Uint8Array): string {
    const path = join(this.placement, 'inputs', name);
    if (content === undefined) mkdirSync(path, { recursive: true });
    else writeFileSync(path, content);
    return path;
  }

  /** What an engine would be asked. */
  request(run: WasmRun): RunRequest {
    const module: PreparedInput = {
      path: this.input('main.wasm', run.module),
      target: 'main.wasm',
      alias: '',
      readOnly: true,
    };
    const resources = { cpu: 1, memory: run.memory ?? 512 * 1024 * 1024, disk: 0, gpu: 0 };
    return {
      header: {
        executionId: 'e-00000000-0000-7000-8000-000000000001',
        jobId: 'j-00000000-0000-7000-8000-000000000001',
        jobVersion: 1,
        requesterId: 'requester',
        namespace: 'default',
        jobType: 'batch',
        priority: 0,
        engine: 'wasm',
        publisher: '',
        resources,
        executionTimeoutMs: 0,
        queueTimeoutMs: 0,
        totalTimeoutMs: 0,
      },
      spec: {
        ID: 'j-00000000-0000-7000-8000-000000000001',
        Name: 'test',
        Namespace: 'default',
        Type: 'batch',
        Priority: 0,
        Count: 1,
        Constraints: [],
        Meta: {},
        Labels: {},
        Tasks: [
          {
            Name: 'main',
            Engine: {
              Type: 'wasm',
              Params: { EntryModule: 'main.wasm', Parameters: [...(run.args ?? [])], ...run.params },
            },
            Publisher: { Type: '' },
            ResultPaths: [...(run.results ?? [])],
            Resources: {},
            Network: { Type: 'None' },
            Timeouts: {},
          },
        ],
      },
      placement: { directory: this.placement, gpus: [] },
      inputs: [module, ...(run.inputs ?? [])],
      resultsDirectory: this.results,
      gpus: [],
      env: run.env ?? {},
      maxStreamBytes: run.maxStreamBytes ?? 1 << 20,
      maxResultBytes: run.maxResultBytes ?? 1 << 30,
    };
  }

  /** Runs it in this very thread. */
  run(run: WasmRun): Promise<RunCommandResult> {
    return this.engine.run(this.request(run), {
      signal: new AbortController().signal,
      report: (report) => this.reports.push(report),
    });
  }

  /** A file of the results folder as text. */
  result(name: string): string {
    return readFileSync(join(this.results, name), 'utf8');
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
