import { NodeError, toErrorData } from '../../core/errors.ts';
import type { Outcome } from '../../core/outcome.ts';
import { RunSlot } from '../../core/run-slot.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { StageMetrics } from '../../telemetry/metrics.ts';
import type { ExecuteReport, WasmInput, WasmOutput } from '../../workers/execute/protocol.ts';
import { Pool, type PoolOptions } from '../../workers/pool.ts';
import type { Item, StopCause } from '../item.ts';
import { Pump } from '../pump.ts';
import type { BoundedQueue } from '../queue.ts';

/**
 * How often threads with work are looked at. One may be handed several jobs, but a started one that is seen twice must
 * not hold the others: they are taken back for another thread. A trivial module needs well under a millisecond.
 */
const LOOK_EVERY_MS = 10;

export interface WasmRunnerOptions {
  readonly batchItems: number;
  readonly pool: PoolOptions;
  readonly toInput: (item: Item, slot: RunSlot) => WasmInput;
}

export interface WasmRunnerModules {
  readonly queue: BoundedQueue<Item>;
  readonly metrics: StageMetrics;
  readonly logger: Logger;
  readonly onOutcome: (item: Item, outcome: Outcome<WasmOutput>) => void;
  readonly onReport: (item: Item, report: ExecuteReport) => void;
  readonly onFatal: (error: Error) => void;
}

interface Flight {
  /** The item's id and a number: an item that was taken back may fly again before its first thread says so. */
  readonly id: string;
  readonly item: Item;
  readonly slot: RunSlot;
  readonly batch: Batch;
  /** It was running when its thread was looked at. */
  isSeen: boolean;
}

interface Batch {
  readonly flights: Map<string, Flight>;
  readonly controller: AbortController;
  /** Set when the thread is ended because of its running job. */
  stopping: { readonly flight: Flight; readonly cause: StopCause } | undefined;
}

/**
 * Runs WASM jobs: one at a time a thread, because a loop in a job holds its thread until it ends. Ending such
 * a job ends its thread; the jobs behind it in the batch were never started and go elsewhere.
 */
export class WasmRunner {
  readonly queue: BoundedQueue<Item>;
  readonly #options: WasmRunnerOptions;
  readonly #modules: WasmRunnerModules;
  readonly #pool: Pool<WasmInput, WasmOutput, ExecuteReport>;
  readonly #batches = new Set<Batch>();
  readonly #flights = new Map<string, Flight>();
  readonly #byItem = new Map<string, Flight>();
  #numbered = 0;
  readonly #returned: Item[] = [];
  #watch: NodeJS.Timeout | undefined;
  readonly #pump = new Pump(() => this.#move());

