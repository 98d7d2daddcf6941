import type { Readable } from 'node:stream';
import { NodeError } from '../../core/errors.ts';
import type { DockerClient } from './client.ts';
import { reasonOf, statusOf, toEngineError, toPullError } from './errors.ts';
import type { ImageReference } from './image-reference.ts';
import { dockerLimits } from './limits.ts';
import type { RegistryAccount } from './registry-account.ts';

/** Bytes of an image's layers so far. `totalBytes` grows as layers become known. */
export interface PullProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

interface SharedPull {
  readonly controller: AbortController;
  readonly finished: Promise<void>;
  readonly waiters: Set<(progress: PullProgress) => void>;
}

/** Pulls of one engine: one per image, shared by all who wait for it, ended when nobody waits any more. */
export class ImagePulls {
  readonly #client: DockerClient;
  readonly #hubAccount: RegistryAccount | undefined;
  readonly #running = new Map<string, SharedPull>();

  constructor(client: DockerClient, hubAccount: RegistryAccount | undefined) {
    this.#client = client;
    this.#hubAccount = hubAccount;
  }

  /**
   * Resolves when the image is on this machine. Rejects with the signal's reason when that aborts.
   * @throws NodeError ImageNotFound, ImagePullFailed, EngineUnavailable
   */
  async pull(
    reference: ImageReference,
    signal: AbortSignal,
    onProgress: (progress: PullProgress) => void,
  ): Promise<void> {
    signal.throwIfAborted();
    const shared = this.#running.get(reference.full) ?? this.#begin(reference);
    // A set of functions: each waiter needs one of its own.
    const waiter = (progress: PullProgress): void => onProgress(progress);
    shared.waiters.add(waiter);
    const { promise: stopped, reject } = Promise.withResolvers<never>();
    const leave = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', leave, { once: true });
    try {
      await Promise.race([shared.finished, stopped]);
    } finally {
      signal.removeEventListener('abort', leave);
      shared.waiters.delete(waiter);
      if (shared.waiters.size === 0) this.#end(reference, shared);
    }
  }

  #begin(reference: ImageReference): SharedPull {
    const controller = new AbortController();
    const waiters = new Set<(progress: PullProgress) => void>();
    const finished = this.#run(reference, controller.signal, (progress) => {
      for (const waiter of waiters) waiter(progress);
    });
    const shared: SharedPull = { controller, finished, waiters };
    this.#running.set(reference.full, shared);
    const forget = (): void => this.#forget(reference, shared);
    finished.then(forget, forget);
    return shared;
  }

  #end(reference: ImageReference, shared: SharedPull): void {
    // Forgotten first: who asks from now on gets a pull that has not been cancelled.
    this.#forget(reference, shared);
    shared.controller.abort();
  }

  #forget(reference: ImageReference, shared: SharedPull): void {
    if (this.#running.get(reference.full) === shared) this.#running.delete(reference.full);
  }

  async #run(
    reference: ImageReference,
    signal: AbortSignal,
    onProgress: (progress: PullProgress) => void,
  ): Promise<void> {
    const silence = new AbortController();
    const alarm = setTimeout(() => silence.abort(), dockerLimits.pullSilenceMs);
    try {
      const stop = AbortSignal.any([signal, silence.signal]);
      const account = reference.onDockerHub ? this.#hubAccount : undefined;
      const stream = await this.#client.pull(reference, account, stop);
      await followPull(reference.full, stream, onProgress, () => alarm.refresh());
    } catch (error) {
      if (silence.signal.aborted) {
        throw new NodeError(
          'ImagePullFailed',
          `image ${reference.full} could not be pulled: no progress for ${dockerLimits.pullSilenceMs} ms`,
        );
      }
      if (error instanceof NodeError) throw error;
      const status = statusOf(error);
      throw status === undefined
        ? toEngineError(`pull the image ${reference.full}`, error)
        : toPullError(reference.full, reasonOf(error), status);
    } finally {
      clearTimeout(alarm);
    }
    if (!(await this.#client.hasImage(reference))) {
      throw new NodeError(
        'ImagePullFailed',
        `image ${reference.full} is not there after its pull (expected Docker to keep it)`,
      );
    }
  }
}

interface PullLine {
  readonly id?: unknown;
  readonly status?: unknown;
  readonly error?: unknown;
  readonly errorDetail?: { readonly message?: unknown };
  readonly progressDetail?: { readonly current?: unknown; readonly total?: unknown };
}

/**
 * Reads a pull's progress stream: JSON lines, errors among them although the HTTP status said 200.
 * @throws NodeError ImageNotFound, ImagePullFailed
 */
export async function followPull(
  image: string,
  stream: Readable,
  onProgress: (progress: PullProgress) => void,
  onLine: () => void = () => undefined,
): Promise<void> {
  const layers = new Map<string, PullProgress>();
  let reportedAt = 0;
  const read = (text: string): void => {
    if (text.trim() === '') return;
    onLine();
    const line = parseLine(image, text);
    const failure = line.errorDetail?.message ?? line.error;
    if (failure !== undefined) {
      throw toPullError(image, typeof failure === 'string' ? failure : JSON.stringify(failure));
    }
    if (!noteLayer(layers, line) || Date.now() - reportedAt < dockerLimits.pullReportMs) return;
    reportedAt = Date.now();
    onProgress(sum(layers));
  };
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) read(line);
    if (rest.length > dockerLimits.pullLineBytes) {
      throw new NodeError(
        'ImagePullFailed',
        `image ${image} could not be pulled: a line of progress is too long`,
      );
    }
  }
  read(rest);
  if (layers.size > 0) onProgress(sum(layers));
}

function parseLine(image: string, text: string): PullLine {
  try {
    return JSON.parse(text) as PullLine;
  } catch {
    throw new NodeError('ImagePullFailed', `image ${image} could not be pulled: progress is no JSON`);
  }
}

/** True when the line said something about a layer's bytes. */
function noteLayer(layers: Map<string, PullProgress>, line: PullLine): boolean {
  if (typeof line.id !== 'string') return false;
  const { current, total } = line.progressDetail ?? {};
  const known = layers.get(line.id);
  if (line.status === 'Downloading' && typeof current === 'number') {
    const totalBytes = typeof total === 'number' && total > 0 ? total : current;
    layers.set(line.id, { doneBytes: current, totalBytes });
    return true;
  }
  if (known !== undefined && (line.status === 'Download complete' || line.status === 'Pull complete')) {
    layers.set(line.id, { doneBytes: known.totalBytes, totalBytes: known.totalBytes });
    return true;
  }
  return false;
}

function sum(layers: ReadonlyMap<string, PullProgress>): PullProgress {
  let doneBytes = 0;
  let totalBytes = 0;
  for (const layer of layers.values()) {
    doneBytes += layer.doneBytes;
    totalBytes += layer.totalBytes;
  }
  return { doneBytes, totalBytes };
}
