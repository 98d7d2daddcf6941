import { NodeError } from '../core/errors.ts';
import type { ExecutionId } from '../core/ids.ts';
import { isLocalTerminal, type LocalExecutionState, localTransitions } from '../core/states.ts';
import { executionCodec, headerCodec } from './codecs.ts';
import type { ComputeStore, ExecutionChange, Outbox } from './compute-store.ts';
import type { Environment, Key, Table } from './environment.ts';
import { LAST_TEXT } from './keys.ts';
import { Recent } from './recent.ts';
import type { HistoryInput, HistoryRow, LocalExecution } from './records.ts';
import { type HistoryReader, RoleLog, type RoleStoreModules } from './role-log.ts';
import {
  executionHeadersTable,
  executionSpecsTable,
  executionsByGroupTable,
  executionsByJobTable,
  executionsTable,
  NOTHING,
} from './tables.ts';
import { checkTransition } from './transitions.ts';

const STATES = Object.keys(localTransitions) as LocalExecutionState[];
const ENDED: readonly LocalExecutionState[] = STATES.filter(isLocalTerminal);
const RECENT_RECORDS = 2048;
const RECENT_SPEC_BYTES = 2 * 1024 * 1024;
/** Rows looked at in one step of a list that filters. */
const PAGE = 256;
const LIVE = 'live';

type Tuple = readonly unknown[];

function groupOf(state: LocalExecutionState): string {
  return isLocalTerminal(state) ? state : LIVE;
}

function lastElement(key: Key): string {
  return String(typeof key === 'object' ? key.at(-1) : key);
}

function rowSeq(row: HistoryRow): number {
  return row.seq;
}

class EnvironmentComputeStore implements ComputeStore, HistoryReader {
  readonly role = 'compute';
  readonly outbox: Outbox;
  readonly #environment: Environment;
  readonly #log: RoleLog<LocalExecutionState>;
  readonly #executions: Table<Tuple>;
  readonly #headers: Table<Tuple>;
  readonly #specs: Table<Uint8Array>;
  readonly #byJob: Table<Uint8Array>;
  readonly #byGroup: Table<Uint8Array>;
  /** Null stands for one that was forgotten. */
  readonly #recent = new Recent<LocalExecution | null>(RECENT_RECORDS);
  /** Seqs of the history of bids made in this life: as many as are offered or wait for approval. */
  readonly #bids = new Map<ExecutionId, readonly number[]>();
  readonly #recentSpecs = new Recent<Uint8Array | null>(RECENT_SPEC_BYTES);

