import { NodeError } from '../../core/errors.ts';
import { uuidv7 } from '../../core/ids.ts';
import type { Limits } from '../../core/limits.ts';
import type { Outcome } from '../../core/outcome.ts';
import type { CheckedJob, Submission } from '../../core/ports.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { IngestInput, IngestOptions, IngestOutput } from '../../workers/ingest/protocol.ts';
import { workerUrl } from '../../workers/pool.ts';
import { ingestInput } from '../inputs.ts';
import type { PendingAsk, PendingJob } from '../item.ts';
import { BoundedQueue } from '../queue.ts';
import { StageRunner } from '../runner.ts';
import { faultOf } from '../verdicts.ts';

/** Batches of pure computation a thread has at once: the next is there when one is done. */
const BATCHES_PER_THREAD = 2;

export interface IngestStageOptions {
  readonly limits: Limits;
  readonly threads: number;
  readonly ingest: IngestOptions;
}

/** What an ask's requester hears when ingest could not read it, or what it read. */
export type AskListener = (ask: PendingAsk, outcome: Outcome<IngestOutput>) => void;

/**
 * The ingest stage: bytes become checked jobs (for the requester role) and checked asks (for the compute role).
 * Both roles of a node share it; a requester alone has it too.
 */
export class IngestStage {
  readonly runner: StageRunner<PendingJob | PendingAsk, IngestInput, IngestOutput>;
  #onAsk: AskListener = () => undefined;
  #onSpace = (): void => undefined;
  #closed = false;

  constructor(
    options: IngestStageOptions,
    modules: { readonly logger: Logger; readonly metrics: Metrics; readonly onFatal: (error: Error) => void },
  ) {
    this.runner = new StageRunner<PendingJob | PendingAsk, IngestInput, IngestOutput>(
      {
        batchItems: options.limits.batchItems,
        onThreadDeath: 'again',
        toInput: ingestInput,
        pool: {
          name: 'ingest',
          file: workerUrl('../../workers/ingest/ingest.worker', import.meta.url),
          minThreads: options.threads,
          maxThreads: options.threads,
          batchesPerThread: BATCHES_PER_THREAD,
          atomics: 'sync',
          workerOptions: options.ingest,
        },
      },
      {
        queue: new BoundedQueue({
          name: 'ingest',
          bound: options.limits.ingestQueue,
          onSpace: () => this.#onSpace(),
        }),
        metrics: modules.metrics.createStageMetrics('ingest'),
        logger: modules.logger,
        onFatal: modules.onFatal,
        onOutcome: (entry, outcome) => this.#route(entry, outcome),
      },
    );
  }

  /** Where outcomes of asks go; the compute role says so once. */
  onAsk(listener: AskListener): void {
    this.#onAsk = listener;
  }

  /** Who hears that a full queue has room again; the compute role says so once. */
  onSpace(listener: () => void): void {
    this.#onSpace = listener;
  }

  /** @throws NodeError ValidationFailed, MalformedBody, Busy, Stopping */
  check(submission: Submission): Promise<CheckedJob> {
    if (this.#closed) {
      return Promise.reject(new NodeError('Stopping', 'the node is stopping and takes no more jobs'));
    }
    return new Promise((resolve, reject) => {
      if (this.runner.offer({ kind: 'job', id: uuidv7(), priority: 0, submission, resolve, reject })) return;
      const { bound } = this.runner.queue;
      reject(
        new NodeError(
          'Busy',
          `the node is checking as many jobs as it can hold (${bound}); nothing was stored`,
        ),
      );
    });
  }

  /** Ends the threads; bodies still being checked are answered Stopping. */
  async stop(): Promise<void> {
    this.#closed = true;
    await this.runner.stop();
  }

  #route(entry: PendingJob | PendingAsk, outcome: Outcome<IngestOutput>): void {
    if (entry.kind === 'ask') this.#onAsk(entry, outcome);
    else if (outcome.kind === 'advance' && outcome.value.kind === 'job') entry.resolve(outcome.value.job);
    else entry.reject(faultOf(outcome));
  }
}
