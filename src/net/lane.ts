import type { Clock, Timer } from '../core/clock.ts';
import type { ExecutionId, NodeId } from '../core/ids.ts';
import type { Outbox } from '../store/compute-store.ts';
import type { OutboxRow } from '../store/records.ts';
import type { Logger } from '../telemetry/logger.ts';

export interface LaneOptions {
  /** Rows in memory at once: waiting, sent and unanswered together. */
  readonly window: number;
  /** Rows read from the store at once. */
  readonly page: number;
  /** First and longest wait after a failure; it doubles between them. */
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
  /** An ask without an answer is sent again after this time. */
  readonly askAgainMs: number;
}

export interface LaneModules {
  readonly to: NodeId;
  readonly outbox: Outbox;
  /** Resolves when what has been written is visible in the outbox. */
  readonly committed: () => Promise<void>;
  /** Resolves when the receiver has what the row says on its disk. */
  readonly send: (row: OutboxRow) => Promise<void>;
  /** False for an ask whose answer came before this life. */
  readonly isWanted: (row: OutboxRow) => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  /** 0 to 1; spreads the retries of many senders. */
  readonly random: () => number;
}

/** Rows sent in one turn: what they lead to at the other role of this process must not hold up threads that are done. */
const SEND_PER_TURN = 64;

interface Failed {
  readonly row: OutboxRow;
  attempts: number;
  /** When it is sent again. */
  atMs: number;
}

/**
 * The rows of one outbox for one receiver, in order, but that asks let all others pass: what was promised goes on before
 * more is asked for. New rows go straight from the write to the receiver, those
 * of one turn together, some a turn; what does not fit in the window stays in the store and is read later. A row is removed
 * when its receiver has it, an ask when it has been answered. Fleeting ones are in memory only.
 */
export class Lane {
  readonly #options: LaneOptions;
  readonly #modules: LaneModules;
  #waiting: OutboxRow[] = [];
  #waitingAsks: OutboxRow[] = [];
  readonly #sent = new Set<number>();
  /** Rows that could not be delivered, until they are. */
  readonly #failed = new Map<number, Failed>();
  /** Asks that were sent and wait for their answer. */
  readonly #asks = new Map<ExecutionId, { row: OutboxRow; sentMs: number; times: number }>();
  #removals: number[] = [];
  /** Rows after the cursor are in the store only. */
  #isBehind = true;
  #cursor = 0;
  #newest = 0;
  #reading = false;
  #scheduled = false;
  #running = false;
  #stopped = false;
  #retryTimer: Timer | undefined;
  #askTimer: Timer | undefined;
  #idle: (() => void)[] = [];

  constructor(options: LaneOptions, modules: LaneModules) {
    this.#options = options;
    this.#modules = modules;
  }

  /** Begins with what the outbox holds. */
  start(): void {
    this.#running = true;
    this.#stopped = false;
    this.#cursor = 0;
    this.#isBehind = true;
    this.#readOn();
  }

  /** Sends nothing more. Resolves when what was sent is answered, or at the deadline (epoch ms). */
  async stop(deadlineMs: number): Promise<void> {
    this.#running = false;
    this.#retryTimer?.cancel();
    this.#askTimer?.cancel();
    this.#retryTimer = undefined;
    this.#askTimer = undefined;
    this.#waiting = [];
    this.#waitingAsks = [];
    // What has arrived is forgotten before another lane to the same receiver can read it.
    this.#flushRemovals();
    if (this.#sent.size > 0 && deadlineMs > this.#modules.clock.nowMs()) {
      let timer: Timer | undefined;
      await new Promise<void>((resolve) => {
        this.#idle.push(resolve);
        timer = this.#modules.clock.at(deadlineMs, resolve);
      });
      timer?.cancel();
    }
    this.#failed.clear();
    this.#asks.clear();
    this.#isBehind = true;
    this.#flushRemovals();
    this.#stopped = true;
  }

  /** A row was written in this turn. */
  append(row: OutboxRow): void {
    if (row.fleeting) {
      // There is no more of it than of executions that have not ended: the window counts what can be read later.
      this.#enqueue(row);
      return;
    }
    this.#newest = Math.max(this.#newest, row.seq);
    if (this.#isBehind) return;
    if (this.#inMemory >= this.#options.window) {
      this.#isBehind = true;
      return;
    }
    this.#cursor = row.seq;
    this.#enqueue(row);
  }

  /** The ask is answered, or wanted no more. False when it was not sent by this lane. */
  answered(executionId: ExecutionId): boolean {
    const ask = this.#asks.get(executionId);
    if (ask === undefined) return false;
    this.#asks.delete(executionId);
    this.#recovered(ask.row.seq);
    this.#remove(ask.row);
    return true;
  }

  /** As above, for an ask that may not have been sent yet. */
  withdraw(executionId: ExecutionId): void {
    const at = this.#waitingAsks.findIndex(
      ({ message }) => message.type === 'AskForBid' && message.executionId === executionId,
    );
    const [row] = at < 0 ? [] : this.#waitingAsks.splice(at, 1);
    if (row !== undefined) this.#remove(row);
  }

  debug(): Record<string, unknown> {
    return {
      to: this.#modules.to,
      waiting: this.#waiting.length + this.#waitingAsks.length,
      sent: this.#sent.size,
      asks: this.#asks.size,
      failed: this.#failed.size,
      behind: this.#isBehind,
    };
  }

