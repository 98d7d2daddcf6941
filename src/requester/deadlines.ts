import type { Clock, Timer } from '../core/clock.ts';
import type { JobId } from '../core/ids.ts';
import { isJobTerminal } from '../core/states.ts';
import type { EvaluationRecord, JobRecord } from '../store/records.ts';
import type { RequesterStore } from '../store/requester-store.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { LiveJob } from './change.ts';
import { jobTimedOut } from './events.ts';
import { type Lives, makeLive } from './lives.ts';
import type { ChangeListener, Planner } from './planner.ts';
import { waitsBy } from './window.ts';

/** Waiting jobs looked at in one turn of the loop. */
const SLICE = 256;
/** Sweeps are at least so far apart: a timeout is kept to within a second. */
const LEAST_GAP_MS = 1000;
/** And so many times their own length, so that they never take more than this share of the loop. */
const GAP_FACTOR = 20;

interface Overdue {
  readonly what: string;
  readonly limitMs: number;
}

function queueDeadlineMs(record: JobRecord, ticket: EvaluationRecord): number {
  return record.queueTimeoutMs > 0
    ? ticket.createTime / 1000 + record.queueTimeoutMs
    : Number.POSITIVE_INFINITY;
}

function totalDeadlineMs(record: JobRecord, since: number): number {
  return record.totalTimeoutMs > 0 ? since / 1000 + record.totalTimeoutMs : Number.POSITIVE_INFINITY;
}

/**
 * Queue and total timeouts. In memory is one number: when the next job may be overdue. When that time has
 * come, the jobs being worked on and those that wait are looked through, what is not in memory in pages from the store;
 * so a hundred thousand waiting jobs cost no timer and no memory, and jobs without a timeout cost nothing.
 */
export class Deadlines implements ChangeListener {
  readonly #store: RequesterStore;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #lives: Lives;
  readonly #planner: Planner;
  #nextMs: number = Number.POSITIVE_INFINITY;
  #notBeforeMs = 0;
  #timer: Timer | undefined;
  #sweeping = false;
  #closed = false;

  constructor(modules: {
    readonly store: RequesterStore;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly lives: Lives;
    readonly planner: Planner;
  }) {
    this.#store = modules.store;
    this.#clock = modules.clock;
    this.#logger = modules.logger;
    this.#lives = modules.lives;
    this.#planner = modules.planner;
  }

  /** What waits from before may be overdue: the first sweep finds out. */
  recover(): void {
    if (this.#store.blockedCount() > 0) this.#note(this.#clock.nowMs());
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  changed(live: LiveJob): void {
    const { record, ticket, since } = live;
    if (record.queueTimeoutMs === 0 && record.totalTimeoutMs === 0) return;
    if (isJobTerminal(record.state.type)) return;
    if (live.blocked) this.#note(queueDeadlineMs(record, ticket));
    this.#note(totalDeadlineMs(record, since));
  }

  #note(deadlineMs: number): void {
    if (deadlineMs >= this.#nextMs) return;
    this.#nextMs = deadlineMs;
    this.#arm();
  }

  #arm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#closed || this.#sweeping || this.#nextMs === Number.POSITIVE_INFINITY) return;
    this.#timer = this.#clock.at(Math.max(this.#nextMs, this.#notBeforeMs), () => {
      this.#sweep().catch((error: unknown) => {
        this.#logger.error({ err: error }, 'timeouts could not be looked through');
      });
    });
  }

  async #sweep(): Promise<void> {
    const startedMs = this.#clock.nowMs();
    this.#sweeping = true;
    this.#nextMs = Number.POSITIVE_INFINITY;
    try {
      for (const live of [...this.#lives.values()]) this.#check(live);
      await this.#sweepWaiting();
      if (this.#lives.hasTimedAway) await this.#sweepAway();
    } finally {
      this.#sweeping = false;
      const tookMs = this.#clock.nowMs() - startedMs;
      this.#notBeforeMs = startedMs + Math.max(LEAST_GAP_MS, tookMs * GAP_FACTOR);
      this.#arm();
    }
  }

  #sweepWaiting(): Promise<void> {
    return this.#throughPages(
      (after: EvaluationRecord | undefined) =>
        this.#store.blocked({ ...(after !== undefined && { after }), limit: SLICE }),
      (evaluation) => this.#checkWaiting(evaluation),
    );
  }

  /** Jobs that nodes work on and that were put away. */
  async #sweepAway(): Promise<void> {
    await this.#store.committed();
    await this.#throughPages(
      (after: JobId | undefined) =>
        this.#store.inProgress({ ...(after !== undefined && { after }), limit: SLICE }),
      (id) => this.#checkAway(id),
    );
  }

  /** One page a turn of the loop, until none is left. */
  async #throughPages<T>(
    page: (after: T | undefined) => readonly T[],
    check: (one: T) => void,
  ): Promise<void> {
    let after: T | undefined;
    while (!this.#closed) {
      const found = page(after);
      for (const one of found) check(one);
      if (found.length < SLICE) return;
      after = found.at(-1);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #checkAway(id: JobId): void {
    if (this.#lives.peek(id) !== undefined) return;
    const record = this.#store.job(id);
    // Those that wait were looked at before.
    if (record === undefined || record.totalTimeoutMs === 0 || record.state.type === 'Queued') return;
    const live = isJobTerminal(record.state.type) ? undefined : this.#lives.load(id);
    if (live !== undefined) this.#check(live);
  }

  #checkWaiting(evaluation: EvaluationRecord): void {
    if (this.#lives.peek(evaluation.jobId) !== undefined) return;
    const record = this.#store.job(evaluation.jobId);
    if (record === undefined || !waitsBy(record, evaluation)) return;
    if (record.queueTimeoutMs === 0 && record.totalTimeoutMs === 0) return;
    this.#check(makeLive(record, evaluation, this.#store.executions(record.id)));
  }

  #check(live: LiveJob): void {
    const { record, ticket, since } = live;
    if (record.queueTimeoutMs === 0 && record.totalTimeoutMs === 0) return;
    const nowMs = this.#clock.nowMs();
    const queueMs = live.blocked ? queueDeadlineMs(record, ticket) : Number.POSITIVE_INFINITY;
    const totalMs = totalDeadlineMs(record, since);
    if (nowMs >= totalMs) this.#fail(live, { what: 'Job', limitMs: record.totalTimeoutMs });
    else if (nowMs >= queueMs) this.#fail(live, { what: 'Waiting for room', limitMs: record.queueTimeoutMs });
    else this.#note(Math.min(queueMs, totalMs));
  }

  #fail(live: LiveJob, { what, limitMs }: Overdue): void {
    const change = this.#planner.begin(live);
    const event = jobTimedOut(what, limitMs);
    this.#planner.carry(change, { kind: 'fail', event, message: event.message });
    this.#planner.commit(change);
  }
}
