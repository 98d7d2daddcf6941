import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Outcome } from '../core/outcome.ts';
import { type MetricName, metricDefinitions } from './metric-table.ts';

export type { MetricName } from './metric-table.ts';

/** One value of a metric at scrape time. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const BATCH_BOUNDS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512] as const;
const SECONDS_BOUNDS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
] as const;

/** What a histogram shows. */
export interface BucketCounts {
  readonly bounds: readonly number[];
  /** One more than `bounds`: the last is what lies beyond. Not cumulative. */
  readonly counts: readonly number[];
  readonly sum: number;
  readonly count: number;
}

/** Counts of a histogram on plain numbers: cheap enough for hot paths. */
export class Buckets implements BucketCounts {
  readonly bounds: readonly number[];
  /** One more than `bounds`: the last is what lies beyond. Not cumulative. */
  readonly counts: number[];
  sum = 0;
  count = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  /** Counts `value`, in the unit of the bounds. */
  observe(value: number): void {
    const { bounds, counts } = this;
    let index = 0;
    while (index < bounds.length && value > (bounds[index] ?? Number.POSITIVE_INFINITY)) index += 1;
    counts[index] = (counts[index] ?? 0) + 1;
    this.sum += value;
    this.count += 1;
  }
}

/** Counters of one stage. All methods are a few additions on plain numbers. */
export class StageMetrics {
  readonly stage: string;
  in = 0;
  readonly out: Record<Outcome<unknown>['kind'], number> = {
    advance: 0,
    wait: 0,
    reject: 0,
    fail: 0,
    cancelled: 0,
  };
  refused = 0;
  depth = 0;
  bound = 0;
  highWater = 0;
  inFlight = 0;
  busyMs = 0;
  readonly batches: Buckets = new Buckets(BATCH_BOUNDS);
  /** Items by thread id; 0 is the main thread. */
  readonly threads: Map<number, number> = new Map();

  constructor(stage: string) {
    this.stage = stage;
  }

  /** `count` items were taken into the queue. */
  itemsIn(count = 1): void {
    this.in += count;
  }

  /** `count` items left with that outcome. */
  itemsOut(outcome: Outcome<unknown>['kind'], count = 1): void {
    this.out[outcome] += count;
  }

  /** `count` items found the queue full. */
  itemsRefused(count = 1): void {
    this.refused += count;
  }

  /** The queue holds `depth` items now. */
  setDepth(depth: number): void {
    this.depth = depth;
    if (depth > this.highWater) this.highWater = depth;
  }

  /** The queue can hold `bound` items. */
  setBound(bound: number): void {
    this.bound = bound;
  }

  /** `items` are at threads now. */
  setInFlight(items: number): void {
    this.inFlight = items;
  }

  /** A message with `items` items was posted to a thread. */
  batch(items: number): void {
    this.batches.observe(items);
  }

  /** A batch spent `ms` milliseconds at its thread. */
  busy(ms: number): void {
    this.busyMs += ms;
  }

  /** Thread `thread` (0 for the main thread) processed `count` items. */
  ranOn(thread: number, count = 1): void {
    this.threads.set(thread, (this.threads.get(thread) ?? 0) + count);
  }
}

/** Counters of a stage that no registry shows, for tests and benches; nodes use `Metrics.createStageMetrics`. */
export function createStageMetrics(stage: string): StageMetrics {
  return new StageMetrics(stage);
}

/** Counters of one HTTP route. */
export class RouteMetrics {
  readonly method: string;
  readonly route: string;
  readonly statuses: Map<number, number> = new Map();
  readonly seconds: Buckets = new Buckets(SECONDS_BOUNDS);

  constructor(method: string, route: string) {
    this.method = method;
    this.route = route;
  }

  /** A request was answered with `status` after `ms` milliseconds. */
  answered(status: number, ms: number): void {
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
    this.seconds.observe(ms / 1000);
  }
}

