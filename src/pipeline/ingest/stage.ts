import { NodeError } from '../../core/errors.ts';
import type { Limits } from '../../core/limits.ts';
import type { CheckedJob, Submission } from '../../core/ports.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { IngestOptions } from '../../workers/ingest/protocol.ts';
import { workerUrl } from '../../workers/pool.ts';
import type { PendingJob } from '../item.ts';
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

/** The ingest stage: bytes become checked jobs. The requester role takes them, and the compute role explains bids on them. */
export class IngestStage {
  readonly runner: StageRunner<PendingJob, Submission, CheckedJob>;
  #closed = false;
  #checked = 0;

  constructor(
    options: IngestStageOptions,
    modules: { readonly logger: Logger; readonly metrics: Metrics; readonly onFatal: (error: Error) => void },
  ) {
    this.runner = new StageRunner<PendingJob, Submission, CheckedJob>(
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
        metrics: modules.metrics.createStageMetrics('ingest'),
        logger: modules.logger,
        onFatal: modules.onFatal,
        onOutcome: (job, outcome) => {
          if (outcome.kind === 'advance') job.resolve(outcome.value);
          else job.reject(faultOf(outcome));
        },
      },
    );
  }

  /** @throws NodeError ValidationFailed, MalformedBody, Busy, Stopping */
  check(submission: Submission): Promise<CheckedJob> {
    if (this.#closed) {
      return Promise.reject(new NodeError('Stopping', 'the node is stopping and takes no more jobs'));
    }
    return new Promise((resolve, reject) => {
      this.#checked += 1;
      const id = String(this.#checked);
      if (this.runner.offer({ id, priority: 0, submission, resolve, reject })) return;
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
}
