import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { BroadcastChannel } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type { ErrorData } from '../core/errors.ts';
import { toErrorData } from '../core/errors.ts';
import { uuidv7 } from '../core/ids.ts';
import type { Outcome } from '../core/outcome.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Control, Question, ThreadOptions, Upward, WorkBatch, WorkItem } from './protocol.ts';

export interface PoolOptions {
  /** Stage name, for logs. */
  readonly name: string;
  /** Worker file; made by `workerUrl`. */
  readonly file: URL;
  readonly minThreads: number;
  readonly maxThreads: number;
  /** Batches one thread may have at once. */
  readonly batchesPerThread: number;
  /**
   * How an idle thread waits. "sync" parks it (fastest, but its sockets and timers stand still): pure CPU only.
   */
  readonly atomics: 'sync' | 'disabled';
  /** Plain data for the stage's `create`. */
  readonly workerOptions: unknown;
  /** An idle thread above `minThreads` ends after this time. */
  readonly idleTimeoutMs?: number;
}

/** Where a pool tells what its threads say. Called on the main thread, in the order the thread sent it. */
export interface PoolListener<Out, Report> {
  onOutcome(id: string, outcome: Outcome<Out>, durationMs: number, thread: number): void;
  /** `hasEnded`: its outcome follows at once. */
  onReport(id: string, report: Report, hasEnded: boolean): void;
  /** Threads of this pool can not be started: nothing of the stage will move again. */
  onFatal?(error: Error): void;
  /** Answers a thread. Rejections travel back as errors. */
  onQuestion?(question: Question): Promise<unknown>;
}

/** Outcomes that were sent but not received this long after their batch ended are lost. */
const LATE_OUTCOME_MS = 2000;

interface OpenBatch {
  left: number;
  readonly all: PromiseWithResolvers<void>;
}

function outcomesOf(batch: OpenBatch, pool: string): Promise<void> {
  const late = setTimeout(
    () => batch.all.reject(new Error(`${batch.left} outcomes of the ${pool} pool were lost`)),
    LATE_OUTCOME_MS,
  );
  return batch.all.promise.finally(() => clearTimeout(late));
}

/** Short young generations keep an idle thread near 10 MB; a stage's working set is a batch. */
const YOUNG_GENERATION_MB = 8;

/**
 * A Piscina pool behind a typed surface: the only importer of Piscina. Its own queue is never used: callers hand
 * over at most `capacity` batches. Threads start with the first batch, or with `warm`.
 */
export class Pool<In, Out, Report = never> {
  readonly #options: PoolOptions;
  readonly #listener: PoolListener<Out, Report>;
  readonly #logger: Logger;
  readonly #channel: BroadcastChannel;
  readonly #channelName: string;
  /** Last value of each live setting, for threads that start later. */
  readonly #live = new Map<string, unknown>();
  /** Batches by the ids of their items that have no outcome yet. */
  readonly #open = new Map<string, OpenBatch>();
  #piscina: Piscina | undefined;
  #stopped = false;

  constructor(options: PoolOptions, modules: { listener: PoolListener<Out, Report>; logger: Logger }) {
    this.#options = options;
    this.#listener = modules.listener;
    this.#logger = modules.logger;
    this.#channelName = `bacalhau-${options.name}-${uuidv7()}`;
    this.#channel = new BroadcastChannel(this.#channelName);
    this.#channel.unref();
  }

  get name(): string {
    return this.#options.name;
  }

  /** Batches that may be running at once. */
  get capacity(): number {
    return this.#options.maxThreads * this.#options.batchesPerThread;
  }

  get threads(): number {
    return this.#piscina?.threads.length ?? 0;
  }

  /** Starts `minThreads` threads now instead of with the first batch. */
  warm(): void {
    this.#threads();
  }

