import type { ExecutionId, JobId } from '../core/ids.ts';
import type { EvaluationRecord, JobRecord, RequesterExecution } from './records.ts';
import type { JobChange } from './requester-store.ts';

/** What was written lately of one job: little, so that it is looked through. */
interface Written {
  record: JobRecord | undefined;
  readonly executions: RequesterExecution[];
  /** Ended ones too: their rows are still to be seen until the commit. */
  readonly evaluations: EvaluationRecord[];
}

interface Named {
  readonly id: string;
}

function find<T extends Named>(all: readonly T[] | undefined, id: string): T | undefined {
  return all?.find((one) => one.id === id);
}

function replace<T extends Named>(all: T[], one: T): void {
  const at = all.findIndex(({ id }) => id === one.id);
  if (at < 0) all.push(one);
  else all[at] = one;
}

/**
 * Jobs with what belongs to them as they were written lately: as `Recent`, with one entry a job. An entry holds what was
 * written in its generation only, so that of a job that never rests the past is forgotten too.
 */
export class RecentJobs {
  readonly #limit: number;
  #young = new Map<JobId, Written>();
  #old = new Map<JobId, Written>();
  #writes = 0;

  /** `limit`: number of changes from which they grow old. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  put({ job, executions = [], evaluations = [] }: JobChange): void {
    if (job !== undefined) this.#written(job.record.id).record = job.record;
    for (const { record } of executions) replace(this.#written(record.jobId).executions, record);
    for (const { record } of evaluations) replace(this.#written(record.jobId).evaluations, record);
    this.#writes += 1;
  }

  job(id: JobId): JobRecord | undefined {
    return this.#young.get(id)?.record ?? this.#old.get(id)?.record;
  }

  execution(jobId: JobId, id: ExecutionId): RequesterExecution | undefined {
    return find(this.#young.get(jobId)?.executions, id) ?? find(this.#old.get(jobId)?.executions, id);
  }

  /** The older first: what comes later counts. */
  executions(jobId: JobId): RequesterExecution[] {
    return [...(this.#old.get(jobId)?.executions ?? []), ...(this.#young.get(jobId)?.executions ?? [])];
  }

  /** An ended one too. */
  evaluation(jobId: JobId, id: string): EvaluationRecord | undefined {
    return find(this.#young.get(jobId)?.evaluations, id) ?? find(this.#old.get(jobId)?.evaluations, id);
  }

  /** To be called after every commit, as that of `Recent`. */
  age(): void {
    if (this.#writes < this.#limit) return;
    this.#old = this.#young;
    this.#young = new Map();
    this.#writes = 0;
  }

  #written(id: JobId): Written {
    let written = this.#young.get(id);
    if (written === undefined) {
      written = { record: undefined, executions: [], evaluations: [] };
      this.#young.set(id, written);
    }
    return written;
  }
}
