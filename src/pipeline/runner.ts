import { NodeError, toErrorData } from '../core/errors.ts';
import type { Outcome } from '../core/outcome.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { StageMetrics } from '../telemetry/metrics.ts';
import { Pool, type PoolOptions } from '../workers/pool.ts';
import type { Control, Question, WorkItem } from '../workers/protocol.ts';
import { Pump } from './pump.ts';
import type { BoundedQueue, Queueable } from './queue.ts';

export interface RunnerOptions<T, In> {
  /** Most items in one message to a thread. */
  readonly batchItems: number;
  readonly pool: PoolOptions;
  readonly toInput: (item: T) => In;
  /** Bytes that may move to the thread instead of being copied. */
  readonly toTransfer?: (item: T) => ArrayBuffer | undefined;
  /**
   * What becomes of items whose thread died: "again" puts them back once (their handling changes nothing outside),
   * "fail" ends them with a retryable error.
   */
  readonly onThreadDeath: 'again' | 'fail';
  /** What starts goes before what ends: the queue is looked at when the turn of the loop is over. */
  readonly isLate?: true;
}

export interface RunnerModules<T extends Queueable, Out, Report> {
  readonly queue: BoundedQueue<T>;
  readonly metrics: StageMetrics;
  readonly logger: Logger;
  /** Called once for every item that was taken from the queue. */
  readonly onOutcome: (item: T, outcome: Outcome<Out>) => void;
  /** `hasEnded`: its outcome follows at once. */
  readonly onReport?: (item: T, report: Report, hasEnded: boolean) => void;
  readonly onQuestion?: (question: Question) => Promise<unknown>;
  readonly onFatal?: (error: Error) => void;
  /** Takes at most `max` items out of the queue; by default the next ones in order. */
  readonly take?: (max: number) => readonly T[];
  /** The outcome of an item that needs no thread; undefined for one that does. */
  readonly passes?: (item: T) => Outcome<Out> | undefined;
}

interface Flight<T> {
  readonly item: T;
  readonly deaths: number;
}

/**
 * Moves items of one stage from its queue through its pool. Batches are as large as what has gathered while the
 * threads were busy: one item when idle, up to `batchItems` under load.
 */
export class StageRunner<T extends Queueable, In, Out, Report = never> {
  readonly queue: BoundedQueue<T>;
  readonly #options: RunnerOptions<T, In>;
  readonly #modules: RunnerModules<T, Out, Report>;
  readonly #pool: Pool<In, Out, Report>;
  readonly #flights = new Map<string, Flight<T>>();
  /** Items given back by a dead thread: they were counted as in flight, so they wait outside the queue. */
  readonly #returned: Flight<T>[] = [];
  readonly #landings: (() => void)[] = [];
  #batches = 0;
  readonly #pump: Pump;

