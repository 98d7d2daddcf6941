import { NodeError } from '../core/errors.ts';
import type { ExecutionId, JobId } from '../core/ids.ts';
import { isLocalTerminal, type LocalExecutionState, localTransitions } from '../core/states.ts';
import { type ExecutionRow, executionCodec } from './codecs.ts';
import type { ComputeStore, ExecutionChange, Outbox } from './compute-store.ts';
import type { Environment, Key, RangeOptions, Table } from './environment.ts';
import { compareKeys, LAST_TEXT } from './keys.ts';
import { encodeBid, type LiveRow, OpenBids } from './open-bids.ts';
import { Recent } from './recent.ts';
import type { HistoryInput, HistoryRow, LocalExecution, OutboxRow } from './records.ts';
import { type HistoryReader, RoleLog, type RoleStoreModules } from './role-log.ts';
import {
  executionSpecsTable,
  executionsByJobTable,
  executionsByStateTable,
  executionsLiveTable,
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

type Written = ReturnType<RoleLog<LocalExecutionState>['append']>;

function lastElement(key: Key): string {
  return String(typeof key === 'object' ? key.at(-1) : key);
}

function lastId(table: Table<unknown>): string {
  return table.keys({ reverse: true, limit: 1 }).map(lastElement)[0] ?? '';
}

/** Keys of an index that begin with `first`, from the highest down. */
function allOf(first: string): RangeOptions {
  return { start: [first, LAST_TEXT], end: [first] };
}

function newest(records: LocalExecution[], limit: number): LocalExecution[] {
  records.sort((a, b) => (a.header.executionId < b.header.executionId ? 1 : -1));
  return records.slice(0, limit);
}

class EnvironmentComputeStore implements ComputeStore, HistoryReader {
  readonly role = 'compute';
  readonly outbox: Outbox;
  readonly #environment: Environment;
  readonly #log: RoleLog<LocalExecutionState>;
  readonly #live: Table<LiveRow>;
  readonly #ended: Table<ExecutionRow>;
  readonly #specs: Table<Uint8Array>;
  readonly #byJob: Table<Uint8Array>;
  readonly #byState: Table<Uint8Array>;
  /** Null stands for one that was forgotten. */
  readonly #recent: Recent<LocalExecution | null>;
  readonly #bids: OpenBids;
  readonly #recentSpecs = new Recent<Uint8Array | null>(RECENT_SPEC_BYTES);

  constructor(modules: RoleStoreModules) {
    const { environment } = modules;
    this.#environment = environment;
    this.#log = new RoleLog({ role: 'compute', states: STATES }, modules);
    this.outbox = this.#log;
    this.#live = environment.table(executionsLiveTable);
    this.#ended = environment.table(executionsTable);
    this.#specs = environment.table(executionSpecsTable);
    this.#byJob = environment.table(executionsByJobTable);
    this.#byState = environment.table(executionsByStateTable);
    this.#bids = new OpenBids(this.#live);
    const highest = [lastId(this.#live), lastId(this.#ended)].sort(compareKeys).at(-1);
    this.#recent = new Recent(RECENT_RECORDS, highest);
    this.#log.afterCommit(() => {
      this.#bids.age();
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
    const written = spec === undefined ? this.#change(change) : this.#bid(change, spec);
    this.#recent.set(id, record);
    this.#log.count(from, record.state);
    this.#log.announce(written);
  }

  #bid({ record, history, outbox = [] }: ExecutionChange, spec: Uint8Array): Written {
    const id = record.header.executionId;
    const bid = { record, rows: history.map((row) => this.#log.number(row)) };
    let sent: readonly OutboxRow[] = [];
    this.#log.write((batch) => {
      batch.put(this.#specs, id, spec);
      batch.put(this.#live, id, encodeBid(bid));
      sent = outbox.map((message) => this.#log.send(batch, message));
    });
    this.#bids.add(bid);
    this.#recentSpecs.set(id, spec, spec.length + PAGE);
    return { rows: bid.rows, outbox: sent };
  }

  #change({ record, history, outbox = [] }: ExecutionChange): Written {
    const { executionId: id, jobId } = record.header;
    const bid = this.#bids.get(id);
    let written: Written = { rows: [], outbox: [] };
    this.#log.write((batch) => {
      if (isLocalTerminal(record.state)) {
        batch.remove(this.#live, id);
        batch.put(this.#ended, id, executionCodec.encode(record));
        batch.put(this.#byState, [record.state, id], NOTHING);
      } else {
        batch.put(this.#live, id, [executionCodec.encode(record)]);
      }
      if (bid !== undefined) {
        batch.put(this.#byJob, [jobId, id], NOTHING);
        this.#log.move(bid.rows);
      }
      written = this.#log.append(batch, history, outbox);
    });
    this.#bids.moved(id);
    return written;
  }

  async forget(id: ExecutionId, last: HistoryInput): Promise<void> {
    const record = this.get(id);
    if (record === undefined) return;
    if (this.#bids.get(id) === undefined) {
      throw new NodeError('IllegalTransition', `execution ${id} is more than an open bid: ${record.state}`);
    }
    // Its number is given out with this commit, and to nobody else later.
    const row = this.#log.number(last);
    this.#environment.writeLater((batch) => {
      batch.remove(this.#specs, id);
      batch.remove(this.#live, id);
    });
    this.#bids.forgotten(id);
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
    if (this.#recent.isNew(id)) return undefined;
    const bid = this.#bids.get(id);
    if (bid !== undefined) return bid.record;
    const row = this.#live.get(id)?.[0] ?? this.#ended.get(id);
    return row === undefined ? undefined : executionCodec.decode(row);
  }

  spec(id: ExecutionId): Uint8Array | undefined {
    const recent = this.#recentSpecs.get(id);
    return recent === undefined ? this.#specs.get(id) : (recent ?? undefined);
  }

  list({ states, jobId, limit }: Parameters<ComputeStore['list']>[0]): LocalExecution[] {
    if (limit <= 0) return [];
    if (jobId !== undefined) return this.#ofJob(jobId, states, limit);
    const isAll = states === undefined || states.length === STATES.length;
    const found = isAll
      ? [this.#newest(this.#ended, {}, undefined, limit)]
      : ENDED.filter((state) => states.includes(state)).map((state) =>
          this.#newest(this.#byState, allOf(state), undefined, limit),
        );
    if (isAll || !states.every(isLocalTerminal)) {
      found.push(this.#newest(this.#live, {}, isAll ? undefined : states, limit));
    }
    return newest(found.flat(), limit);
  }

  #ofJob(jobId: JobId, states: readonly LocalExecutionState[] | undefined, limit: number): LocalExecution[] {
    const found = this.#newest(this.#byJob, allOf(jobId), states, limit);
    const known = new Set(found.map(({ header }) => header.executionId));
    for (const { record } of this.#bids.committed()) {
      const { header } = record;
      if (header.jobId !== jobId || known.has(header.executionId)) continue;
      const latest = this.get(header.executionId);
      if (latest !== undefined && (states === undefined || states.includes(latest.state))) found.push(latest);
    }
    return newest(found, limit);
  }

  live(options: { after?: ExecutionId; limit: number }): { record: LocalExecution; spec: Uint8Array }[] {
    const { after, limit } = options;
    const ids = this.#live.keys({ ...(after !== undefined && { start: `${after}\u0020` }), limit });
    const items: { record: LocalExecution; spec: Uint8Array }[] = [];
    for (const id of ids.map(lastElement)) {
      const record = this.get(id);
      const spec = this.spec(id);
      if (record !== undefined && spec !== undefined) items.push({ record, spec });
    }
    return items;
  }

  history(id: ExecutionId): HistoryRow[] {
    const rows = this.#log.historyOf(id, { offset: 0, limit: Number.MAX_SAFE_INTEGER });
    return rows.length > 0 ? rows : [...this.#bids.historyOf(id)];
  }

  counts(): Readonly<Record<LocalExecutionState, number>> {
    return { ...this.#log.counts };
  }

  log(options: { readonly after: number; readonly limit: number }): HistoryRow[] {
    const rows = this.#log.log(options);
    const bids = this.#bids.rowsAfter(options.after);
    if (bids.length === 0) return rows;
    const known = new Set(rows.map(({ seq }) => seq));
    rows.push(...bids.filter(({ seq }) => !known.has(seq)));
    return rows.sort((a, b) => a.seq - b.seq).slice(0, options.limit);
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

  /** Newest executions of a table or an index, in pages until `limit` have passed the filter. */
  #newest(
    table: Table<unknown>,
    range: RangeOptions,
    states: readonly LocalExecutionState[] | undefined,
    limit: number,
  ): LocalExecution[] {
    const found: LocalExecution[] = [];
    const page = states === undefined ? limit : PAGE;
    let next = range;
    for (;;) {
      const keys = table.keys({ ...next, reverse: true, limit: page });
      found.push(...this.#load(keys, states, limit - found.length));
      const last = keys.at(-1);
      if (last === undefined || keys.length < page || found.length >= limit) return found;
      next = { ...range, start: last, offset: 1 };
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