/** The node's metrics. Hot paths count on plain objects; everything is collected when it is scraped. */
export interface Metrics {
  /** Counters of a stage, shown from now on. The same name gives the same object. */
  createStageMetrics(stage: string): StageMetrics;
  /** Counters of an HTTP route, shown from now on. The same pair gives the same object. */
  createRouteMetrics(method: string, route: string): RouteMetrics;
  /** One bid was decided: "accepted" | "rejected" | "waiting", and a RejectCode or "". */
  bid(outcome: string, reason: string): void;
  /** Asks `read` at every scrape. Several sources of one metric are put together. */
  observe(name: MetricName, read: () => Iterable<Sample>): void;
  /** The same for a histogram, which has one source. */
  observeHistogram(name: MetricName, read: () => Iterable<BucketSample>): void;
  /** Prometheus text, format 0.0.4. */
  render(): Promise<string>;
}

/** Media type of `Metrics.render`. */
export const METRICS_CONTENT_TYPE: string = Registry.PROMETHEUS_CONTENT_TYPE;

/** One histogram of a metric at scrape time. */
export interface BucketSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly buckets: BucketCounts;
}

/** What the registry prints of one metric. */
interface PrintedMetric {
  readonly name: string;
  readonly help: string;
  readonly type: 'histogram';
  readonly values: {
    metricName: string;
    labels: Record<string, string | number>;
    sharedLabels: Record<string, string>;
    value: number;
  }[];
}

/** A histogram whose counts live elsewhere: prom-client's own keeps them in a map keyed by label text. */
class CollectedHistogram extends Histogram {
  readonly #name: string;
  readonly #help: string;
  readonly #read: () => Iterable<BucketSample>;

  constructor(name: string, help: string, labels: readonly string[], read: () => Iterable<BucketSample>) {
    super({ name, help, labelNames: [...labels], registers: [] });
    this.#name = name;
    this.#help = help;
    this.#read = read;
  }

