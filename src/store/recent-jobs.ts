import { ById } from '../core/by-id.ts';
import type { ExecutionId, JobId } from '../core/ids.ts';
import type { EvaluationRecord, JobRecord, RequesterExecution } from './records.ts';
import type { JobChange } from './requester-store.ts';

/** What was written of one job in one generation. */
interface Written {
  record: JobRecord | undefined;
  specs: readonly { readonly version: number; readonly bytes: Uint8Array }[];
  readonly executions: ById<RequesterExecution>;
  /** Ended ones too: their rows are still to be seen until the commit. */
  readonly evaluations: ById<EvaluationRecord>;
}

const KIB = 1024;

const idOf = ({ id }: { readonly id: string }): string => id;

/**
 * Jobs with what belongs to them as they were written lately: as `Recent`, with one entry a job. An entry holds what was
 * written in its generation only, so that of a job that never rests the past is forgotten too.
 */
export class RecentJobs {
  readonly #limit: number;
  #young = new Map<JobId, Written>();
  #old = new Map<JobId, Written>();
  #weight = 0;

  /** `limit`: number of changes, and KiB of specs, from which they grow old. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  put({ job, executions = [], evaluations = [] }: JobChange): void {
    if (job !== undefined) this.#putJob(job);
    for (const { record } of executions) this.#written(record.jobId).executions.set(record);
    for (const { record } of evaluations) this.#written(record.jobId).evaluations.set(record);
    this.#weight += 1;
  }

  job(id: JobId): JobRecord | undefined {
    return this.#young.get(id)?.record ?? this.#old.get(id)?.record;
  }

  spec(id: JobId, version: number): Uint8Array | undefined {
    const isIt = (spec: { readonly version: number }): boolean => spec.version === version;
    return (this.#young.get(id)?.specs.find(isIt) ?? this.#old.get(id)?.specs.find(isIt))?.bytes;
  }

  execution(jobId: JobId, id: ExecutionId): RequesterExecution | undefined {
    return this.#young.get(jobId)?.executions.get(id) ?? this.#old.get(jobId)?.executions.get(id);
  }

  /** The older first: what comes later counts. */
  executions(jobId: JobId): RequesterExecution[] {
    return [this.#old, this.#young].flatMap((jobs) => jobs.get(jobId)?.executions.values ?? []);
  }

  /** An ended one too. */
  evaluation(jobId: JobId, id: string): EvaluationRecord | undefined {
    return this.#young.get(jobId)?.evaluations.get(id) ?? this.#old.get(jobId)?.evaluations.get(id);
  }

  /** To be called after every commit, as that of `Recent`. */
  age(): void {
    if (this.#weight < this.#limit) return;
    this.#old = this.#young;
    this.#young = new Map();
    this.#weight = 0;
  }

  #putJob({ record, spec }: NonNullable<JobChange['job']>): void {
    const written = this.#written(record.id);
    written.record = record;
    if (spec === undefined) return;
    written.specs = [...written.specs, { version: record.version, bytes: spec }];
    this.#weight += spec.length / KIB;
  }

  #written(id: JobId): Written {
    const known = this.#young.get(id);
    if (known !== undefined) return known;
    const written: Written = {
      record: undefined,
      specs: [],
      executions: new ById<RequesterExecution>(idOf),
      evaluations: new ById<EvaluationRecord>(idOf),
    };
    this.#young.set(id, written);
    return written;
  }
}
