import { chmod, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { NodeError } from '../../core/errors.ts';
import type { InputSource, JobSpec } from '../../core/job.ts';
import { formatBytes } from '../../core/resources.ts';
import type { PreparedInput, StopReason } from '../../engines/engine.ts';
import { toStopError } from '../../engines/stop.ts';
import type { Storage } from '../../storages/storage.ts';

/** Storages by lower-case type, as `createStorages` makes them. */
export type StorageRegistry = ReadonlyMap<string, Storage>;

/** What `prepareExecution` works on. */
export interface PrepareRequest {
  readonly spec: JobSpec;
  /** Absolute folder of the execution, exists; `inputs/` and `results/` are in it. */
  readonly directory: string;
  /** Bytes that all inputs together may use. */
  readonly maxInputBytes: number;
  /** Aborted with a StopReason. */
  readonly signal: AbortSignal;
}

/** Everything an engine needs to find on disk. */
export interface Prepared {
  readonly inputs: readonly PreparedInput[];
  readonly inputBytes: number;
}

type Fetched = PreparedInput & { readonly bytes: number };

/** Files of the results folder that are not result paths. */
const RESERVED_NAMES = new Set(['stdout', 'stderr', 'exitCode']);
const LONGEST_NAME_BYTES = 255;
/** A container's user may be any; the folder above is the node's own. */
const RESULT_MODE = 0o777;

/**
 * Makes the folders of the result paths and fetches all inputs, in parallel, within one budget of bytes.
 * Leaves nothing of them behind when it fails.
 * @throws NodeError ValidationFailed, ExecutionCancelled, ExecutionTimedOut, ExecutionLost and those of Storage.prepare
 */
export async function prepareExecution(
  request: PrepareRequest,
  storages: StorageRegistry,
): Promise<Prepared> {
  const task = request.spec.Tasks[0];
  const sources = task.InputSources ?? [];
  const results = join(request.directory, 'results');
  const names = (task.ResultPaths ?? []).map((path, index) => resultName(path.Name, index));
  if (new Set(names).size < names.length) {
    throw new NodeError(
      'ValidationFailed',
      'Tasks[0].ResultPaths: a Name is used twice (expected distinct ones)',
    );
  }
  const chosen = sources.map((source, index) => storageOf(source, index, storages));
  try {
    request.signal.throwIfAborted();
    await Promise.all(names.map((name) => makeResultFolder(join(results, name))));
    if (sources.length === 0) return { inputs: [], inputBytes: 0 };
    const fetched = await fetchAll(sources, chosen, request);
    const inputBytes = fetched.reduce((sum, input) => sum + input.bytes, 0);
    const inputs = fetched.map(({ path, target, alias, readOnly }) => ({ path, target, alias, readOnly }));
    return { inputs, inputBytes };
  } catch (error) {
    await Promise.all([
      ...names.map((name) => rm(join(results, name), { recursive: true, force: true })),
      ...sources.map((_, index) => rm(inputFolder(request, index), { recursive: true, force: true })),
    ]);
    if (request.signal.aborted) throw toStopError(request.signal.reason as StopReason);
    throw error;
  }
}

/** @throws NodeError ValidationFailed when the name is more than one component of a path, or taken */
function resultName(name: string, index: number): string {
  const escapes = name === '' || name === '.' || name === '..' || /[/\\\0]/.test(name);
  if (escapes || RESERVED_NAMES.has(name) || Buffer.byteLength(name) > LONGEST_NAME_BYTES) {
    throw new NodeError(
      'ValidationFailed',
      `Tasks[0].ResultPaths[${index}].Name: ${JSON.stringify(name.slice(0, LONGEST_NAME_BYTES))} (expected one component of a path, not stdout, stderr or exitCode)`,
    );
  }
  return name;
}

function storageOf(source: InputSource, index: number, storages: StorageRegistry): Storage {
  const storage = storages.get(source.Source.Type.toLowerCase());
  if (storage !== undefined) return storage;
  throw new NodeError(
    'InputInvalid',
    `Tasks[0].InputSources[${index}].Source.Type: ${JSON.stringify(source.Source.Type)} is not known here (expected one of ${[...storages.keys()].join(', ')})`,
  );
}

async function makeResultFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true });
  // The mode given to mkdir is cut by the process's umask.
  await chmod(path, RESULT_MODE);
}

function inputFolder(request: PrepareRequest, index: number): string {
  return join(request.directory, 'inputs', String(index));
}

/**
 * Fetches all at once, each within its share: its size where that can be told, an equal part of the rest where
 * not. So all together never use more than the budget. One that outgrew its share is fetched again, alone,
 * with all that the others left.
 */
async function fetchAll(
  sources: readonly InputSource[],
  storages: readonly Storage[],
  request: PrepareRequest,
): Promise<Fetched[]> {
  const giveUp = new AbortController();
  const signal = AbortSignal.any([request.signal, giveUp.signal]);
  const shares = await sharesOf(sources, storages, request.maxInputBytes, signal);
  const fetch = async (index: number, maxBytes: number): Promise<Fetched> => {
    const [source, storage] = [sources[index], storages[index]];
    if (source === undefined || storage === undefined) throw new RangeError(`no input ${index}`);
    const directory = inputFolder(request, index);
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { recursive: true });
    return await storage.prepare(source, { signal, directory, maxBytes });
  };
  const fetched: (Fetched | undefined)[] = [];
  const outgrown: number[] = [];
  let failure: { readonly error: unknown } | undefined;
  await Promise.all(
    shares.map(async (share, index) => {
      try {
        fetched[index] = await fetch(index, share);
      } catch (error) {
        const alone = sources.length === 1;
        if (!alone && error instanceof NodeError && error.code === 'InputTooLarge') {
          outgrown.push(index);
          return;
        }
        // The first failure is the cause; those of the others follow from it.
        failure ??= { error };
        giveUp.abort();
      }
    }),
  );
  if (failure !== undefined) throw failure.error;
  let left = request.maxInputBytes - fetched.reduce((sum, input) => sum + (input?.bytes ?? 0), 0);
  for (const index of outgrown.toSorted((a, b) => a - b)) {
    if (left <= (shares[index] ?? 0)) {
      throw new NodeError(
        'InputTooLarge',
        `Tasks[0].InputSources: together they exceed ${formatBytes(request.maxInputBytes)} (expected no more than the disk the job asks for)`,
      );
    }
    const input = await fetch(index, left);
    fetched[index] = input;
    left -= input.bytes;
  }
  return fetched.filter((input) => input !== undefined);
}

async function sharesOf(
  sources: readonly InputSource[],
  storages: readonly Storage[],
  budget: number,
  signal: AbortSignal,
): Promise<number[]> {
  if (sources.length === 1) return [budget];
  const sizes = await Promise.all(
    sources.map(async (source, index) => {
      // A size that cannot be told now is found out while fetching.
      return await storages[index]?.size(source, signal).catch(() => undefined);
    }),
  );
  const known = sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
  // Too much, or it only seems so: a folder of this machine has a size and takes no room. Fetching tells.
  if (known > budget) return sizes.map(() => Math.floor(budget / sizes.length));
  const unknown = sizes.filter((size) => size === undefined).length;
  return sizes.map((size) => size ?? Math.floor((budget - known) / unknown));
}
