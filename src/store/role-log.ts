import type { NodeId } from '../core/ids.ts';
import type { Message, OutboxMessage } from '../core/messages.ts';
import type { Outbox } from './compute-store.ts';
import type { Environment, Key, Table, WriteBatch } from './environment.ts';
import { History } from './history.ts';
import { LAST_NUMBER } from './keys.ts';
import type { HistoryInput, HistoryRow, OutboxRow } from './records.ts';
import { messagesTable, metaTable } from './tables.ts';

/** Row "counters" of the meta table: what would otherwise be counted at every start. */
interface CountersRow {
  readonly counts: Readonly<Record<string, number>>;
  /** Highest history seq that was given out. */
  readonly lastSeq: number;
  /** Highest outbox seq that was given out: one is not used again after its row was removed. */
  readonly lastOutboxSeq: number;
  /** No history row of this role with a lower seq is kept; absent where all are. */
  readonly floor?: number;
}

const COUNTERS = 'counters';

function readCounters(environment: Environment): CountersRow | undefined {
  return environment.table<CountersRow>(metaTable).get(COUNTERS);
}

/** The number at the end of `[owner, seq]`. */
function seqOf(key: Key): number {
  return Number(typeof key === 'object' ? key[1] : key);
}

/** Highest history seq of this environment; the node's sequencer goes on after the highest of both roles. */
export function lastSeq(environment: Environment): number {
  return readCounters(environment)?.lastSeq ?? 0;
}

/** Reads of the event log of one role. */
export interface HistoryReader {
  readonly role: HistoryRow['role'];
  /** Committed rows with a greater seq, oldest first. */
  log(options: { readonly after: number; readonly limit: number }): HistoryRow[];
  /** Rows of this role with a lower seq were lost with an earlier store, if there were any; 1 where none was. */
  floor(): number;
  /** Lowest seq given to a row of this role that is not on disk yet; infinity when all are. */
  firstUnwritten(): number;
  /** Told of rows once they are on disk, in the order of their seq. */
  onHistory(listener: (rows: readonly HistoryRow[]) => void): void;
}

/** What a role's store is made of. */
export interface RoleStoreModules {
  readonly environment: Environment;
  /** The node-wide sequencer (events/seq.ts). */
  readonly nextSeq: () => number;
  /** What `nextSeq` gives first, where that is not 1: in a store that is new, history begins there. */
  readonly firstSeq?: number;
  /** This node where it has both roles: messages from one to the other need no row when a restart finds them out again. */
  readonly ownNode?: NodeId | undefined;
}

/**
 * True for what a requester that starts again says or asks of every execution that has not ended, and for what its
 * node then answers (requester/recovery.ts, pipeline/compute.ts).
 */
function isFoundAgain({ type }: Message): boolean {
  switch (type) {
    case 'AskForBid':
    case 'BidAccepted':
    case 'BidResult':
    case 'BidWaiting':
    case 'ExecutionStarted':
    case 'RunResult':
    case 'ComputeError':
    case 'NodeInfo':
    case 'RoomAnnounced':
      return true;
    case 'BidRejected':
    case 'CancelExecution':
      return false;
  }
}

/** True for an offer: its requester asks again over every new way to this node, until it has heard of it. */
function isAskedAgain(message: Message): boolean {
  return message.type === 'BidResult' && message.accepted;
}

/** History, outbox and counters: what both role stores write the same way, in the transaction of the change. */
export class RoleLog<S extends string> implements Outbox, HistoryReader {
  readonly counts: Record<S, number>;
  readonly role: HistoryRow['role'];
  readonly #environment: Environment;
  readonly #ownNode: NodeId | undefined;
  readonly #nextSeq: () => number;
  readonly #history: History;
  readonly #messages: Table<Message>;
  readonly #uncommitted: HistoryRow[] = [];
  #lastSeq: number;
  #lastOutboxSeq: number;
  readonly #floor: number;
  #written: string;
  #onAppend: (rows: readonly OutboxRow[]) => void = () => undefined;
  readonly #onHistory: ((rows: readonly HistoryRow[]) => void)[] = [];
  readonly #afterCommit: (() => void)[] = [];
  #delivering = false;

