import type { JobId } from '../core/ids.ts';
import type { EvaluationRecord, JobRecord } from '../store/records.ts';
import type { RequesterStore } from '../store/requester-store.ts';
import { TICKET_DETAIL } from './lives.ts';

/** A job that waits for room. */
export interface Waiting {
  readonly evaluation: EvaluationRecord;
  readonly record: JobRecord;
  /** Jobs of one shape find room on the same nodes; "" where the job's past matters too. */
  readonly shape: string;
}

function shapeOf(record: JobRecord, evaluation: EvaluationRecord): string {
  if (evaluation.trigger !== 'job-register') return '';
  const { cpu, memory, disk, gpu } = record.resources;
  const rules = record.constraints.length === 0 ? '' : JSON.stringify(record.constraints);
  const parts = [record.type, record.count, cpu, memory, disk, gpu, record.engine, record.publisher];
  return `${parts.join('|')}|${record.storages.join(',')}|${rules}`;
}

/** Negative when `a` comes first: higher priority, then earlier. The order of `RequesterStore.blocked`. */
function order(a: EvaluationRecord, b: EvaluationRecord): number {
  if (a.priority !== b.priority) return b.priority - a.priority;
  if (a.createTime !== b.createTime) return a.createTime - b.createTime;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

/**
 * The head of the line of jobs that wait for room: at most `size` of them in memory, whatever the length of
 * the line, which is in the store. Every job before the last entry is an entry.
 */
export class Window {
  readonly #size: number;
  readonly #store: RequesterStore;
  #entries: Waiting[] = [];
  readonly #byJob = new Map<JobId, Waiting>();
  /** Jobs of the line that are not entries. */
  #beyond = 0;

  constructor(options: { readonly size: number }, modules: { readonly store: RequesterStore }) {
    this.#size = options.size;
    this.#store = modules.store;
  }

  /** Length of the line. */
  get count(): number {
    return this.#byJob.size + this.#beyond;
  }

  /** True when every waiting job is an entry. */
  get isComplete(): boolean {
    return this.#beyond === 0;
  }

  get first(): Waiting | undefined {
    return this.#entries.find((entry) => this.#byJob.get(entry.record.id) === entry);
  }

  /** The line as the store has it at start. */
  reset(count: number): void {
    this.#entries = [];
    this.#byJob.clear();
    this.#beyond = count;
  }

  /** A job has begun to wait. */
  add(evaluation: EvaluationRecord, record: JobRecord): void {
    const last = this.#entries.at(-1)?.evaluation;
    const goesLast = last === undefined || order(last, evaluation) < 0;
    if (goesLast && (this.#beyond > 0 || this.#byJob.size >= this.#size)) {
      this.#beyond += 1;
      return;
    }
    const entry: Waiting = { evaluation, record, shape: shapeOf(record, evaluation) };
    this.#byJob.set(record.id, entry);
    if (goesLast) {
      this.#entries.push(entry);
      return;
    }
    const at = this.#entries.findIndex((other) => order(evaluation, other.evaluation) < 0);
    this.#entries.splice(at, 0, entry);
    while (this.#byJob.size > this.#size * 2) {
      const dropped = this.#entries.pop();
      if (dropped === undefined) break;
      if (this.#byJob.get(dropped.record.id) !== dropped) continue;
      this.#byJob.delete(dropped.record.id);
      this.#beyond += 1;
    }
  }

  /** A job waits no more. */
  remove(jobId: JobId): void {
    if (!this.#byJob.delete(jobId)) this.#beyond = Math.max(0, this.#beyond - 1);
  }

  /** The entries in order. Those taken away meanwhile are left out at the next call. */
  *entries(): IterableIterator<Waiting> {
    const alive = this.#entries.filter((entry) => this.#byJob.get(entry.record.id) === entry);
    this.#entries = alive;
    for (const entry of alive) if (this.#byJob.get(entry.record.id) === entry) yield entry;
  }

  /** Reads on from the last entry until the window is full. False when the store shows no more than that. */
  refill(isWaiting: (evaluation: EvaluationRecord, record: JobRecord) => boolean): boolean {
    let grew = false;
    let after = this.#entries.at(-1)?.evaluation;
    while (this.#beyond > 0 && this.#byJob.size < this.#size) {
      const limit = this.#size - this.#byJob.size;
      const page = this.#store.blocked(after === undefined ? { limit } : { after, limit });
      for (const evaluation of page) {
        after = evaluation;
        const record = this.#store.job(evaluation.jobId);
        if (record === undefined || !isWaiting(evaluation, record)) continue;
        const entry: Waiting = { evaluation, record, shape: shapeOf(record, evaluation) };
        this.#entries.push(entry);
        this.#byJob.set(record.id, entry);
        this.#beyond -= 1;
        grew = true;
      }
      if (page.length < limit) break;
    }
    return grew;
  }

  /** A page of the line behind the window. */
  page(after: EvaluationRecord | undefined, limit: number): EvaluationRecord[] {
    const from = after ?? this.#entries.at(-1)?.evaluation;
    return this.#store.blocked(from === undefined ? { limit } : { after: from, limit });
  }
}

/** True when the record says that the job waits by this evaluation. */
export function waitsBy(record: JobRecord, evaluation: EvaluationRecord): boolean {
  return record.state.type === 'Queued' && record.state.details?.[TICKET_DETAIL] === evaluation.id;
}
