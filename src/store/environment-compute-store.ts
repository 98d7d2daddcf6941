import { NodeError } from '../core/errors.ts';
import type { ExecutionId } from '../core/ids.ts';
import { isLocalTerminal, type LocalExecutionState, localTransitions } from '../core/states.ts';
import { executionCodec, headerCodec } from './codecs.ts';
import type { ComputeStore, ExecutionChange, Outbox } from './compute-store.ts';
import type { Environment, Key, Table } from './environment.ts';
import { LAST_TEXT } from './keys.ts';
import { OpenBids } from './open-bids.ts';
import { Recent } from './recent.ts';
import type { HistoryInput, HistoryRow, LocalExecution, OutboxRow } from './records.ts';
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
type Written = ReturnType<RoleLog<LocalExecutionState>['append']>;

function groupOf(state: LocalExecutionState): string {
  return isLocalTerminal(state) ? state : LIVE;
}

function lastElement(key: Key): string {
  return String(typeof key === 'object' ? key.at(-1) : key);
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
  readonly #executions: Table<Tuple>;
  readonly #headers: Table<Tuple>;
  readonly #specs: Table<Uint8Array>;
  readonly #byJob: Table<Uint8Array>;
  readonly #byGroup: Table<Uint8Array>;
  /** Null stands for one that was forgotten. */
  readonly #recent = new Recent<LocalExecution | null>(RECENT_RECORDS);
  readonly #bids: OpenBids;
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
    this.#bids = new OpenBids(environment);
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
      this.#bids.put(batch, bid);
      sent = outbox.map((message) => this.#log.send(batch, message));
    });
    this.#bids.add(bid);
    this.#recentSpecs.set(id, spec, spec.length + PAGE);
    return { rows: bid.rows, outbox: sent };
  }

  #change({ from, record, history, outbox = [] }: ExecutionChange): Written {
    const { header, ...changing } = record;
    const id = header.executionId;
    const bid = this.#bids.get(id);
    const group = groupOf(record.state);
    let written: Written = { rows: [], outbox: [] };
    this.#log.write((batch) => {
      batch.put(this.#executions, id, executionCodec.encode(changing));
      if (bid !== undefined) {
        this.#bids.remove(batch, id);
        batch.put(this.#headers, id, headerCodec.encode(header));
        batch.put(this.#byJob, [header.jobId, id], NOTHING);
        batch.put(this.#byGroup, [group, id], NOTHING);
        this.#log.move(bid.rows);
      } else if (from !== null && groupOf(from) !== group) {
        batch.remove(this.#byGroup, [groupOf(from), id]);
        batch.put(this.#byGroup, [group, id], NOTHING);
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
    this.#log.write((batch) => {
      batch.remove(this.#specs, id);
      this.#bids.remove(batch, id);
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
    const bid = this.#bids.get(id);
    if (bid !== undefined) return bid.record;
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
    const found = this.#moved(options);
    const moved = found.length;
    for (const { record } of this.#bids.committed()) {
      const { header } = record;
      const latest = this.get(header.executionId);
      const isAsked = latest !== undefined && (jobId === undefined || header.jobId === jobId);
      if (isAsked && (states === undefined || states.includes(latest.state))) found.push(latest);
    }
    return found.length === moved ? found : newest(found, limit);
  }

  /** Those of the list that are no open bids. */
  #moved({ states, jobId, limit }: Parameters<ComputeStore['list']>[0]): LocalExecution[] {
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
    return newest(found.flat(), limit);
  }

  live(options: { after?: ExecutionId; limit: number }): { record: LocalExecution; spec: Uint8Array }[] {
    const start = options.after === undefined ? [LIVE] : [LIVE, `${options.after}\u0020`];
    const ids = this.#byGroup.keys({ start, end: [LIVE, LAST_TEXT], limit: options.limit }).map(lastElement);
    const moved = ids.length;
    for (const { record } of this.#bids.committed()) {
      const id = record.header.executionId;
      if (options.after === undefined || id > options.after) ids.push(id);
    }
    if (ids.length > moved) ids.sort();
    const items: { record: LocalExecution; spec: Uint8Array }[] = [];
    for (const id of ids.slice(0, options.limit)) {
      const record = this.get(id);
      const spec = this.spec(id);
      if (record !== undefined && spec !== undefined) items.push({ record, spec });
    }
    return items;
  }

  history(id: ExecutionId): HistoryRow[] {
    const bid = this.#bids.historyOf(id);
    return [...bid, ...this.#log.historyOf(id, { offset: 0, limit: Number.MAX_SAFE_INTEGER })];
  }

  counts(): Readonly<Record<LocalExecutionState, number>> {
    return { ...this.#log.counts };
  }

  log(options: { readonly after: number; readonly limit: number }): HistoryRow[] {
    const moved = this.#log.log(options);
    const bids = this.#bids.rowsAfter(options.after);
    if (bids.length === 0) return moved;
    return [...moved, ...bids].sort((a, b) => a.seq - b.seq).slice(0, options.limit);
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
