import { Ledger } from '../../../src/capacity/ledger.ts';
import type { Resources } from '../../../src/core/job.ts';
import { limits } from '../../../src/core/limits.ts';
import { Admission, shapeOf } from '../../../src/pipeline/admission.ts';
import type { Item } from '../../../src/pipeline/item.ts';
import { BoundedQueue } from '../../../src/pipeline/queue.ts';
import { ManualClock } from '../requester/manual-clock.ts';
import { pipelineItem } from './items.ts';

const GIB = 1024 ** 3;

/** The machine of the simulation: 64 cores, 512 GiB, 8 TiB of disk, 8 GPUs. */
export const SIMULATED: Resources = { cpu: 64, memory: 512 * GIB, disk: 8192 * GIB, gpu: 8 };

/** A kind of job: how many of a hundred are of it, what one asks for, how long it runs at most. */
export interface SizeClass {
  readonly name: string;
  readonly share: number;
  readonly resources: Resources;
  readonly longestMs: number;
}

export const CLASSES: readonly SizeClass[] = [
  { name: 'tiny', share: 50, resources: size(0.5, 0.5, 1, 0), longestMs: 20_000 },
  { name: 'small', share: 24, resources: size(2, 4, 10, 0), longestMs: 60_000 },
  { name: 'medium', share: 12, resources: size(8, 32, 50, 0), longestMs: 120_000 },
  { name: 'one GPU', share: 7, resources: size(4, 32, 100, 1), longestMs: 180_000 },
  { name: 'four GPUs', share: 3, resources: size(16, 128, 200, 4), longestMs: 240_000 },
  { name: 'half', share: 3, resources: size(32, 256, 500, 0), longestMs: 120_000 },
  { name: 'whole', share: 1, resources: size(64, 512, 1000, 8), longestMs: 60_000 },
];

function size(cpu: number, memoryGiB: number, diskGiB: number, gpu: number): Resources {
  return { cpu, memory: memoryGiB * GIB, disk: diskGiB * GIB, gpu };
}

/** As `resolveCapacity` has it. */
const WAITING_MACHINES = 32;

export interface SimulationOptions {
  readonly executions: number;
  readonly seed: number;
  /** Arrivals as a share of what the machine's busiest dimension can do; Infinity: all at the beginning. */
  readonly load: number;
}

export interface ClassReport {
  readonly name: string;
  readonly count: number;
  /** Milliseconds from arrival at the requester to start. */
  readonly meanMs: number;
  readonly p95Ms: number;
  readonly maxMs: number;
  /** Most executions that came later and started earlier. */
  readonly mostPassed: number;
}

export interface SimulationReport {
  readonly classes: readonly ClassReport[];
  /** Share of capacity used, while there was something to wait for. */
  readonly utilisation: Resources;
  /** Virtual time from the first arrival to the last end. */
  readonly makespanMs: number;
  readonly mostWaiting: number;
  /** What the ledger held in the end. */
  readonly left: readonly Resources[];
}

interface Arrival {
  readonly atMs: number;
  readonly kind: number;
  readonly runMs: number;
}

interface Start {
  readonly kind: number;
  readonly waitedMs: number;
  readonly arrival: number;
}

/** A run of the real ledger, queue and admission under a clock that is moved from event to event. */
export function simulate(options: SimulationOptions): SimulationReport {
  const clock = new ManualClock();
  const beginMs = clock.nowMs();
  const ledger = new Ledger({ total: SIMULATED, queue: each((key) => SIMULATED[key] * WAITING_MACHINES) });
  const queue = new BoundedQueue<Item>({ name: 'admit', bound: limits.admitQueue, shapeOf });
  /** What the node has no room for waits at its requester, in order. */
  const outside: Item[] = [];
  const admission = new Admission({
    queue,
    ledger,
    clock,
    gpus: [],
    hasDisk: () => true,
    reservePlaces: () => true,
    onChange: () => undefined,
  });
  const arrivals = plan(options);
  const byId = new Map<string, Arrival & { readonly arrival: number }>();
  const starts: Start[] = [];
  const usage = new Usage(ledger, clock);
  let mostWaiting = 0;
  const bid = (): void => {
    for (let item = outside[0]; item !== undefined && queue.free > 0; item = outside[0]) {
      const ticket = ledger.reserve(item.header.resources);
      if (ticket === undefined || !ledger.accept(ticket)) return;
      item.ticket = ticket;
      item.queuedAtMs = clock.nowMs();
      queue.tryPush(item);
      outside.shift();
    }
  };
  const admit = (): void => {
    for (;;) {
      bid();
      const taken = admission.take(limits.batchItems);
      if (taken.length === 0) break;
      for (const item of taken) {
        const facts = byId.get(item.id);
        if (facts === undefined) continue;
        const waitedMs = clock.nowMs() - beginMs - facts.atMs;
        starts.push({ kind: facts.kind, waitedMs, arrival: facts.arrival });
        clock.at(clock.nowMs() + facts.runMs, () => {
          usage.note(queue.depth);
          admission.releaseAll(item);
          admit();
        });
      }
    }
    usage.note(queue.depth);
  };
  for (const [arrival, facts] of arrivals.entries()) {
    clock.advance(beginMs + facts.atMs - clock.nowMs());
    const resources = CLASSES[facts.kind]?.resources ?? SIMULATED;
    const item = pipelineItem({ resources, queuedAtMs: clock.nowMs() });
    byId.set(item.id, { ...facts, arrival });
    outside.push(item);
    admit();
    mostWaiting = Math.max(mostWaiting, queue.depth + outside.length);
  }
  while (clock.pendingTimers > 0) clock.advance(1000);
  return {
    classes: CLASSES.map((_, kind) => classReport(kind, starts)),
    utilisation: usage.mean(),
    makespanMs: clock.nowMs() - beginMs,
    mostWaiting,
    left: [ledger.used(), ledger.promised()],
  };
}