  get #inMemory(): number {
    const waiting = this.#waiting.length + this.#waitingAsks.length;
    return waiting + this.#sent.size + this.#failed.size + this.#asks.size;
  }

  #enqueue(row: OutboxRow): void {
    if (row.message.type === 'AskForBid') this.#waitingAsks.push(row);
    else this.#waiting.push(row);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flushRemovals();
      const rows = this.#waiting.splice(0, SEND_PER_TURN);
      if (rows.length < SEND_PER_TURN) rows.push(...this.#waitingAsks.splice(0, SEND_PER_TURN - rows.length));
      if (this.#waiting.length + this.#waitingAsks.length > 0) this.#schedule();
      if (this.#running) for (const row of rows) this.#send(row);
      if (this.#isBehind && this.#running) this.#readOn();
    });
  }

  #send(row: OutboxRow): void {
    const { message, seq } = row;
    const isAsk = message.type === 'AskForBid';
    if (isAsk) {
      const times = (this.#asks.get(message.executionId)?.times ?? 0) + 1;
      this.#asks.set(message.executionId, { row, sentMs: this.#modules.clock.nowMs(), times });
      this.#armAsks();
    }
    this.#sent.add(seq);
    this.#modules.send(row).then(
      () => {
        this.#sent.delete(seq);
        if (!isAsk) this.#remove(row);
        this.#recovered(seq);
        this.#settleIdle();
      },
      (error: unknown) => {
        this.#sent.delete(seq);
        // An ask that was answered all the same needs no repeating.
        if (!isAsk || this.#asks.has(message.executionId)) this.#retry(row, error);
        this.#settleIdle();
      },
    );
  }

  #settleIdle(): void {
    if (this.#sent.size > 0) return;
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }

  #remove({ seq, fleeting }: OutboxRow): void {
    if (this.#stopped || fleeting) return;
    this.#removals.push(seq);
    this.#schedule();
  }

  #flushRemovals(): void {
    if (this.#removals.length === 0) return;
    const seqs = this.#removals;
    this.#removals = [];
    try {
      this.#modules.outbox.remove(this.#modules.to, seqs);
    } catch (error) {
      // Rows that stay are sent again after a restart; receivers know them by their execution.
      this.#modules.logger.warn(
        { err: error, to: this.#modules.to },
        'delivered messages could not be removed',
      );
    }
  }

  #recovered(seq: number): void {
    if (!this.#failed.delete(seq) || this.#failed.size > 0) return;
    this.#modules.logger.info({ to: this.#modules.to }, 'all messages are delivered again');
  }

  #retry(row: OutboxRow, error: unknown): void {
    if (!this.#running) return;
    const { clock, logger, random, to } = this.#modules;
    if (this.#failed.size === 0) {
      logger.warn(
        { err: error, to, type: row.message.type },
        'a message could not be delivered; it is tried again',
      );
    }
    const { retryMinMs, retryMaxMs } = this.#options;
    const attempts = (this.#failed.get(row.seq)?.attempts ?? 0) + 1;
    const delay = Math.min(retryMaxMs, retryMinMs * 2 ** Math.min(attempts - 1, 20));
    this.#failed.set(row.seq, { row, attempts, atMs: clock.nowMs() + delay * (0.5 + random() / 2) });
    this.#armRetry();
  }

  #armRetry(): void {
    if (this.#retryTimer !== undefined || !this.#running) return;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const { row, atMs } of this.#failed.values())
      if (!this.#sent.has(row.seq)) nextMs = Math.min(nextMs, atMs);
    if (nextMs === Number.POSITIVE_INFINITY) return;
    const { clock } = this.#modules;
    this.#retryTimer = clock.at(nextMs, () => {
      this.#retryTimer = undefined;
      if (!this.#running) return;
      const nowMs = clock.nowMs();
      const due = [...this.#failed.values()].filter(
        ({ row, atMs }) => atMs <= nowMs && !this.#sent.has(row.seq),
      );
      due.sort((a, b) => a.row.seq - b.row.seq);
      for (const { row } of due) this.#send(row);
      this.#armRetry();
    });
  }

  #armAsks(): void {
    if (this.#askTimer !== undefined) return;
    const { clock } = this.#modules;
    this.#askTimer = clock.at(clock.nowMs() + this.#options.askAgainMs, () => {
      this.#askTimer = undefined;
      if (!this.#running || this.#asks.size === 0) return;
      const before = clock.nowMs() - this.#options.askAgainMs;
      for (const { row, sentMs, times } of [...this.#asks.values()]) {
        // An operator may take a day to approve: the more often it was asked, the longer the pause.
        const pause = this.#options.askAgainMs * (2 ** Math.min(times - 1, 6) - 1);
        if (sentMs + pause <= before && !this.#sent.has(row.seq)) this.#send(row);
      }
      this.#armAsks();
    });
  }

  /** Reads rows from the store while there is room for them, until none is left there. */
  #readOn(): void {
    if (this.#reading || !this.#running) return;
    this.#reading = true;
    this.#readPages()
      .catch((error: unknown) => {
        this.#modules.logger.error({ err: error, to: this.#modules.to }, 'the outbox could not be read');
      })
      .finally(() => {
        this.#reading = false;
      });
  }

  async #readPages(): Promise<void> {
    const { outbox, committed, to, isWanted } = this.#modules;
    while (this.#running && this.#isBehind) {
      const limit = Math.min(this.#options.page, this.#options.window - this.#inMemory);
      if (limit <= 0) return;
      // What is written until here is seen below; what comes later is noticed by its number.
      const newest = this.#newest;
      await committed();
      const rows = outbox.pending(to, { after: this.#cursor, limit });
      for (const row of rows) {
        this.#cursor = row.seq;
        if (isWanted(row)) this.#enqueue(row);
        else this.#remove(row);
      }
      if (rows.length < limit && this.#newest === newest) this.#isBehind = false;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}
