import { writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fromErrorData, NodeError } from '../../core/errors.ts';
import type { RunCommandResult } from '../../core/job.ts';
import type { Engine, LiveOutput, PreparedInput, RunContext, RunRequest, StopReason } from '../engine.ts';
import { buildTree, openStdin } from './file-system.ts';
import {
  type LinkedModule,
  linkModules,
  type MemoryLimit,
  memoryLimit,
  type PreparedModule,
  type ProgramModule,
  planMemory,
} from './link.ts';
import { moduleInFolder, moduleInput } from './locate.ts';
import { MemoryPool } from './memory-pool.ts';
import { ModuleCache } from './module-cache.ts';
import { OutputStream, throttled } from './output-stream.ts';
import { parseWasmParams, type WasmParams } from './params.ts';
import { trapMessage } from './trap.ts';
import { Rights, STREAM_RIGHTS } from './wasi/abi.ts';
import type { Descriptor } from './wasi/descriptors.ts';
import { RunEnded } from './wasi/ending.ts';
import { WasiHost } from './wasi/host.ts';

/** Bytes of module files whose compiled form one thread keeps. */
const CACHE_BYTES = 64 * 1024 * 1024;
/** Exit code of a run that its own fault ended. */
const TRAP_EXIT_CODE = 1;

export interface WasmEngineOptions {
  /** Bytes of module files whose compiled form is kept; default 64 MiB. */
  readonly cacheBytes?: number;
}

interface LoadedModule extends ProgramModule {
  readonly input: PreparedInput;
}

/** A task's modules, ready to be instantiated, the entry module last. */
interface Program {
  readonly params: WasmParams;
  readonly limit: MemoryLimit;
  readonly modules: readonly PreparedModule[];
  /** The inputs they are in. */
  readonly moduleInputs: ReadonlySet<PreparedInput>;
}

/** How a run ended. */
interface End {
  readonly exitCode: number;
  readonly errorMsg: string;
}

/**
 * Runs WASI preview 1 commands in the thread that calls it, which is blocked meanwhile. A run is interrupted
 * only by ending that thread; what it had printed by then is in its files.
 */
export class WasmEngine implements Engine {
  readonly type = 'wasm';
  readonly #cache: ModuleCache;
  readonly #memories = new MemoryPool();

  constructor(options: WasmEngineOptions = {}) {
    this.#cache = new ModuleCache({ maxBytes: options.cacheBytes ?? CACHE_BYTES });
  }

  /** Modules compiled so far; the rest were found compiled. */
  get compilations(): number {
    return this.#cache.compilations;
  }

