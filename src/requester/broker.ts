import type { Clock, Timer } from '../core/clock.ts';
import type { JobId, NodeId } from '../core/ids.ts';
import { isJobTerminal } from '../core/states.ts';
import type { EvaluationRecord, JobRecord } from '../store/records.ts';
import type { RequesterStore } from '../store/requester-store.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { LiveJob } from './change.ts';
import { type Lives, makeLive } from './lives.ts';
import type { Nodes } from './nodes.ts';
import type { ChangeListener, Planner } from './planner.ts';
import type { Gate } from './scheduler.ts';
import { type Waiting, Window, waitsBy } from './window.ts';

export interface BrokerOptions {
  /** Waiting jobs looked at when room is found; all others stay in the store. */
  readonly windowSize: number;
  /** How long jobs behind the first of the line may overtake it before a node is kept free for it. */
  readonly overtakeMs: number;
}

/** Jobs started in one turn of the loop: a long line must not hold up what the nodes say. */
const STARTS_PER_TURN = 256;
/** Jobs looked at behind the window when nothing in it fits, and how often. */
const PEEK_PAGE = 64;
const PEEK_EVERY_MS = 100;
/** While jobs wait, the line is looked at so often even if no node says anything. */
const HEARTBEAT_MS = 1000;

/**
 * The line of jobs that wait for room: by priority, then by arrival. It is kept in the store (blocked
 * evaluations); in memory are a window on its head and a counter.
 *
 * A job that does not fit is overtaken by those behind it: by all in the window at once, and by those beyond
 * page by page. It is not overtaken for ever: when the first of the line has been passed over for
 * `overtakeMs`, the node that suits it best takes no other job until there is room for it.
 */
export class Broker implements ChangeListener {
  readonly #options: BrokerOptions;
  readonly #store: RequesterStore;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #lives: Lives;
  readonly #nodes: Nodes;
  readonly #planner: Planner;
  readonly #window: Window;
  #scheduled = false;
  #heartbeat: Timer | undefined;
  #closed = false;
  /** Everything that waits was looked at and found no room, and nothing has changed since. */
  #stuck = false;
  /** What the last gate said: it is asked for right before the change it belongs to. */
  #gateOpen = false;
  /** The first of the line that found no room, and since when it is passed over. */
  #first: { readonly jobId: JobId; readonly ticketId: string; readonly sinceMs: number } | undefined;
  #reserved: NodeId | null = null;
  /** Jobs that have begun to wait, ever; and how many had when the store last hid some. */
  #arrivals = 0;
  /** Changes of jobs, ever. */
  #changes = 0;
  #hiddenAt = -1;
  #peekAfter: EvaluationRecord | undefined;
  #peekAtMs = 0;

  constructor(
    options: BrokerOptions,
    modules: {
      readonly store: RequesterStore;
      readonly clock: Clock;
      readonly logger: Logger;
      readonly lives: Lives;
      readonly nodes: Nodes;
      readonly planner: Planner;
    },
  ) {
    this.#options = options;
    this.#store = modules.store;
    this.#clock = modules.clock;
    this.#logger = modules.logger;
    this.#lives = modules.lives;
    this.#nodes = modules.nodes;
    this.#planner = modules.planner;
    this.#window = new Window({ size: options.windowSize }, modules);
  }

  /** Jobs that wait for room. */
  get waiting(): number {
    return this.#window.count;
  }

  /** Reads the length of the line. Before anything else. */
  recover(): void {
    this.#window.reset(this.#store.blockedCount());
    this.wake();
  }

  close(): void {
    this.#closed = true;
    this.#heartbeat?.cancel();
  }

  /** What a job that has just come, or whose run has just failed, may take now. */
  gate(priority: number): Gate {
    const { count, first } = this.#window;
    const isFree = count === 0 || this.#stuck || (first !== undefined && priority > first.record.priority);
    this.#gateOpen = isFree;
    return {
      open: isFree,
      reason: isFree ? '' : `${count} ${count === 1 ? 'job waits' : 'jobs wait'} for room before this one`,
      reserved: count === 0 ? null : this.#reserved,
      nowMs: this.#clock.nowMs(),
    };
  }

