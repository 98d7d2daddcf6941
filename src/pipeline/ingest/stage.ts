import { NodeError } from '../../core/errors.ts';
import type { Limits } from '../../core/limits.ts';
import type { CheckedJob, Submission } from '../../core/ports.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Metrics, StageMetrics } from '../../telemetry/metrics.ts';
import { type CheckedRow, checkedJob, type IngestOptions } from '../../workers/ingest/protocol.ts';
import { workerUrl } from '../../workers/pool.ts';
import type { PendingJob } from '../item.ts';
import { BoundedQueue } from '../queue.ts';
import { StageRunner } from '../runner.ts';
import { faultOf } from '../verdicts.ts';

/** Batches of pure computation a thread has at once: the next is there when one is done. */
const BATCHES_PER_THREAD = 2;

/**
 * Checked jobs handed on in one turn of the loop. As many as are begun and ended in one, or they would pile up in front of
 * those: a job that has to wait for room costs more than one that finds it.
 */
const HANDED_PER_TURN = 16;

export interface IngestStageOptions {
  readonly limits: Limits;
  readonly threads: number;
  readonly ingest: IngestOptions;
}

/** The ingest stage: bytes become checked jobs. The requester role takes them, and the compute role explains bids on them. */
export class IngestStage {
  readonly runner: StageRunner<PendingJob, Submission, CheckedRow>;
  readonly #metrics: StageMetrics;
  /** To be handed on: what comes on top of as many as may wait to be checked is refused. */
  readonly #checked: (() => void)[] = [];
  #submissions = 0;
  #closed = false;
  #handing = false;

  constructor(
    options: IngestStageOptions,
    modules: { readonly logger: Logger; readonly metrics: Metrics; readonly onFatal: (error: Error) => void },
  ) {
    this.#metrics = modules.metrics.createStageMetrics('ingest');
    this.runner = new StageRunner<PendingJob, Submission, CheckedRow>(
      {
        batchItems: options.limits.batchItems,
        onThreadDeath: 'again',
        toInput: ({ submission }) => submission,
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
        queue: new BoundedQueue({ name: 'ingest', bound: options.limits.ingestQueue }),
        metrics: this.#metrics,
        logger: modules.logger,
        onFatal: modules.onFatal,
        onOutcome: (job, outcome) => {
          if (outcome.kind !== 'advance') {
            job.reject(faultOf(outcome));
            return;
          }
          this.#checked.push(() => job.resolve(checkedJob(outcome.value)));
          this.#handOn();
        },
      },
    );
  }

  /** @throws NodeError ValidationFailed, MalformedBody, Busy, Stopping */
  check(submission: Submission): Promise<CheckedJob> {
    if (this.#closed) {
      return Promise.reject(new NodeError('Stopping', 'the node is stopping and takes no more jobs'));
    }
    const { bound } = this.runner.queue;
    return new Promise((resolve, reject) => {
      this.#submissions += 1;
      const job = { id: String(this.#submissions), priority: 0, submission, resolve, reject };
      if (this.#checked.length >= bound) this.#metrics.itemsRefused();
      else if (this.runner.offer(job)) return;
      reject(
        new NodeError(
          'Busy',
          `the node is checking as many jobs as it can hold (${bound}); nothing was stored`,
        ),
      );
    });
  }

  #handOn(): void {
    if (this.#handing) return;
    this.#handing = true;
    setImmediate(() => {
      this.#handing = false;
      for (const hand of this.#checked.splice(0, HANDED_PER_TURN)) hand();
      if (this.#checked.length > 0) this.#handOn();
    });
  }

  /** Ends the threads; bodies still being checked are answered Stopping. */
  async stop(): Promise<void> {
    this.#closed = true;
    await this.runner.stop();
  }
}
