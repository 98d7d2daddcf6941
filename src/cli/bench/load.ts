import { Latencies } from './latencies.ts';

/** When operations are begun. */
export type Pace =
  /** So many a second, whatever becomes of them. */
  | { readonly kind: 'rate'; readonly perSecond: number }
  /** So many at once, each followed by the next: as fast as they are answered. */
  | { readonly kind: 'concurrency'; readonly lanes: number };

export interface LoadOptions {
  readonly pace: Pace;
  /** Operations are begun for so long. */
  readonly durationMs: number;
  /** Those begun in this time before it are not counted: both sides open connections and compile. */
  readonly warmUpMs: number;
}

export interface LoadModules {
  /**
   * One operation. Resolves with its outcome, which is counted by that name; latencies are those of "ok".
   * A rejection is an outcome too.
   */
  readonly operate: () => Promise<string>;
  /** Ends the load early: what is known by then is the result. */
  readonly signal: AbortSignal;
  /** Called about once a second, with what has happened since the last call. */
  readonly onProgress?: (now: LoadProgress) => void;
  /** Milliseconds; a test has its own. */
  readonly time?: LoadTime;
}

export interface LoadTime {
  now(): number;
  /** Resolves at or after `ms`, or when something has woken it. */
  wait(ms: number, woken: AbortSignal): Promise<void>;
}

/** A look at a load that goes on. */
export interface LoadProgress {
  readonly seconds: number;
  readonly warmingUp: boolean;
  readonly perSecond: number;
  /** Of the last second. */
  readonly latencies: Latencies;
  readonly inFlight: number;
}

export interface LoadResult {
  /** From the first counted operation to the last answer. */
  readonly seconds: number;
  readonly latencies: Latencies;
  /** How many operations ended how. */
  readonly outcomes: ReadonlyMap<string, number>;
  /** Counted operations begun, and those of them that had no answer at the end. */
  readonly begun: number;
  readonly unanswered: number;
  /** Operations that were due and never begun: the answers were too slow for the rate. */
  readonly notBegun: number;
  readonly isInterrupted: boolean;
}

/** Operations under way at once; a rate that the answers do not keep up with waits beyond it. */
const MOST_IN_FLIGHT = 4096;
/** A timer is late by so much with nothing wrong. */
const TIMER_MS = 2;
/** How long answers are waited for at the end. */
const DRAIN_MS = 10_000;
const PROGRESS_MS = 1000;
/** Outcomes told apart; a fault may have a number in its text. */
const MOST_OUTCOMES = 16;