/** Which jobs come when: the same for the same seed. */
function plan({ executions, seed, load }: SimulationOptions): Arrival[] {
  const random = generator(seed);
  const arrivals = Array.from({ length: executions }, (): { kind: number; runMs: number } => {
    const kind = pick(random() * 100);
    const longest = CLASSES[kind]?.longestMs ?? 0;
    // Many short ones, few long ones: the square of an even share.
    return { kind, runMs: Math.max(10, Math.round(longest * random() ** 2)) };
  });
  const busiest = Math.max(
    ...(['cpu', 'memory', 'disk', 'gpu'] as const).map((key) => {
      const work = arrivals.map(({ kind, runMs }) => (CLASSES[kind]?.resources[key] ?? 0) * runMs);
      return work.reduce((a, b) => a + b, 0) / SIMULATED[key];
    }),
  );
  const spanMs = busiest / load;
  let atMs = 0;
  return arrivals.map((arrival) => {
    // Exponential gaps: arrivals in bursts and lulls.
    atMs += -Math.log(1 - random()) * (spanMs / executions);
    return { ...arrival, atMs: Math.floor(atMs) };
  });
}

function pick(percent: number): number {
  let sum = 0;
  const found = CLASSES.findIndex(({ share }) => {
    sum += share;
    return percent < sum;
  });
  return found < 0 ? 0 : found;
}

/** A linear congruential generator: shares in [0, 1). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return ((state >>> 8) & 0xffffff) / 0x1000000;
  };
}

/** Integrates what is used over the time in which something waits. */
class Usage {
  readonly #ledger: Ledger;
  readonly #clock: ManualClock;
  #sinceMs: number;
  #waiting = 0;
  #busyMs = 0;
  #sums = each(() => 0);

  constructor(ledger: Ledger, clock: ManualClock) {
    this.#ledger = ledger;
    this.#clock = clock;
    this.#sinceMs = clock.nowMs();
    this.#used = ledger.used();
  }

  #used: Resources;

  /** To be called before and after every change. */
  note(waiting: number): void {
    const now = this.#clock.nowMs();
    const ms = now - this.#sinceMs;
    if (this.#waiting > 0 && ms > 0) {
      const used = this.#used;
      this.#sums = each((key) => this.#sums[key] + used[key] * ms);
      this.#busyMs += ms;
    }
    this.#sinceMs = now;
    this.#waiting = waiting;
    this.#used = this.#ledger.used();
  }

  mean(): Resources {
    return each((key) => this.#sums[key] / Math.max(1, this.#busyMs) / SIMULATED[key]);
  }
}

function classReport(kind: number, starts: readonly Start[]): ClassReport {
  const waits = starts.filter((start) => start.kind === kind).map(({ waitedMs }) => waitedMs);
  waits.sort((a, b) => a - b);
  let mostPassed = 0;
  for (const [index, start] of starts.entries()) {
    if (start.kind !== kind) continue;
    // Started before it although they came after it.
    let passed = 0;
    for (let earlier = 0; earlier < index; earlier += 1) {
      if ((starts[earlier]?.arrival ?? 0) > start.arrival) passed += 1;
    }
    mostPassed = Math.max(mostPassed, passed);
  }
  return {
    name: CLASSES[kind]?.name ?? '',
    count: waits.length,
    meanMs: waits.reduce((a, b) => a + b, 0) / Math.max(1, waits.length),
    p95Ms: waits[Math.floor(waits.length * 0.95)] ?? 0,
    maxMs: waits.at(-1) ?? 0,
    mostPassed,
  };
}

function each(value: (key: keyof Resources) => number): Resources {
  return { cpu: value('cpu'), memory: value('memory'), disk: value('disk'), gpu: value('gpu') };
}

/** The report as lines of text. */
export function describe({ classes, utilisation, makespanMs, mostWaiting }: SimulationReport): string[] {
  const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
  return [
    `makespan ${seconds(makespanMs)}, at most ${mostWaiting} waiting; used while something waited: ` +
      `CPU ${percent(utilisation.cpu)}, memory ${percent(utilisation.memory)}, GPU ${percent(utilisation.gpu)}`,
    ...classes.map(
      ({ name, count, meanMs, p95Ms, maxMs, mostPassed }) =>
        `${name.padEnd(10)} ${String(count).padStart(5)}  waited: mean ${seconds(meanMs).padStart(9)}  p95 ${seconds(p95Ms).padStart(9)}  max ${seconds(maxMs).padStart(9)}  passed by at most ${mostPassed}`,
    ),
  ];
}