  constructor(
    options: { readonly role: HistoryRow['role']; readonly states: readonly S[] },
    modules: RoleStoreModules,
  ) {
    const { environment } = modules;
    this.#ownNode = modules.ownNode;
    this.#environment = environment;
    this.role = options.role;
    this.#nextSeq = modules.nextSeq;
    this.#messages = environment.table(messagesTable);
    const stored = readCounters(environment);
    this.counts = Object.fromEntries(options.states.map((s) => [s, stored?.counts[s] ?? 0])) as Record<
      S,
      number
    >;
    this.#lastSeq = stored?.lastSeq ?? 0;
    this.#history = new History({ role: options.role, lastSeq: this.#lastSeq }, environment);
    this.#lastOutboxSeq = stored?.lastOutboxSeq ?? 0;
    this.#floor = stored === undefined ? (modules.firstSeq ?? 1) : (stored.floor ?? 1);
    this.#written = this.#fingerprint();
    const meta = environment.table<CountersRow>(metaTable);
    environment.beforeCommit((batch) => {
      this.#history.write(batch);
      const fingerprint = this.#fingerprint();
      if (fingerprint === this.#written) return;
      this.#written = fingerprint;
      batch.put(meta, COUNTERS, {
        counts: { ...this.counts },
        lastSeq: this.#lastSeq,
        lastOutboxSeq: this.#lastOutboxSeq,
        ...(this.#floor > 1 && { floor: this.#floor }),
      });
    });
  }

  /** `environment.write`; when `change` throws, the rows it has added are forgotten with its writes. */
  write(change: (batch: WriteBatch) => void): void {
    const { waiting } = this.#history;
    try {
      this.#environment.write(change);
    } catch (error) {
      this.#history.takeBack(waiting);
      throw error;
    }
  }

  /** To be called inside `write`; what it returns is announced by `announce` after it. */
  append(
    batch: WriteBatch,
    history: readonly HistoryInput[],
    messages: readonly OutboxMessage[],
  ): { readonly rows: readonly HistoryRow[]; readonly outbox: readonly OutboxRow[] } {
    const rows = history.map((input): HistoryRow => {
      const row = this.number(input);
      const isListed = input.unlisted !== true && (row.level === 'job' || row.level === 'execution');
      this.#history.add({ row, isListed });
      return row;
    });
    return { rows, outbox: messages.map((message) => this.send(batch, message)) };
  }

  /** Puts rows of an execution where they belong that were numbered before. To be called inside `write`. */
  move(rows: readonly HistoryRow[]): void {
    for (const row of rows) this.#history.add({ row, isListed: true });
  }

  /** Writes a message into the outbox. To be called inside `write`. */
  send(batch: WriteBatch, { to, message }: OutboxMessage): OutboxRow {
    this.#lastOutboxSeq += 1;
    const seq = this.#lastOutboxSeq;
    if (isAskedAgain(message) || (to === this.#ownNode && isFoundAgain(message)))
      return { to, message, seq, fleeting: true };
    batch.put(this.#messages, [to, seq], message);
    return { to, message, seq };
  }

  /** A row for `announce` that is kept elsewhere, or nowhere. */
  number(input: HistoryInput): HistoryRow {
    this.#lastSeq = this.#nextSeq();
    // Field by field: a rest and a spread cost half a microsecond.
    return {
      seq: this.#lastSeq,
      time: input.time,
      role: this.role,
      level: input.level,
      jobId: input.jobId,
      jobVersion: input.jobVersion,
      executionId: input.executionId,
      nodeId: input.nodeId,
      from: input.from,
      to: input.to,
      topic: input.topic,
      message: input.message,
      details: input.details,
    };
  }

  /** Tells the listeners what was written. */
  announce(written: { readonly rows: readonly HistoryRow[]; readonly outbox: readonly OutboxRow[] }): void {
    for (const row of written.rows) this.#uncommitted.push(row);
    this.#deliverAfterCommit();
    if (written.outbox.length > 0) this.#onAppend(written.outbox);
  }

  /** Counts a step; null stands for there being nothing, before it or after it. */
  count(from: S | null, to: S | null): void {
    if (from !== null) this.counts[from] -= 1;
    if (to !== null) this.counts[to] += 1;
  }

  /** Rows of one job or execution, oldest first. */
  historyOf(owner: string, options: { readonly offset: number; readonly limit: number }): HistoryRow[] {
    return this.#history.of(owner, options);
  }

  log({ after, limit }: { readonly after: number; readonly limit: number }): HistoryRow[] {
    return this.#history.after(after, limit);
  }

  floor(): number {
    return this.#floor;
  }

  firstUnwritten(): number {
    return this.#uncommitted[0]?.seq ?? Number.POSITIVE_INFINITY;
  }

  onHistory(listener: (rows: readonly HistoryRow[]) => void): void {
    this.#onHistory.push(listener);
  }

  /** Called after every commit that had transitions in it. */
  afterCommit(callback: () => void): void {
    this.#afterCommit.push(callback);
  }

  pending(to: NodeId, options: { readonly after?: number; readonly limit: number }): OutboxRow[] {
    const start = [to, (options.after ?? 0) + 1];
    const rows = this.#messages.range({ start, end: [to, LAST_NUMBER], limit: options.limit });
    return rows.map(({ key, value }) => ({ to, message: value, seq: seqOf(key) }));
  }

  remove(to: NodeId, seqs: readonly number[]): void {
    if (seqs.length === 0) return;
    this.#environment.write((batch) => {
      for (const seq of seqs) batch.remove(this.#messages, [to, seq]);
    });
  }

  size(): number {
    return this.#messages.size();
  }

  onAppend(listener: (rows: readonly OutboxRow[]) => void): void {
    this.#onAppend = listener;
  }

  #fingerprint(): string {
    return `${this.#lastSeq} ${this.#lastOutboxSeq} ${Object.values(this.counts).join(' ')}`;
  }

  #deliverAfterCommit(): void {
    // One wait a commit: what is written while it is under way waits for the next.
    if (this.#delivering) return;
    this.#delivering = true;
    void this.#deliver();
  }

  async #deliver(): Promise<void> {
    // By the next turn all of this turn's transitions have joined.
    await new Promise((resolve) => setImmediate(resolve));
    const count = this.#uncommitted.length;
    try {
      await this.#environment.flushed();
    } catch {
      // Kept and tried again by the environment; so are the rows here.
      setTimeout(() => {
        this.#delivering = false;
        this.#deliverAfterCommit();
      }, 1000).unref();
      return;
    }
    this.#delivering = false;
    const rows = this.#uncommitted.splice(0, count);
    if (this.#uncommitted.length > 0) this.#deliverAfterCommit();
    for (const callback of this.#afterCommit) callback();
    if (rows.length > 0) for (const listener of this.#onHistory) listener(rows);
  }
}