  constructor(options: RunnerOptions<T, In>, modules: RunnerModules<T, Out, Report>) {
    this.#options = options;
    this.#modules = modules;
    this.#pump = new Pump(() => this.#move(), options.isLate);
    this.queue = modules.queue;
    modules.metrics.setBound(modules.queue.bound);
    this.#pool = new Pool<In, Out, Report>(options.pool, {
      logger: modules.logger,
      listener: {
        onOutcome: (id, outcome, durationMs, thread) => {
          const flight = this.#flights.get(id);
          if (flight === undefined) return;
          modules.metrics.ranOn(thread);
          modules.metrics.busy(durationMs);
          this.#land(flight, outcome);
        },
        onReport: (id, report, hasEnded) => {
          const flight = this.#flights.get(id);
          if (flight !== undefined) modules.onReport?.(flight.item, report, hasEnded);
        },
        ...(modules.onQuestion === undefined ? {} : { onQuestion: modules.onQuestion }),
        ...(modules.onFatal === undefined ? {} : { onFatal: modules.onFatal }),
      },
    });
  }

  /** Items handed to threads and not yet back. */
  get inFlight(): number {
    return this.#flights.size;
  }

  /** Starts the pool's threads before the first item comes. */
  warm(): void {
    this.#pool.warm();
  }

  /** Puts the item into the queue and sees to it; false when the queue is full. */
  offer(item: T): boolean {
    if (!this.queue.tryPush(item)) {
      this.#modules.metrics.itemsRefused();
      return false;
    }
    this.#modules.metrics.itemsIn();
    this.#gauge();
    this.wake();
    return true;
  }

  /** As `offer`, for a slot reserved before. */
  offerReserved(item: T): void {
    this.queue.pushReserved(item);
    this.#modules.metrics.itemsIn();
    this.#gauge();
    this.wake();
  }

  /** Takes out an item that still waits for a thread; undefined when it does not. */
  takeOut(id: string): T | undefined {
    const at = this.#returned.findIndex(({ item }) => item.id === id);
    const item = at < 0 ? this.queue.remove(id) : this.#returned.splice(at, 1)[0]?.item;
    if (item === undefined) return undefined;
    this.#modules.metrics.itemsOut('cancelled');
    this.#gauge();
    return item;
  }

  /** Looks at the queue soon. */
  wake(): void {
    this.#pump.wake();
  }

  control(message: Control): void {
    this.#pool.control(message);
  }

  /** True when the item is with a thread: the kill was sent, its outcome will come. */
  kill(id: string, why: 'cancelled' | 'timeout', cause: string): boolean {
    if (!this.#flights.has(id)) return false;
    this.#pool.control({ kind: 'kill', id, why, cause });
    return true;
  }

  /** Runs work of the pool that is no item of the stage; outcomes are not told. */
  aside(work: readonly WorkItem<In>[]): Promise<void> {
    return this.#pool.run(work);
  }

  /** Resolves when no item is with a thread any more. */
  async landed(): Promise<void> {
    while (this.#flights.size > 0) await new Promise<void>((resolve) => this.#landings.push(resolve));
  }

  /** Takes nothing more from the queue. */
  pause(): void {
    this.#pump.pause();
  }

  async stop(): Promise<void> {
    this.pause();
    await this.#pool.stop();
  }

  #gauge(): void {
    this.#modules.metrics.setDepth(this.queue.depth);
    this.#modules.metrics.setInFlight(this.#flights.size);
  }

  #move(): void {
    while (!this.#pump.paused && this.#batches < this.#pool.capacity) {
      const taken = this.#take();
      if (taken.length === 0) return;
      const flights =
        this.#modules.passes === undefined ? taken : taken.filter((one) => !this.#pass(one.item));
      if (flights.length > 0) this.#fly(flights);
    }
  }

  #take(): Flight<T>[] {
    const flights = this.#returned.splice(0, this.#options.batchItems);
    const room = this.#options.batchItems - flights.length;
    const items = this.#modules.take === undefined ? this.#next(room) : this.#modules.take(room);
    for (const item of items) flights.push({ item, deaths: 0 });
    return flights;
  }

  #next(max: number): T[] {
    const items: T[] = [];
    while (items.length < max) {
      const item = this.queue.shift();
      if (item === undefined) break;
      items.push(item);
    }
    return items;
  }

  #pass(item: T): boolean {
    const outcome = this.#modules.passes?.(item);
    if (outcome === undefined) return false;
    this.#modules.metrics.ranOn(0);
    this.#modules.metrics.itemsOut(outcome.kind);
    this.#gauge();
    this.#modules.onOutcome(item, outcome);
    return true;
  }

  #fly(flights: readonly Flight<T>[]): void {
    const transfer: ArrayBuffer[] = [];
    const items = flights.map((flight) => {
      this.#flights.set(flight.item.id, flight);
      const buffer = this.#options.toTransfer?.(flight.item);
      if (buffer !== undefined) transfer.push(buffer);
      return { id: flight.item.id, input: this.#options.toInput(flight.item) };
    });
    this.#modules.metrics.batch(items.length);
    this.#gauge();
    this.#batches += 1;
    this.#pool.run(items, { transfer }).then(
      () => this.#landed(flights),
      (error: unknown) => this.#landed(flights, error),
    );
  }

  #landed(flights: readonly Flight<T>[], error?: unknown): void {
    this.#batches -= 1;
    // After `stop` nothing moves any more: the records say where each item stands.
    if (error !== undefined && !this.#pump.paused) {
      for (const flight of flights) {
        if (this.#flights.get(flight.item.id) === flight) this.#strand(flight, error);
      }
    }
    this.wake();
  }

  /** The thread ended without an outcome for this item. */
  #strand(flight: Flight<T>, error: unknown): void {
    const { id } = flight.item;
    if (this.#options.onThreadDeath === 'again' && flight.deaths === 0) {
      this.#flights.delete(id);
      this.#returned.push({ item: flight.item, deaths: 1 });
      return;
    }
    const cause = toErrorData(error).message;
    const lost = new NodeError(
      'ExecutionLost',
      `the ${this.#pool.name} thread that held ${id} ended: ${cause}`,
    );
    this.#land(flight, { kind: 'fail', error: toErrorData(lost) });
  }

  #land({ item }: Flight<T>, outcome: Outcome<Out>): void {
    this.#flights.delete(item.id);
    this.#modules.metrics.itemsOut(outcome.kind);
    this.#gauge();
    if (this.#landings.length > 0) for (const resolve of this.#landings.splice(0)) resolve();
    // While stopping, what was let go of is no failure: its record says where it goes on.
    if (!this.#pump.paused || outcome.kind === 'advance') this.#modules.onOutcome(item, outcome);
  }
}
