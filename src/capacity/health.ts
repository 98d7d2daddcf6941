import type { Clock, Timer } from '../core/clock.ts';
import { toErrorData } from '../core/errors.ts';
import type { Component } from '../core/lifecycle.ts';
import type { Logger } from '../telemetry/logger.ts';

export type HealthKind = 'engine' | 'storage' | 'publisher';

/** One thing that may come and go while the node runs. */
export interface HealthCheck {
  /** As jobs name it, lower case. */
  readonly name: string;
  readonly kind: HealthKind;
  /** True: it answers. False or a reason: it does not. Rejecting says the same as a reason. */
  check(signal: AbortSignal): Promise<boolean | string>;
  /** Time between the end of a check and the next. */
  readonly everyMs: number;
}

/** What is installed and answering: the live setting "offer" of the bid stage. Sorted, lower case. */
export interface Healthy {
  readonly engines: readonly string[];
  readonly storages: readonly string[];
  readonly publishers: readonly string[];
}

export interface HealthOptions {
  readonly checks: readonly HealthCheck[];
  /** Called with everything that answers, after the first round and whenever it changes. */
  readonly onChange: (healthy: Healthy) => void;
  /** A check that takes longer counts as failed. */
  readonly deadlineMs?: number;
}

export interface HealthModules {
  readonly clock: Clock;
  readonly logger: Logger;
}

const DEADLINE_MS = 5_000;
/** Checks spread by this share of their interval, so that they do not all meet. */
const JITTER = 0.1;

interface Entry {
  readonly check: HealthCheck;
  healthy: boolean;
  /** Last reason that was logged; undefined while it is healthy or was never checked. */
  reason: string | undefined;
  /** The check that runs: the next starts only after it. */
  running: Promise<void> | undefined;
  timer: Timer | undefined;
  /** True from a check's start until it settles, which may be after its deadline. */
  unanswered: boolean;
}

/** Watches engines, storages and publishers, and tells what is there to be offered. */
export interface Health extends Component {
  /** What answered when it was asked last. */
  current(): Healthy;
  /** Why something does not answer, by "kind name". */
  reasons(): Readonly<Record<string, string>>;
  /** Checks everything now and resolves when all have answered or run into the deadline. */
  checkNow(): Promise<void>;
}

export function createHealth(options: HealthOptions, modules: HealthModules): Health {
  return new Watch(options, modules);
}

class Watch implements Health {
  readonly name = 'health';
  readonly #options: HealthOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #entries: readonly Entry[];
  readonly #stop = new AbortController();
  #told: string | undefined;
  #started = false;

  constructor(options: HealthOptions, modules: HealthModules) {
    this.#options = options;
    this.#clock = modules.clock;
    this.#logger = modules.logger;
    this.#entries = options.checks.map((check) => ({
      check,
      healthy: false,
      reason: undefined,
      running: undefined,
      timer: undefined,
      unanswered: false,
    }));
  }

  /** Ends with the first round, so that what is there is offered from the start. */
  async start(): Promise<void> {
    if (this.#started) return;
    await this.checkNow();
    this.#started = true;
    this.#tell();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    for (const entry of this.#entries) entry.timer?.cancel();
    await Promise.all(this.#entries.flatMap((entry) => entry.running ?? []));
  }

  current(): Healthy {
    const of = (kind: HealthKind): string[] =>
      this.#entries
        .filter((entry) => entry.healthy && entry.check.kind === kind)
        .map((entry) => entry.check.name)
        .sort();
    return { engines: of('engine'), storages: of('storage'), publishers: of('publisher') };
  }

  reasons(): Readonly<Record<string, string>> {
    const reasons: Record<string, string> = {};
    for (const { check, healthy, reason } of this.#entries) {
      if (!healthy && reason !== undefined) reasons[`${check.kind} ${check.name}`] = reason;
    }
    return reasons;
  }

  async checkNow(): Promise<void> {
    await Promise.all(this.#entries.map((entry) => this.#run(entry)));
  }

  #run(entry: Entry): Promise<void> {
    entry.timer?.cancel();
    entry.running ??= this.#check(entry).finally(() => {
      entry.running = undefined;
      this.#schedule(entry);
    });
    return entry.running;
  }

  #schedule(entry: Entry): void {
    if (this.#stop.signal.aborted) return;
    const spread = 1 + JITTER * (2 * Math.random() - 1);
    entry.timer = this.#clock.at(
      this.#clock.nowMs() + entry.check.everyMs * spread,
      () => void this.#run(entry),
    );
  }

  async #check(entry: Entry): Promise<void> {
    const answer = await this.#ask(entry);
    if (this.#stop.signal.aborted) return;
    const { name, kind } = entry.check;
    if (answer === true) {
      if (!entry.healthy) this.#logger.info({ [kind]: name }, `${kind} ${name} is available`);
      entry.healthy = true;
      entry.reason = undefined;
    } else {
      const reason = answer === false ? 'it does not answer' : answer;
      if (entry.healthy || entry.reason !== reason) {
        this.#logger.warn({ [kind]: name, reason }, `${kind} ${name} is not available`);
      }
      entry.healthy = false;
      entry.reason = reason;
    }
    if (this.#started) this.#tell();
  }

  /** The check's answer, or a reason at the deadline. A check that goes on after it is not joined by another. */
  async #ask(entry: Entry): Promise<boolean | string> {
    const deadlineMs = this.#options.deadlineMs ?? DEADLINE_MS;
    const late = `no answer within ${deadlineMs} ms`;
    if (entry.unanswered) return late;
    const controller = new AbortController();
    let giveUp: (why: string) => void = () => undefined;
    const given = new Promise<string>((resolve) => {
      giveUp = (why) => {
        resolve(why);
        controller.abort();
      };
    });
    const timer = this.#clock.at(this.#clock.nowMs() + deadlineMs, () => giveUp(late));
    const onStop = (): void => giveUp('the node stops');
    this.#stop.signal.addEventListener('abort', onStop, { once: true });
    entry.unanswered = true;
    const answer = (async () => entry.check.check(controller.signal))()
      .catch((thrown: unknown) => toErrorData(thrown).message)
      .finally(() => {
        entry.unanswered = false;
      });
    try {
      return await Promise.race([answer, given]);
    } finally {
      timer.cancel();
      this.#stop.signal.removeEventListener('abort', onStop);
    }
  }

  #tell(): void {
    const healthy = this.current();
    const text = JSON.stringify(healthy);
    if (text === this.#told) return;
    this.#told = text;
    this.#options.onChange(healthy);
  }
}