  constructor(modules: RoleStoreModules) {
    const { environment } = modules;
    this.#environment = environment;
    this.#log = new RoleLog({ role: 'compute', states: STATES }, modules);
    this.outbox = this.#log;
    this.#executions = environment.table(executionsTable);
    this.#headers = environment.table(executionHeadersTable);
    this.#specs = environment.table(executionSpecsTable);
    this.#byJob = environment.table(executionsByJobTable);
    this.#byGroup = environment.table(executionsByGroupTable);
    this.#log.afterCommit(() => {
      this.#recent.age();
      this.#recentSpecs.age();
    });
  }

  transition(change: ExecutionChange): void {
    const { from, record, spec } = change;
    const id = record.header.executionId;
    const stored = this.get(id)?.state;
    checkTransition('execution', id, localTransitions, 'Created', { stored, from, to: record.state });
    if (from !== null && isLocalTerminal(from)) {
      throw new NodeError('IllegalTransition', `execution ${id} has ended as ${from}; it changes no more`);
    }
    if ((from === null) !== (spec !== undefined)) {
      throw new NodeError(
        'IllegalTransition',
        `execution ${id}: the spec is given when the execution is new, and only then`,
      );
    }
    let written: ReturnType<RoleLog<LocalExecutionState>['append']> = { rows: [], outbox: [] };
    this.#environment.write((batch) => {
      const { header, ...changing } = record;
      batch.put(this.#executions, id, executionCodec.encode(changing));
      if (spec !== undefined) {
        batch.put(this.#headers, id, headerCodec.encode(header));
        batch.put(this.#specs, id, spec);
        batch.put(this.#byJob, [header.jobId, id], NOTHING);
      }
      const group = groupOf(record.state);
      if (from === null || groupOf(from) !== group) {
        if (from !== null) batch.remove(this.#byGroup, [groupOf(from), id]);
        batch.put(this.#byGroup, [group, id], NOTHING);
      }
      written = this.#log.append(batch, change.history, change.outbox ?? []);
    });
    this.#recent.set(id, record);
    if (spec !== undefined) this.#recentSpecs.set(id, spec, spec.length + PAGE);
    if (from === null) this.#bids.set(id, written.rows.map(rowSeq));
    else this.#bids.delete(id);
    this.#log.count(from, record.state);
    this.#log.announce(written);
  }

  async forget(id: ExecutionId, last: HistoryInput): Promise<void> {
    // Of one that an earlier life has made, the index of its history tells when all is committed.
    if (!this.#bids.has(id)) await this.committed();
    const record = this.get(id);
    if (record === undefined) return;
    if (record.state !== 'Created') {
      throw new NodeError('IllegalTransition', `execution ${id} is ${record.state}; only a bid is forgotten`);
    }
    const seqs = this.#bids.get(id) ?? this.#log.seqsOf(id);
    this.#bids.delete(id);
    // Its number is given out with this commit, and to nobody else later.
    const row = this.#log.passing(last);
    this.#environment.write((batch) => {
      batch.remove(this.#executions, id);
      batch.remove(this.#headers, id);
      batch.remove(this.#specs, id);
      batch.remove(this.#byJob, [record.header.jobId, id]);
      batch.remove(this.#byGroup, [groupOf(record.state), id]);
      this.#log.forget(batch, id, seqs);
    });
    this.#recent.set(id, null);
    this.#recentSpecs.set(id, null);
    this.#log.count(record.state, null);
    this.#log.announce({ rows: [row], outbox: [] });
    await this.flushed();
  }

  committed(): Promise<void> {
    return this.#environment.committed();
  }

  flushed(): Promise<void> {
    return this.#environment.flushed();
  }

  get(id: ExecutionId): LocalExecution | undefined {
    const recent = this.#recent.get(id);
    if (recent !== undefined) return recent ?? undefined;
    const row = this.#executions.get(id);
    if (row === undefined) return undefined;
    const header = this.#headers.get(id);
    if (header === undefined) {
      throw new NodeError('StoreFailed', `execution ${id} has no header in ${this.#environment.path}`);
    }
    return { header: headerCodec.decode(header), ...executionCodec.decode(row) };
  }

  spec(id: ExecutionId): Uint8Array | undefined {
    const recent = this.#recentSpecs.get(id);
    return recent === undefined ? this.#specs.get(id) : (recent ?? undefined);
  }

  list(options: Parameters<ComputeStore['list']>[0]): LocalExecution[] {
    const { states, jobId, limit } = options;
    if (limit <= 0) return [];
    if (jobId !== undefined) return this.#newest(this.#byJob, jobId, states, limit);
    if (states === undefined || states.length === STATES.length) {
      return this.#load(this.#executions.keys({ reverse: true, limit }), undefined, limit);
    }
    const wanted = new Set(states);
    const found = ENDED.filter((state) => wanted.has(state)).map((state) =>
      this.#newest(this.#byGroup, state, undefined, limit),
    );
    if (states.some((state) => !isLocalTerminal(state))) {
      found.push(this.#newest(this.#byGroup, LIVE, states, limit));
    }
    const merged = found.flat();
    merged.sort((a, b) => (a.header.executionId < b.header.executionId ? 1 : -1));
    return merged.slice(0, limit);
  }

  live(options: { after?: ExecutionId; limit: number }): { record: LocalExecution; spec: Uint8Array }[] {
    const start = options.after === undefined ? [LIVE] : [LIVE, `${options.after}\u0020`];
    const keys = this.#byGroup.keys({ start, end: [LIVE, LAST_TEXT], limit: options.limit });
    const items: { record: LocalExecution; spec: Uint8Array }[] = [];
    for (const key of keys) {
      const record = this.get(lastElement(key));
      const spec = this.spec(lastElement(key));
      if (record !== undefined && spec !== undefined) items.push({ record, spec });
    }
    return items;
  }

  history(id: ExecutionId): HistoryRow[] {
    return this.#log.historyOf(id, { offset: 0, limit: Number.MAX_SAFE_INTEGER });
  }

  counts(): Readonly<Record<LocalExecutionState, number>> {
    return { ...this.#log.counts };
  }

  log(options: { readonly after: number; readonly limit: number }): HistoryRow[] {
    return this.#log.log(options);
  }

  floor(): number {
    return this.#log.floor();
  }

  firstUnwritten(): number {
    return this.#log.firstUnwritten();
  }

  onHistory(listener: (rows: readonly HistoryRow[]) => void): void {
    this.#log.onHistory(listener);
  }

  close(): Promise<void> {
    return this.#environment.close();
  }

  /** Newest entries of an index whose keys are [first, execution id], in pages until `limit` have passed the filter. */
  #newest(
    index: Table<Uint8Array>,
    first: string,
    states: readonly LocalExecutionState[] | undefined,
    limit: number,
  ): LocalExecution[] {
    const found: LocalExecution[] = [];
    const page = states === undefined ? limit : PAGE;
    let start: Key = [first, LAST_TEXT];
    let offset = 0;
    for (;;) {
      const keys = index.keys({ start, end: [first], reverse: true, limit: page, offset });
      found.push(...this.#load(keys, states, limit - found.length));
      const last = keys.at(-1);
      if (last === undefined || keys.length < page || found.length >= limit) return found;
      start = last;
      offset = 1;
    }
  }

  #load(
    keys: readonly Key[],
    states: readonly LocalExecutionState[] | undefined,
    limit: number,
  ): LocalExecution[] {
    const found: LocalExecution[] = [];
    for (const key of keys) {
      if (found.length >= limit) break;
      const record = this.get(lastElement(key));
      if (record !== undefined && (states === undefined || states.includes(record.state))) found.push(record);
    }
    return found;
  }
}

/**
 * The compute role's store over an environment of its own. Point reads (`get`, `spec`) see a transition at
 * once; lists and histories see it when it is committed.
 */
export function createComputeStore(modules: RoleStoreModules): ComputeStore & HistoryReader {
  return new EnvironmentComputeStore(modules);
}
