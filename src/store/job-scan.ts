import type { JobId } from '../core/ids.ts';
import type { JobRow } from './codecs.ts';
import type { Key, RangeOptions, Table } from './environment.ts';
import { LAST_NUMBER, LAST_TEXT, shortText } from './keys.ts';
import type { JobRecord } from './records.ts';
import type { JobQuery } from './requester-store.ts';

/** Jobs looked at in one slice. */
const SLICE = 256;
/** Live jobs that are put in order of their last change; of more, the newest. */
const MAX_LIVE_BY_CHANGE = 10_000;

/** Tables a list of jobs is read from. */
export interface JobIndexes {
  readonly jobs: Table<JobRow>;
  /** [namespace, job id] */
  readonly byNamespace: Table<Uint8Array>;
  /** job id */
  readonly live: Table<Uint8Array>;
  /** [modify time, job id] */
  readonly ended: Table<Uint8Array>;
  readonly job: (id: JobId) => JobRecord | undefined;
}

/** The job id that ends a key. */
export function idOf(key: Key): JobId {
  return String(typeof key === 'object' ? key.at(-1) : key);
}

/** All ids of an index, page by page, from one end of the range to the other. */
function* pages(table: Table<unknown>, range: RangeOptions): Generator<JobId[]> {
  let start = range.start;
  let offset = 0;
  for (;;) {
    const keys = table.keys({ ...range, ...(start === undefined ? {} : { start }), offset, limit: SLICE });
    if (keys.length > 0) yield keys.map(idOf);
    const last = keys.at(-1);
    if (last === undefined || keys.length < SLICE) return;
    start = last;
    offset = 1;
  }
}

function* byCreation(indexes: JobIndexes, namespace: string, newestFirst: boolean): Generator<JobRecord[]> {
  const all = namespace === '' || namespace === '*';
  const low: Key = [shortText(namespace)];
  const high: Key = [shortText(namespace), LAST_TEXT];
  const range: RangeOptions = all
    ? { reverse: newestFirst }
    : { start: newestFirst ? high : low, end: newestFirst ? low : high, reverse: newestFirst };
  for (const ids of pages(all ? indexes.jobs : indexes.byNamespace, range)) yield load(indexes, ids);
}

function load(indexes: JobIndexes, ids: readonly JobId[]): JobRecord[] {
  return ids.map((id) => indexes.job(id)).filter((job) => job !== undefined);
}

/** Live jobs, sorted, merged with the ended ones, whose index is in order. */
function* byChange(indexes: JobIndexes, latestFirst: boolean): Generator<JobRecord[]> {
  const sign = latestFirst ? -1 : 1;
  const live: JobRecord[] = [];
  for (const ids of pages(indexes.live, { reverse: true })) {
    live.push(...load(indexes, ids));
    yield [];
    if (live.length >= MAX_LIVE_BY_CHANGE) break;
  }
  live.sort((a, b) => sign * (a.modifyTime - b.modifyTime) || (a.id < b.id ? -sign : sign));
  let next = 0;
  const range: RangeOptions = latestFirst ? { start: [LAST_NUMBER], reverse: true } : {};
  for (const ids of pages(indexes.ended, range)) {
    const page: JobRecord[] = [];
    for (const job of load(indexes, ids)) {
      for (; next < live.length; next++) {
        const candidate = live[next];
        if (candidate === undefined || sign * (candidate.modifyTime - job.modifyTime) > 0) break;
        page.push(candidate);
      }
      page.push(job);
    }
    yield page;
  }
  yield live.slice(next);
}

/** The jobs of a query in its order, slice by slice; `add` returns false when it has enough. */
export class JobScan {
  readonly #slices: Generator<JobRecord[]>;
  readonly #query: JobQuery;
  readonly #items: JobRecord[] = [];
  #skip: number;
  #more = false;

  constructor(indexes: JobIndexes, query: JobQuery) {
    this.#query = query;
    this.#skip = query.offset;
    this.#slices =
      query.orderBy === 'modified_at'
        ? byChange(indexes, query.reverse)
        : byCreation(indexes, query.namespace, query.reverse);
  }

  /** Looks at one slice. False when the answer is complete. */
  step(): boolean {
    const { value, done } = this.#slices.next();
    if (done === true) return false;
    for (const job of value) {
      if (!this.#passes(job)) continue;
      if (this.#skip > 0) {
        this.#skip -= 1;
      } else if (this.#items.length >= this.#query.limit) {
        this.#more = true;
        return false;
      } else {
        this.#items.push(job);
      }
    }
    return true;
  }

  answer(): { items: JobRecord[]; more: boolean } {
    return { items: this.#items, more: this.#more };
  }

  #passes(job: JobRecord): boolean {
    const { namespace, matches } = this.#query;
    return (namespace === '' || namespace === '*' || job.namespace === namespace) && matches(job);
  }
}
