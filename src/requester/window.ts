import type { JobId } from '../core/ids.ts';
import type { EvaluationRecord, JobRecord } from '../store/records.ts';
import type { RequesterStore } from '../store/requester-store.ts';
import { TICKET_DETAIL } from './lives.ts';

/** Entries that wait no more are swept when they are so many: most looks stop at the first few. */
const SWEEP_AT = 64;

/** A job that waits for room. */
export interface Waiting {
  evaluation: EvaluationRecord;
  record: JobRecord;
  /** Jobs of one shape find room on the same nodes; "" where the job's past matters too. */
  shape: string;
  /** False once it waits no more, or not here. */
  waits: boolean;
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
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

/**
 * The head of the line of jobs that wait for room: about `size` of them in memory, whatever the length of the
 * line, which is in the store. Every waiting job up to the cursor is an entry.
 */
export class Window {
  readonly #size: number;
  readonly #store: RequesterStore;
  #entries: Waiting[] = [];
  readonly #byJob = new Map<JobId, Waiting>();
  #cursor: EvaluationRecord | undefined;
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

  /** The first of the line. */
  get first(): Waiting | undefined {
    return this.#entries.find(({ waits }) => waits);
  }

  /** The line as the store has it, nothing of it read yet. */
  reset(count: number): void {
    this.#beyond = count;
    this.#byJob.clear();
    this.#entries = [];
    this.#cursor = undefined;
  }

  /** A job has begun to wait. */
  add(evaluation: EvaluationRecord, record: JobRecord): void {
    const goesLast = this.#cursor === undefined || order(this.#cursor, evaluation) < 0;
    if (goesLast && (this.#beyond > 0 || this.#byJob.size >= this.#size)) {
      this.#beyond += 1;
      return;
    }
    if (this.#entries.length > this.#size * 4) this.#sweep();
    const entry = this.#enter(evaluation, record);
    if (goesLast) {
      this.#entries.push(entry);
      this.#cursor = evaluation;
      return;
    }
    const at = this.#entries.findIndex((other) => order(evaluation, other.evaluation) < 0);
    this.#entries.splice(at < 0 ? this.#entries.length : at, 0, entry);
    if (this.#byJob.size > this.#size * 2) this.#shrink();
  }

  /** A job that goes on waiting has changed; its place is the same. */
  refresh(evaluation: EvaluationRecord, record: JobRecord): void {
    const entry = this.#byJob.get(record.id);
    if (entry === undefined) return;
    entry.evaluation = evaluation;
    entry.record = record;
    entry.shape = shapeOf(record, evaluation);
  }

  /** A job waits no more. */
  remove(jobId: JobId): void {
    const entry = this.#byJob.get(jobId);
    if (entry === undefined) return this.removeBeyond();
    entry.waits = false;
    this.#byJob.delete(jobId);
  }

  /** A job behind the window waits no more. */
  removeBeyond(): void {
    this.#beyond = Math.max(0, this.#beyond - 1);
  }

  /** The entries in order. */
  *entries(): IterableIterator<Waiting> {
    if (this.#entries.length > this.#byJob.size + SWEEP_AT) this.#sweep();
    for (const entry of this.#entries) if (entry.waits) yield entry;
  }

  /**
   * Reads on until the window is full, once half of it is empty. "more": something was read. "none": nothing had to be
   * read, or is there. "hidden": the store does not show all that waits; it is not committed, or was passed.
   */
  refill(
    isWaiting: (evaluation: EvaluationRecord, record: JobRecord | undefined) => boolean,
  ): 'more' | 'none' | 'hidden' {
    let grew = false;
    if (this.#byJob.size > this.#size / 2) return 'none';
    while (this.#beyond > 0 && this.#byJob.size < this.#size) {
      const limit = this.#size - this.#byJob.size;
      const page = this.page(undefined, limit);
      for (const evaluation of page) {
        this.#cursor = evaluation;
        if (this.#byJob.get(evaluation.jobId)?.evaluation.id === evaluation.id) continue;
        const record = this.#store.job(evaluation.jobId);
        if (!isWaiting(evaluation, record) || record === undefined) continue;
        this.#entries.push(this.#enter(evaluation, record));
        this.removeBeyond();
        grew = true;
      }
      if (page.length < limit) return grew ? 'more' : this.#beyond > 0 ? 'hidden' : 'none';
    }
    return grew ? 'more' : 'none';
  }

  /** A page of the line, after the cursor where `after` is not given. */
  page(after: EvaluationRecord | undefined, limit: number): EvaluationRecord[] {
    const from = after ?? this.#cursor;
    return this.#store.blocked(from === undefined ? { limit } : { after: from, limit });
  }

  #enter(evaluation: EvaluationRecord, record: JobRecord): Waiting {
    const before = this.#byJob.get(record.id);
    if (before !== undefined) before.waits = false;
    const entry: Waiting = { evaluation, record, shape: shapeOf(record, evaluation), waits: true };
    this.#byJob.set(record.id, entry);
    return entry;
  }

  #sweep(): void {
    this.#entries = this.#entries.filter(({ waits }) => waits);
  }

  /** Gives the last entries back to the store's keeping. */
  #shrink(): void {
    this.#sweep();
    for (const entry of this.#entries.splice(this.#size)) {
      entry.waits = false;
      this.#byJob.delete(entry.record.id);
      this.#beyond += 1;
    }
    this.#cursor = this.#entries.at(-1)?.evaluation;
  }
}

/** True when the record says that the job waits by this evaluation. */
export function waitsBy(record: JobRecord, evaluation: EvaluationRecord): boolean {
  return record.state.type === 'Queued' && record.state.details?.[TICKET_DETAIL] === evaluation.id;
}