  constructor(options: WasmRunnerOptions, modules: WasmRunnerModules) {
    this.#options = options;
    this.#modules = modules;
    this.queue = modules.queue;
    modules.metrics.setBound(modules.queue.bound);
    this.#pool = new Pool(options.pool, {
      logger: modules.logger,
      listener: {
        onFatal: modules.onFatal,
        onReport: (id, report) => {
          const flight = this.#flights.get(id);
          if (flight !== undefined) modules.onReport(flight.item, report);
        },
        onOutcome: (id, outcome, durationMs, thread) => {
          // A thread comes to what was taken back from it, which may be running elsewhere by now.
          if (outcome.kind === 'advance' && outcome.value.kind === 'notStarted') return;
          const flight = this.#flights.get(id);
          if (flight === undefined) return;
          modules.metrics.ranOn(thread);
          modules.metrics.busy(durationMs);
          this.#land(flight, outcome);
        },
      },
    });
  }

  get inFlight(): number {
    return this.#flights.size;
  }

  /** Fills a slot of the queue that was reserved at admission. */
  offerReserved(item: Item): void {
    this.queue.pushReserved(item);
    this.#modules.metrics.itemsIn();
    this.#gauge();
    this.wake();
  }

  /** Takes out an item that still waits for a thread; undefined when it does not. */
  takeOut(id: string): Item | undefined {
    const at = this.#returned.findIndex((item) => item.id === id);
    const item = at < 0 ? this.queue.remove(id) : this.#returned.splice(at, 1)[0];
    if (item === undefined) return undefined;
    this.#modules.metrics.itemsOut('cancelled');
    this.#gauge();
    return item;
  }

  wake(): void {
    this.#pump.wake();
  }

  /** True when the item was in flight: its outcome comes once nothing of it runs any more. */
  kill(id: string, cause: StopCause): boolean {
    const flight = this.#byItem.get(id);
    if (flight === undefined) return false;
    const { batch, slot } = flight;
    if (slot.takeBack()) {
      this.#land(flight, stopped(cause));
    } else if (batch.stopping === undefined && slot.thread > 0) {
      batch.stopping = { flight, cause };
      // Wait for the thread's end before the abort makes the pool forget the thread.
      void this.#endThread(batch, slot.thread);
    }
    return true;
  }

  pause(): void {
    this.#pump.pause();
  }

  async stop(): Promise<void> {
    this.pause();
    clearInterval(this.#watch);
    this.#watch = undefined;
    await this.#pool.stop();
  }

  async #endThread(batch: Batch, thread: number): Promise<void> {
    const ended = this.#pool.threadEnded(thread);
    batch.controller.abort();
    await ended;
    const stopping = batch.stopping;
    if (stopping !== undefined) this.#land(stopping.flight, stopped(stopping.cause));
  }

  #gauge(): void {
    this.#modules.metrics.setDepth(this.queue.depth);
    this.#modules.metrics.setInFlight(this.#flights.size);
  }

  #move(): void {
    while (!this.#pump.paused && this.#batches.size < this.#pool.capacity) {
      // While threads are idle jobs are spread over them; only what exceeds them is batched.
      const idle = this.#pool.capacity - this.#batches.size;
      const waiting = this.#returned.length + this.queue.depth;
      if (waiting === 0) return;
      const size = Math.max(1, Math.min(this.#options.batchItems, Math.ceil(waiting / idle)));
      const items = this.#returned.splice(0, size);
      while (items.length < size) {
        const item = this.queue.shift();
        if (item === undefined) break;
        items.push(item);
      }
      this.#fly(items);
    }
  }

  #fly(items: readonly Item[]): void {
    const batch: Batch = {
      flights: new Map(),
      controller: new AbortController(),
      stopping: undefined,
    };
    const work = RunSlot.each(items, (item, slot) => {
      const id = `${item.id} ${this.#numbered++}`;
      const flight: Flight = { id, item, slot, batch, isSeen: false };
      item.slot = slot;
      // Readers that came before have to be told of its output, too.
      if (item.watchers !== undefined) slot.watch();
      batch.flights.set(id, flight);
      this.#flights.set(id, flight);
      this.#byItem.set(item.id, flight);
      return { id, input: this.#options.toInput(item, slot) };
    });
    this.#batches.add(batch);
    this.#modules.metrics.batch(work.length);
    this.#gauge();
    this.#pool.run(work, { signal: batch.controller.signal }).then(
      () => this.#ended(batch),
      (error: unknown) => this.#ended(batch, error),
    );
    this.#watch ??= setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
  }

  /** Threads are blocked by what they run: how far they are is seen in shared memory. */
  #look(): void {
    if (this.#batches.size === 0) {
      clearInterval(this.#watch);
      this.#watch = undefined;
      return;
    }
    for (const batch of this.#batches) {
      const running = [...batch.flights.values()].find(({ slot }) => slot.thread > 0);
      if (running === undefined) continue;
      this.#noteRun(running);
      if (!running.isSeen) running.isSeen = true;
      else for (const flight of [...batch.flights.values()]) this.#doNotWait(flight);
    }
    this.wake();
  }

  /** An item whose thread is busy with another for long, or has ended: nothing of it waits for that. */
  #doNotWait(flight: Flight): void {
    const { result, endedOn } = flight.slot;
    if (result === undefined) {
      this.#takeBack(flight);
    } else {
      this.#modules.metrics.ranOn(endedOn);
      this.#land(flight, { kind: 'advance', value: { kind: 'finished', result, hasFiles: false } });
    }
  }

  #noteRun({ item, slot }: Flight): void {
    if (!item.ran && slot.hasRun) this.#modules.onReport(item, { kind: 'running' });
  }

  /** Gives an item the thread has not started back to the waiting ones. */
  #takeBack(flight: Flight): void {
    if (!flight.slot.takeBack()) return;
    this.#forget(flight);
    this.#returned.push(flight.item);
  }

  #ended(batch: Batch, error?: unknown): void {
    this.#batches.delete(batch);
    if (this.#pump.paused) return;
    for (const flight of [...batch.flights.values()]) {
      this.#doNotWait(flight);
      if (!batch.flights.has(flight.id) || batch.stopping?.flight === flight) continue;
      const lost = new NodeError(
        'ExecutionLost',
        `the WASM thread that ran ${flight.item.id} ended: ${toErrorData(error).message}`,
      );
      this.#land(flight, { kind: 'fail', error: toErrorData(lost) });
    }
    this.wake();
  }

  #forget(flight: Flight): void {
    flight.batch.flights.delete(flight.id);
    this.#flights.delete(flight.id);
    if (this.#byItem.get(flight.item.id) === flight) this.#byItem.delete(flight.item.id);
  }

  #land(flight: Flight, outcome: Outcome<WasmOutput>): void {
    if (this.#flights.get(flight.id) !== flight) return;
    this.#forget(flight);
    if (flight.slot.hasRun) flight.item.ran = true;
    this.#modules.metrics.itemsOut(outcome.kind);
    this.#gauge();
    this.#modules.onOutcome(flight.item, outcome);
  }
}

function stopped(stop: StopCause): Outcome<never> {
  return stop.why === 'cancelled'
    ? { kind: 'cancelled', reason: stop.cause }
    : { kind: 'fail', error: { code: 'ExecutionTimedOut', message: stop.cause } };
}