  /**
   * Runs a batch. Outcomes arrive through the listener; the promise resolves after the last of them, and
   * rejects when the thread ended before (its own end, or `signal`, which ends the thread). Ids of items are
   * unique among those in flight.
   */
  async run(
    items: readonly WorkItem<In>[],
    options: { signal?: AbortSignal; transfer?: readonly ArrayBuffer[] } = {},
  ): Promise<void> {
    if (this.#stopped) throw new Error(`pool ${this.name} is stopped`);
    const batch: OpenBatch = { left: items.length, all: Promise.withResolvers() };
    for (const item of items) this.#open.set(item.id, batch);
    try {
      const told: unknown = await this.#threads().run({ items } satisfies WorkBatch<In>, {
        ...(options.signal === undefined ? {} : { signal: options.signal }),
        ...(options.transfer === undefined ? {} : { transferList: [...options.transfer] }),
      });
      for (const message of told as Upward<Out, Report>[]) this.#receive(message);
      // A batch's end and what a thread posts by itself come over different ports, in any order.
      if (batch.left > 0) await outcomesOf(batch, this.name);
    } finally {
      for (const item of items) if (this.#open.get(item.id) === batch) this.#open.delete(item.id);
    }
  }

  /** Tells every thread; reaches running items. */
  control(message: Control): void {
    if (message.kind === 'live') this.#live.set(message.name, message.value);
    if (this.#piscina !== undefined && !this.#stopped) this.#channel.postMessage(message);
  }

  /** Resolves when the thread with this id has ended; at once when it has already. */
  async threadEnded(threadId: number): Promise<void> {
    const thread = this.#piscina?.threads.find((candidate) => candidate.threadId === threadId);
    if (thread !== undefined) await once(thread, 'exit');
  }

  /** Ends all threads. Batches still running reject. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#channel.close();
    await this.#piscina?.destroy();
  }

  #threads(): Piscina {
    if (this.#piscina !== undefined) return this.#piscina;
    const options = this.#options;
    const thread: ThreadOptions = {
      channel: this.#channelName,
      options: options.workerOptions,
    };
    // Given on the command line it counts for every thread, and before their own bound (docs/adr/0019-start-over-for-a-flag.md).
    setFlagsFromString('--max-semi-space-size=0');
    const piscina = new Piscina({
      filename: options.file.href,
      minThreads: options.minThreads,
      maxThreads: options.maxThreads,
      concurrentTasksPerWorker: options.batchesPerThread,
      atomics: options.atomics,
      maxQueue: this.capacity,
      idleTimeout: options.idleTimeoutMs ?? Number.POSITIVE_INFINITY,
      workerData: thread,
      env: {},
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    piscina.on('message', (messages: Upward<Out, Report>[]) => {
      for (const message of messages) this.#receive(message);
    });
    piscina.on('error', (error: unknown) => {
      this.#logger.error({ err: error, pool: this.name }, 'a pool thread failed');
      this.#listener.onFatal?.(error instanceof Error ? error : new Error(String(error)));
    });
    this.#piscina = piscina;
    return piscina;
  }

  #receive(message: Upward<Out, Report>): void {
    switch (message.kind) {
      case 'ready':
        this.control({ kind: 'welcome', thread: message.thread, live: [...this.#live] });
        break;
      case 'outcome':
        for (const report of message.reports ?? []) this.#listener.onReport(message.id, report, true);
        this.#listener.onOutcome(message.id, message.outcome, message.durationMs, message.thread);
        this.#landed(message.id);
        break;
      case 'report':
        this.#listener.onReport(message.id, message.report, false);
        break;
      case 'log':
        this.#logger[message.level]({ ...message.fields, pool: this.name }, message.text);
        break;
      case 'question':
        void this.#answer(message.number, message.thread, message.question);
        break;
    }
  }

  #landed(id: string): void {
    const batch = this.#open.get(id);
    if (batch === undefined) return;
    this.#open.delete(id);
    batch.left -= 1;
    if (batch.left === 0) batch.all.resolve();
  }

  async #answer(number: number, thread: number, question: Question): Promise<void> {
    let value: unknown = null;
    let error: ErrorData | undefined;
    try {
      value = await this.#listener.onQuestion?.(question);
    } catch (thrown) {
      error = toErrorData(thrown);
    }
    this.control(
      error === undefined
        ? { kind: 'answer', number, thread, value }
        : { kind: 'answer', number, thread, value: null, error },
    );
  }
}

/** A worker file beside `from`, with that file's own extension: `.ts` run from source, `.js` from dist. */
export function workerUrl(path: string, from: string): URL {
  const extension = from.endsWith('.ts') ? 'ts' : 'js';
  return new URL(`${path}.${extension}`, from);
}