  /** For a job that has had its turn already. `not`: a node it is not to be tried on now. */
  passingGate(not: NodeId | null): Gate {
    this.#gateOpen = true;
    return { open: true, reason: '', reserved: not, nowMs: this.#clock.nowMs() };
  }

  changed(live: LiveJob, was: { readonly blocked: boolean; readonly ticketId: string }): void {
    this.#changes += 1;
    const sameTicket = live.ticket.id === was.ticketId;
    if (was.blocked && live.blocked && sameTicket) this.#window.refresh(live.ticket, live.record);
    if (was.blocked && !(live.blocked && sameTicket)) this.#window.remove(live.id);
    if (live.blocked && !(was.blocked && sameTicket)) {
      this.#window.add(live.ticket, live.record);
      this.#arrivals += 1;
      // A job that was let past the line and found no room changes nothing for those in it.
      const isLookedAt = this.#gateOpen && (this.#stuck || this.#window.count === 1);
      if (isLookedAt && this.#window.isComplete) this.#stuck = true;
      else this.wake();
      this.#armHeartbeat();
    }
    // What an ended job held is free.
    if (isJobTerminal(live.record.state.type)) this.wake();
  }

  /** Room may have come up: the line is looked at in the next turn. */
  wake(): void {
    this.#stuck = false;
    if (this.#scheduled || this.#closed || this.#window.count === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#closed) return;
      try {
        this.#pass();
      } catch (error) {
        this.#logger.error({ err: error }, 'the line of waiting jobs could not be worked on');
      }
      this.#armHeartbeat();
    });
  }

  #armHeartbeat(): void {
    if (this.#heartbeat !== undefined || this.#window.count === 0 || this.#closed) return;
    this.#heartbeat = this.#clock.at(this.#clock.nowMs() + HEARTBEAT_MS, () => {
      this.#heartbeat = undefined;
      this.wake();
    });
  }

  #pass(): void {
    const nowMs = this.#clock.nowMs();
    if (this.#window.count === 0 || !this.#nodes.anyOpen(nowMs)) return;
    const waits = (evaluation: EvaluationRecord, record: JobRecord | undefined): boolean =>
      this.#isWaiting(evaluation, record);
    this.#window.refill(waits);
    // While a node decides on the first of the line, what is kept free for it stays free.
    if (!this.#isFirstAsked()) this.#reserved = null;
    let full: Set<string> | undefined;
    let started = 0;
    let isFirst = true;
    for (const entry of this.#window.entries()) {
      if (full?.has(entry.shape) === true) continue;
      const result = this.#place(entry, nowMs);
      if (result === 'put off') continue;
      if (result === 'waits') {
        if (entry.shape !== '') (full ??= new Set()).add(entry.shape);
        if (isFirst && !this.#isFirstAsked()) this.#passedOver(entry, nowMs);
        isFirst = false;
        continue;
      }
      started += 1;
      if (started >= STARTS_PER_TURN) return this.wake();
      if (!this.#nodes.anyOpen(nowMs)) return;
    }
    if (isFirst && !this.#isFirstAsked()) this.#first = undefined;
    const refilled = this.#window.refill(waits);
    if (refilled === 'more') this.wake();
    else if (refilled === 'hidden') this.#lookAgain();
    else if (this.#window.isComplete) this.#stuck = true;
    else if (started === 0) this.#peek(nowMs);
  }

  /**
   * The store does not show all that waits. What is not committed it will show soon. When that was not it, the
   * line is counted and read again from its start, at the next heartbeat.
   */
  #lookAgain(): void {
    const isSecond = this.#hiddenAt === this.#arrivals;
    this.#hiddenAt = this.#arrivals;
    const changes = this.#changes;
    this.#store.committed().then(
      () => {
        if (!isSecond) this.wake();
        else if (changes === this.#changes) this.#window.reset(this.#store.blockedCount());
      },
      () => undefined,
    );
  }

  #isWaiting(evaluation: EvaluationRecord, record: JobRecord | undefined): boolean {
    const live = this.#lives.peek(evaluation.jobId);
    if (live !== undefined) {
      if (live.blocked && live.ticket.id === evaluation.id) return true;
    } else if (record !== undefined && waitsBy(record, evaluation)) {
      return true;
    }
    // Left over from a job that has moved on. One that is gone already only waits for its commit.
    const job = { id: evaluation.jobId, priority: evaluation.priority };
    if (this.#store.evaluation(job, evaluation.id)?.status === 'blocked') {
      this.#planner.drop(evaluation, 'blocked', 'cancelled');
      this.#window.removeBeyond();
      this.#changes += 1;
    }
    return false;
  }

  #place(entry: Pick<Waiting, 'evaluation' | 'record'>, nowMs: number): 'started' | 'waits' | 'put off' {
    const { record, evaluation } = entry;
    const neverAsked = record.version === 1 && evaluation.trigger === 'job-register';
    const live =
      this.#lives.peek(record.id) ??
      makeLive(record, evaluation, neverAsked ? [] : this.#store.executions(record.id));
    const change = this.#planner.begin(live);
    const decision = this.#planner.decide(change, {
      open: true,
      reason: '',
      reserved: this.#reserved,
      nowMs,
    });
    if (decision.kind === 'wait') return decision.putOff === true ? 'put off' : 'waits';
    this.#planner.carry(change, decision);
    this.#planner.commit(change);
    return live.blocked && decision.kind !== 'ask' ? 'waits' : 'started';
  }

  #isFirstAsked(): boolean {
    if (this.#first === undefined) return false;
    const live = this.#lives.peek(this.#first.jobId);
    return (
      live !== undefined &&
      live.ticket.id === this.#first.ticketId &&
      !live.blocked &&
      live.record.state.type === 'Queued'
    );
  }

  /** The first of the line found no room: after a while a node is kept for it. */
  #passedOver({ evaluation, record }: Waiting, nowMs: number): void {
    if (this.#first?.ticketId !== evaluation.id) {
      this.#first = { jobId: record.id, ticketId: evaluation.id, sinceMs: nowMs };
    }
    if (nowMs - this.#first.sinceMs < this.#options.overtakeMs) return;
    this.#reserved = this.#planner.bestNode(record, this.#store.executions(record.id));
  }

  /** Looks behind the window, a page at a time, for something that fits. */
  #peek(nowMs: number): void {
    if (nowMs < this.#peekAtMs) return;
    this.#peekAtMs = nowMs + PEEK_EVERY_MS;
    const page = this.#window.page(this.#peekAfter, PEEK_PAGE);
    this.#peekAfter = page.length < PEEK_PAGE ? undefined : page.at(-1);
    for (const evaluation of page) {
      const record = this.#store.job(evaluation.jobId);
      if (!this.#isWaiting(evaluation, record) || record === undefined) continue;
      this.#place({ evaluation, record }, nowMs);
      if (!this.#nodes.anyOpen(nowMs)) return;
    }
  }

  debug(): Record<string, unknown> {
    return { waiting: this.waiting, stuck: this.#stuck, reserved: this.#reserved };
  }
}