  /** Both Registry.metrics() and Histogram.get() ask this. */
  async getForPromString(): Promise<PrintedMetric> {
    const name = this.#name;
    const values: PrintedMetric['values'] = [];
    const add = (suffix: string, labels: Record<string, string | number>, value: number): void => {
      values.push({ metricName: name + suffix, labels, sharedLabels: {}, value });
    };
    for (const { labels, buckets } of this.#read()) {
      let below = 0;
      for (const [index, bound] of buckets.bounds.entries()) {
        below += buckets.counts[index] ?? 0;
        add('_bucket', { ...labels, le: bound }, below);
      }
      add('_bucket', { ...labels, le: '+Inf' }, buckets.count);
      add('_sum', labels, buckets.sum);
      add('_count', labels, buckets.count);
    }
    return { name, help: this.#help, type: 'histogram', values };
  }
}

/**
 * A registry of one node.
 * @param options.version shown by `bacalhau_build_info`; `processMetrics` adds prom-client's metrics of the process
 * (they observe the garbage collector until the process ends).
 */
export function createMetrics(options: { version: string; processMetrics: boolean }): Metrics {
  const registry = new Registry();
  const stages = new Map<string, StageMetrics>();
  const routes = new Map<string, RouteMetrics>();
  const bids = new Map<string, { labels: Readonly<Record<string, string>>; value: number }>();
  const sources = new Map<MetricName, (() => Iterable<Sample>)[]>();

  const stageSamples = (read: (stage: StageMetrics) => number): (() => Iterable<Sample>) => {
    return function* () {
      for (const stage of stages.values()) yield { labels: { stage: stage.stage }, value: read(stage) };
    };
  };
  const observe = (name: MetricName, read: () => Iterable<Sample>): void => {
    const list = sources.get(name);
    if (list === undefined) sources.set(name, [read]);
    else list.push(read);
  };

  observe('bacalhau_build_info', () => [{ labels: { version: options.version }, value: 1 }]);
  observe(
    'bacalhau_stage_items_in_total',
    stageSamples((stage) => stage.in),
  );
  observe('bacalhau_stage_items_out_total', function* () {
    for (const stage of stages.values()) {
      for (const [outcome, value] of Object.entries(stage.out))
        yield { labels: { stage: stage.stage, outcome }, value };
    }
  });
  observe(
    'bacalhau_stage_items_refused_total',
    stageSamples((stage) => stage.refused),
  );
  observe('bacalhau_stage_thread_items_total', function* () {
    for (const stage of stages.values()) {
      for (const [thread, value] of stage.threads) {
        yield { labels: { stage: stage.stage, thread: String(thread) }, value };
      }
    }
  });
  observe(
    'bacalhau_stage_queue_depth',
    stageSamples((stage) => stage.depth),
  );
  observe(
    'bacalhau_stage_queue_bound',
    stageSamples((stage) => stage.bound),
  );
  observe(
    'bacalhau_stage_queue_high_water',
    stageSamples((stage) => stage.highWater),
  );
  observe(
    'bacalhau_stage_in_flight',
    stageSamples((stage) => stage.inFlight),
  );
  observe(
    'bacalhau_stage_busy_seconds_total',
    stageSamples((stage) => stage.busyMs / 1000),
  );
  observe('bacalhau_bids_total', () => bids.values());
  observe('bacalhau_http_requests_total', function* () {
    for (const route of routes.values()) {
      for (const [status, value] of route.statuses) {
        yield { labels: { method: route.method, route: route.route, status: String(status) }, value };
      }
    }
  });

  const histograms: Partial<Record<MetricName, () => Iterable<BucketSample>>> = {
    *bacalhau_stage_batch_size() {
      for (const stage of stages.values()) yield { labels: { stage: stage.stage }, buckets: stage.batches };
    },
    *bacalhau_http_request_seconds() {
      for (const { method, route, seconds } of routes.values()) {
        // Eighteen lines each: those of routes that nobody asks would be two thirds of a page.
        if (seconds.count > 0) yield { labels: { method, route }, buckets: seconds };
      }
    },
  };
  register(registry, sources, histograms);
  if (options.processMetrics) collectDefaultMetrics({ register: registry });

  return {
    createStageMetrics(stage) {
      const known = stages.get(stage);
      if (known !== undefined) return known;
      const created = new StageMetrics(stage);
      stages.set(stage, created);
      return created;
    },
    createRouteMetrics(method, route) {
      const key = `${method} ${route}`;
      const known = routes.get(key);
      if (known !== undefined) return known;
      const created = new RouteMetrics(method, route);
      routes.set(key, created);
      return created;
    },
    bid(outcome, reason) {
      const key = `${outcome} ${reason}`;
      const known = bids.get(key);
      if (known === undefined) bids.set(key, { labels: { outcome, reason }, value: 1 });
      else known.value += 1;
    },
    observe,
    observeHistogram: (name, read) => {
      histograms[name] = read;
    },
    render: () => registry.metrics(),
  };
}

function register(
  registry: Registry,
  sources: ReadonlyMap<MetricName, readonly (() => Iterable<Sample>)[]>,
  histograms: Partial<Record<MetricName, () => Iterable<BucketSample>>>,
): void {
  for (const [key, definition] of Object.entries(metricDefinitions)) {
    const name = key as MetricName;
    const { type, help } = definition;
    if (type === 'histogram') {
      const read = (): Iterable<BucketSample> => histograms[name]?.() ?? [];
      registry.registerMetric(new CollectedHistogram(name, help, definition.labels, read));
      continue;
    }
    const config = { name, help, labelNames: [...definition.labels], registers: [registry] };
    if (type === 'counter') {
      const counter: Counter = new Counter({
        ...config,
        collect: () => {
          counter.reset();
          for (const read of sources.get(name) ?? []) {
            for (const { labels, value } of read()) counter.inc(labels, value);
          }
        },
      });
      continue;
    }
    const gauge: Gauge = new Gauge({
      ...config,
      collect: () => {
        gauge.reset();
        for (const read of sources.get(name) ?? []) {
          for (const { labels, value } of read()) gauge.inc(labels, value);
        }
      },
    });
  }
}
