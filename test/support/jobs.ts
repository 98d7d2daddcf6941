import type { Wire } from './node.ts';
import { wat } from './wat.ts';

/** Parts of a job that a test cares about. */
export interface JobParts {
  readonly name?: string;
  readonly priority?: number;
  /** By its type, or with parameters. */
  readonly publisher?: string | Wire;
  readonly resources?: Readonly<Record<string, string>>;
  readonly timeouts?: Readonly<Record<string, number>>;
  readonly results?: readonly { readonly Name: string; readonly Path: string }[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Little enough that a small machine runs many at once. */
const SMALL = { CPU: '10m', Memory: '4mb', Disk: '1mb' } as const;

function job(engine: Wire, parts: JobParts, more: Wire = {}): Wire {
  return {
    ...(parts.name === undefined ? {} : { Name: parts.name }),
    Type: 'batch',
    Priority: parts.priority ?? 0,
    Tasks: [
      {
        Name: 'main',
        Engine: engine,
        Publisher: typeof parts.publisher === 'object' ? parts.publisher : { Type: parts.publisher ?? '' },
        Resources: parts.resources ?? SMALL,
        Timeouts: parts.timeouts ?? {},
        ...(parts.results === undefined ? {} : { ResultPaths: parts.results }),
        ...(parts.env === undefined ? {} : { Env: parts.env }),
        ...more,
      },
    ],
  };
}

/** A job of the mock engine. @param params Duration, PrepareDelay, ExitCode, FailWith, Stdout, … */
export function mockJob(params: Wire = {}, parts: JobParts = {}): Wire {
  return job({ Type: 'mock', Params: params }, parts);
}

/** A job of a WASM module given as bytes. */
export function wasmJob(module: Uint8Array, parts: JobParts = {}): Wire {
  const url = `data:application/wasm;base64,${Buffer.from(module).toString('base64')}`;
  return job({ Type: 'wasm', Params: { EntryModule: 'main', Entrypoint: '_start' } }, parts, {
    InputSources: [{ Source: { Type: 'inline', Params: { URL: url } }, Alias: 'main', Target: '/main.wasm' }],
  });
}

/** A job in a container: the words are the command. */
export function dockerJob(image: string, words: readonly string[], parts: JobParts = {}): Wire {
  return job(
    { Type: 'docker', Params: { Image: image, Entrypoint: [words[0] ?? ''], Parameters: words.slice(1) } },
    { resources: { CPU: '100m', Memory: '32mb', Disk: '1mb' }, ...parts },
  );
}

/** Prints "hello" and a newline. */
export function helloModule(): Promise<Uint8Array> {
  return wat(`(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\\08\\00\\00\\00\\06\\00\\00\\00hello\\0a")
    (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))))`);
}

/** Never ends. */
export function endlessModule(): Promise<Uint8Array> {
  return wat('(module (memory (export "memory") 1) (func (export "_start") (loop $on (br $on))))');
}

/** Sleeps for `ms` (poll_oneoff), then prints "slept" and a newline. */
export function sleepModule(ms: number): Promise<Uint8Array> {
  return wat(`(module
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 256) "\\08\\01\\00\\00\\06\\00\\00\\00slept\\0a")
    (func (export "_start")
      (i32.store (i32.const 16) (i32.const 1))
      (i64.store (i32.const 24) (i64.const ${ms * 1_000_000}))
      (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))
      (drop (call $write (i32.const 1) (i32.const 256) (i32.const 1) (i32.const 320)))))`);
}

/** Writes one byte at the end of /count/runs, sleeps for `ms` and prints "ran": its runs can be counted from outside. */
export function countedModule(ms: number): Promise<Uint8Array> {
  return wat(`(module
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
      (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 256) "\\08\\01\\00\\00\\04\\00\\00\\00ran\\0a")
    (data (i32.const 400) "count/runs")
    (data (i32.const 416) "\\a8\\01\\00\\00\\01\\00\\00\\00x")
    (func (export "_start")
      (if (call $open (i32.const 3) (i32.const 0) (i32.const 400) (i32.const 10)
            (i32.const 0) (i64.const 64) (i64.const 0) (i32.const 1) (i32.const 600))
        (then (unreachable)))
      (drop (call $write (i32.load (i32.const 600)) (i32.const 416) (i32.const 1) (i32.const 320)))
      (i32.store (i32.const 16) (i32.const 1))
      (i64.store (i32.const 24) (i64.const ${ms * 1_000_000}))
      (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))
      (drop (call $write (i32.const 1) (i32.const 256) (i32.const 1) (i32.const 320)))))`);
}

/** Prints "line 000000" and so on, `count` of them, one every `everyMs`. */
export function chattyModule(count: number, everyMs: number): Promise<Uint8Array> {
  return wat(`(module
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 256) "\\08\\01\\00\\00\\0c\\00\\00\\00line 000000\\0a")
    (func $number (param $n i32) (local $at i32)
      (local.set $at (i32.const 274))
      (loop $digits
        (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10))))
        (local.set $n (i32.div_u (local.get $n) (i32.const 10)))
        (local.set $at (i32.sub (local.get $at) (i32.const 1)))
        (br_if $digits (i32.ge_u (local.get $at) (i32.const 269)))))
    (func (export "_start") (local $line i32)
      (i32.store (i32.const 16) (i32.const 1))
      (i64.store (i32.const 24) (i64.const ${everyMs * 1_000_000}))
      (loop $lines
        (call $number (local.get $line))
        (drop (call $write (i32.const 1) (i32.const 256) (i32.const 1) (i32.const 320)))
        (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))
        (local.set $line (i32.add (local.get $line) (i32.const 1)))
        (br_if $lines (i32.lt_u (local.get $line) (i32.const ${count}))))))`);
}