const realTime: LoadTime = {
  now: () => performance.now(),
  wait: (ms, woken) =>
    new Promise((resolve) => {
      if (woken.aborted) {
        resolve();
        return;
      }
      const done = (): void => {
        clearTimeout(timer);
        woken.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      woken.addEventListener('abort', done);
    }),
};

/**
 * Runs a load to its end. At a rate, an operation that begins late because earlier answers were slow counts from when
 * it was due, so that a node that stalls does not look fast (coordinated omission).
 */
export async function runLoad(options: LoadOptions, modules: LoadModules): Promise<LoadResult> {
  return new Load(options, modules).run();
}

class Load {
  readonly #options: LoadOptions;
  readonly #modules: LoadModules;
  readonly #time: LoadTime;
  readonly #latencies = new Latencies();
  readonly #lately = new Latencies();
  readonly #outcomes = new Map<string, number>();
  readonly #fromMs: number;
  readonly #untilMs: number;
  #begun = 0;
  #answered = 0;
  #answeredLately = 0;
  #inFlight = 0;
  #notBegun = 0;
  #firstMs = Number.POSITIVE_INFINITY;
  #lastMs = 0;
  #wake = new AbortController();
  #lookedMs: number;
  /** Begins what follows an operation that has ended. */
  #follow: () => void = () => undefined;

  constructor(options: LoadOptions, modules: LoadModules) {
    this.#options = options;
    this.#modules = modules;
    this.#time = modules.time ?? realTime;
    const startMs = this.#time.now();
    this.#lookedMs = startMs;
    this.#fromMs = startMs + options.warmUpMs;
    this.#untilMs = this.#fromMs + options.durationMs;
  }

  async run(): Promise<LoadResult> {
    const { signal } = this.#modules;
    const end = (): void => this.#rouse();
    signal.addEventListener('abort', end);
    try {
      const { pace } = this.#options;
      if (pace.kind === 'rate') await this.#atRate(pace.perSecond);
      else await this.#inLanes(pace.lanes);
      await this.#drain();
    } finally {
      signal.removeEventListener('abort', end);
    }
    const seconds = (this.#lastMs - this.#firstMs) / 1000;
    return {
      seconds: Number.isFinite(seconds) ? Math.max(0, seconds) : 0,
      latencies: this.#latencies,
      outcomes: this.#outcomes,
      begun: this.#begun,
      unanswered: this.#begun - this.#answered,
      notBegun: this.#notBegun,
      isInterrupted: signal.aborted,
    };
  }

  async #atRate(perSecond: number): Promise<void> {
    // Only where answers hold up the next one is there something to do before its time.
    this.#follow = () => {
      if (this.#inFlight === MOST_IN_FLIGHT - 1) this.#rouse();
    };
    // What the warm-up owes is not the first second's to pay.
    await this.#schedule(perSecond, this.#lookedMs, this.#fromMs);
    this.#notBegun = await this.#schedule(perSecond, this.#fromMs, this.#untilMs);
  }

  /** Begins what is due in a span of time; how many of it never began. */
  async #schedule(perSecond: number, startMs: number, untilMs: number): Promise<number> {
    const stepMs = 1000 / perSecond;
    const all = Math.round((untilMs - startMs) / stepMs);
    let next = 0;
    while (next < all && !this.#modules.signal.aborted) {
      const now = this.#time.now();
      const due = Math.min(all, Math.floor((now - startMs) / stepMs) + 1);
      while (next < due && this.#inFlight < MOST_IN_FLIGHT) {
        this.#begin(startMs + next * stepMs, now);
        next += 1;
      }
      this.#look(now);
      // What could not begin in time for want of answers does not begin after the end either.
      if (now >= untilMs) break;
      const nextMs = next < due ? PROGRESS_MS : startMs + next * stepMs - now;
      if (next < all) await this.#sleep(Math.max(0, nextMs));
    }
    return this.#modules.signal.aborted ? 0 : all - next;
  }

  async #inLanes(lanes: number): Promise<void> {
    const isOver = (): boolean => this.#modules.signal.aborted || this.#time.now() >= this.#untilMs;
    this.#follow = () => {
      const now = this.#time.now();
      if (!isOver()) this.#begin(now, now);
    };
    for (let lane = 0; lane < lanes; lane += 1) this.#follow();
    while (!isOver()) {
      const now = this.#time.now();
      this.#look(now);
      await this.#sleep(Math.min(PROGRESS_MS, this.#untilMs - now));
    }
  }

  async #drain(): Promise<void> {
    const untilMs = this.#time.now() + DRAIN_MS;
    this.#follow = () => {
      if (this.#inFlight === 0) this.#rouse();
    };
    while (this.#inFlight > 0 && !this.#modules.signal.aborted) {
      const now = this.#time.now();
      if (now >= untilMs) return;
      this.#look(now);
      await this.#sleep(Math.min(PROGRESS_MS, untilMs - now));
    }
  }

  #begin(dueMs: number, nowMs: number): void {
    const isCounted = dueMs >= this.#fromMs;
    const fromMs = nowMs - dueMs > TIMER_MS ? dueMs : nowMs;
    if (isCounted) {
      this.#begun += 1;
      this.#firstMs = Math.min(this.#firstMs, fromMs);
    }
    this.#inFlight += 1;
    this.#modules.operate().then(
      (outcome) => this.#ended(outcome, fromMs, isCounted),
      (thrown: unknown) =>
        this.#ended(thrown instanceof Error ? thrown.message : String(thrown), fromMs, isCounted),
    );
  }

  #ended(outcome: string, fromMs: number, isCounted: boolean): void {
    const now = this.#time.now();
    this.#inFlight -= 1;
    this.#answeredLately += 1;
    if (outcome === 'ok') this.#lately.record(now - fromMs);
    if (isCounted) {
      this.#answered += 1;
      this.#lastMs = now;
      if (outcome === 'ok') this.#latencies.record(now - fromMs);
      const isKnown = this.#outcomes.has(outcome) || this.#outcomes.size < MOST_OUTCOMES;
      const name = isKnown ? outcome : 'other faults';
      this.#outcomes.set(name, (this.#outcomes.get(name) ?? 0) + 1);
    }
    // A fault that needs no wait must not keep the loop from everything else.
    if (outcome === 'ok') this.#follow();
    else setImmediate(() => this.#follow());
  }

  #look(nowMs: number): void {
    const sinceMs = nowMs - this.#lookedMs;
    if (sinceMs < PROGRESS_MS) return;
    this.#modules.onProgress?.({
      seconds: Math.max(0, nowMs - this.#fromMs) / 1000,
      warmingUp: nowMs < this.#fromMs,
      perSecond: (this.#answeredLately * 1000) / sinceMs,
      latencies: this.#lately,
      inFlight: this.#inFlight,
    });
    this.#lookedMs = nowMs;
    this.#answeredLately = 0;
    this.#lately.clear();
  }

  #rouse(): void {
    this.#wake.abort();
  }

  async #sleep(ms: number): Promise<void> {
    if (this.#wake.signal.aborted) this.#wake = new AbortController();
    await this.#time.wait(ms, this.#wake.signal);
  }
}