  /** @throws NodeError WasmInvalid, OutOfMemory, InputInvalid, InputUnavailable, OutputTooLarge, and the stop's own */
  async run(request: RunRequest, context: RunContext): Promise<RunCommandResult> {
    if (context.signal.aborted) throw stopped(context.signal.reason as StopReason);
    const program = this.#prepare(request);
    const { live } = context;
    const report = throttled(() => context.report({ kind: 'output' }));
    const onOutput = live === undefined ? report : () => live.isWatched && report();
    const stdout = openOutput(request, 'stdout', onOutput, live);
    const stderr = openOutput(request, 'stderr', onOutput, live);
    try {
      const end = execute(request, program, { stdout, stderr, memories: this.#memories }, context);
      if (!request.header.fileless) {
        writeFileSync(join(request.resultsDirectory, 'exitCode'), String(end.exitCode));
      }
      const out = stdout.head();
      const err = stderr.head();
      return {
        Stdout: out.text,
        StdoutTruncated: out.truncated,
        stderr: err.text,
        StderrTruncated: err.truncated,
        ExitCode: end.exitCode,
        ErrorMsg: end.errorMsg,
      };
    } finally {
      stdout.close();
      stderr.close();
    }
  }

  #prepare(request: RunRequest): Program {
    const params = parseWasmParams(request.spec.Tasks[0].Engine);
    const limit = memoryLimit(request.header.resources.memory);
    const load = (reference: string, param: string): LoadedModule => {
      const input = moduleInput(request.inputs, reference, param);
      const source =
        input.content === undefined
          ? (this.#cache.read(input.path, reference) ??
            this.#cache.read(moduleInFolder(input, reference, param), reference))
          : this.#cache.source(input.path, reference, input.content);
      if (source === undefined) throw new NodeError('WasmInvalid', `${param}: ${reference} is a folder`);
      return { input, source, names: namesOf(input, reference) };
    };
    const imported = params.importModules.map((reference, index) =>
      load(reference, `ImportModules[${index}]`),
    );
    const loaded = [...imported, load(params.entryModule, 'EntryModule')];
    const modules = planMemory(loaded, limit).map((module) => ({
      ...module,
      ...this.#cache.compile(module.source, module.maximumPages),
    }));
    return { params, limit, modules, moduleInputs: new Set(loaded.map(({ input }) => input)) };
  }
}

function execute(
  request: RunRequest,
  { params, limit, modules, moduleInputs }: Program,
  { stdout, stderr, memories }: { stdout: OutputStream; stderr: OutputStream; memories: MemoryPool },
  context: RunContext,
): End {
  const tree = buildTree(request, moduleInputs);
  const host = new WasiHost({
    args: [basename(params.entryModule), ...params.parameters],
    env: { ...params.environment, ...request.env },
    stdio: [openStdin(request), outputDescriptor(stdout), outputDescriptor(stderr)],
    tree,
  });
  let linked: LinkedModule[] = [];
  try {
    context.report({ kind: 'running' });
    linked = linkModules(modules, { host, memories });
    callEntry(linked, params);
    // The guest may have caught what was to end it.
    host.checkEnded();
    return { exitCode: 0, errorMsg: '' };
  } catch (thrown) {
    return endOf(thrown, host, () => {
      const bytes = linked.reduce((sum, { memory }) => sum + memory.size, 0);
      return trapMessage(thrown, { bytes, limit: limit.text });
    });
  } finally {
    host.close();
    memories.takeBack();
  }
}

function openOutput(
  request: RunRequest,
  name: 'stdout' | 'stderr',
  onOutput: () => void,
  live: LiveOutput | undefined,
): OutputStream {
  const path = join(request.resultsDirectory, name);
  const options = { name, path, limit: request.maxStreamBytes, onOutput };
  if (!request.header.fileless) return new OutputStream(options);
  const lazily = {
    append: (output: Uint8Array): void => live?.append(name, output),
    moveToFile: (): void => live?.moveToFile(name),
  };
  return new OutputStream({ ...options, lazily });
}

function outputDescriptor(stream: OutputStream): Descriptor {
  return {
    kind: 'output',
    rights: STREAM_RIGHTS | Rights.FD_WRITE,
    inheriting: 0,
    flags: 0,
    write: (buffers) => stream.write(buffers),
  };
}

/** The names an import module's exports are linked under: as it was referred to, its alias, its file name. */
function namesOf({ alias }: PreparedInput, reference: string): string[] {
  const file = basename(reference);
  return [reference, file, file.replace(/\.wasm$/, ''), alias].filter((name) => name !== '');
}

/** Calls the entry point of the last module. */
function callEntry(linked: readonly LinkedModule[], { entryModule, entrypoint }: WasmParams): void {
  const exports = linked.at(-1)?.instance.exports ?? {};
  const entry = Object.hasOwn(exports, entrypoint) ? exports[entrypoint] : undefined;
  if (typeof entry !== 'function') {
    const functions = Object.keys(exports).filter((name) => typeof exports[name] === 'function');
    throw new NodeError(
      'WasmInvalid',
      `${entryModule}: exports no function ${entrypoint} (expected one of: ${functions.slice(0, 10).join(', ') || 'it exports none'})`,
    );
  }
  // A reactor, a module without _start, sets itself up here (WASI application ABI).
  const initialize = entrypoint === '_start' ? undefined : exports['_initialize'];
  if (typeof initialize === 'function' && entrypoint !== '_initialize') initialize();
  entry();
}

function endOf(thrown: unknown, host: WasiHost, trap: () => string): End {
  const ending = host.ending ?? (thrown instanceof RunEnded ? thrown.ending : undefined);
  if (ending?.kind === 'exit') return { exitCode: ending.code, errorMsg: '' };
  if (ending?.kind === 'failed') throw ending.error;
  if (thrown instanceof NodeError) throw thrown;
  return { exitCode: TRAP_EXIT_CODE, errorMsg: trap() };
}

function stopped(reason: StopReason): NodeError {
  if (reason.kind === 'detach') {
    return fromErrorData({ code: 'ExecutionLost', message: 'the node stops; the job had not started' });
  }
  return new NodeError(
    reason.why === 'timeout' ? 'ExecutionTimedOut' : 'ExecutionCancelled',
    `${reason.cause}: the job had not started`,
  );
}
