import type { ApiClient } from '../client.ts';
import type { CliContext } from '../context.ts';
import { type Wire, wireText } from '../wire.ts';
import type { BenchEngine } from './bench-job.ts';
import { ClockOffset } from './clock-offset.ts';
import { EventSubscriber, eventTimeMs } from './event-subscriber.ts';
import { JobRuns } from './job-runs.ts';
import { Latencies } from './latencies.ts';
import { type LoadOptions, runLoad } from './load.ts';
import { type BenchReport, latencyText, progressOf } from './report.ts';

export interface JobsBenchModules {
  readonly context: CliContext;
  readonly client: ApiClient;
}

/** Jobs by which the node's clock is compared with this one, one after the other. */
const CLOCK_JOBS = 20;

function connectionsOf({ pace }: LoadOptions): number {
  return pace.kind === 'concurrency' ? pace.lanes : Number.POSITIVE_INFINITY;
}

/** Jobs from their submission to the event of their end. @throws NodeError NodeUnreachable, RequestFailed */
export async function benchJobs(
  engine: BenchEngine,
  load: LoadOptions,
  { context, client }: JobsBenchModules,
): Promise<BenchReport> {
  const runs = await JobRuns.begin(client, { engine, connections: connectionsOf(load) });
  const progress = progressOf(context);
  try {
    const result = await runLoad(load, {
      operate: () => runs.run(),
      signal: context.signal,
      onProgress: (now) => progress.show(now),
    });
    return {
      bench: 'jobs',
      title: `${engine} jobs of ${client.baseUrl}, from submission to completion`,
      ok: 'completed',
      pace: load.pace,
      load: result,
      latencies: result.latencies,
      more: [0.5, 0.99].map((share) => ({
        key: `AcknowledgedMsP${share * 100}`,
        label: `Submission acknowledged, p${share * 100}`,
        value: runs.acknowledged.at(share),
        text: latencyText(runs.acknowledged.at(share)),
      })),
      notes: [],
    };
  } finally {
    progress.end();
    await runs.end();
  }
}

/**
 * Events from the time they have in the log to their arrival at many subscribers, while jobs run.
 * @throws NodeError NodeUnreachable, RequestFailed
 */
export async function benchEvents(
  options: { readonly engine: BenchEngine; readonly subscribers: number },
  load: LoadOptions,
  { context, client }: JobsBenchModules,
): Promise<BenchReport> {
  const { engine, subscribers } = options;
  const runs = await JobRuns.begin(client, { engine, connections: connectionsOf(load) });
  const streams: EventSubscriber[] = [];
  const delays = new Latencies();
  const progress = progressOf(context);
  let deliveries = 0;
  let lost = 0;
  let offsetMs = 0;
  let isCounting = false;
  const onEvents = (events: readonly Wire[], atMs: number): void => {
    if (!isCounting) return;
    deliveries += events.length;
    for (const event of events) delays.record(Math.max(0, atMs + offsetMs - eventTimeMs(event)));
  };
  try {
    const clock = await compareClocks(runs, client);
    offsetMs = clock.offsetMs;
    const onLost = (): void => {
      lost += 1;
    };
    while (streams.length < subscribers)
      streams.push(await EventSubscriber.open(client, '', { onEvents, onLost }));
    const warmUp = setTimeout(() => {
      isCounting = true;
    }, load.warmUpMs);
    const result = await runLoad(load, {
      operate: () => runs.run(),
      signal: context.signal,
      onProgress: (now) => progress.show(now),
    });
    clearTimeout(warmUp);
    isCounting = false;
    const perSecond = result.seconds > 0 ? deliveries / result.seconds : 0;
    return {
      bench: 'events',
      title: `Events of ${client.baseUrl} to ${subscribers} subscribers, while ${engine} jobs run`,
      ok: 'completed',
      pace: load.pace,
      load: result,
      latencies: delays,
      more: [
        { key: 'Subscribers', label: 'Subscribers', value: subscribers, text: String(subscribers) },
        {
          key: 'Deliveries',
          label: 'Events delivered',
          value: deliveries,
          text: deliveries.toLocaleString('en-US'),
        },
        {
          key: 'DeliveriesPerSecond',
          label: 'Events delivered a second',
          value: Number(perSecond.toFixed(1)),
          text: Math.round(perSecond).toLocaleString('en-US'),
        },
        {
          key: 'ClockUncertaintyMs',
          label: 'Delays are exact within',
          value: clock.uncertaintyMs,
          text: latencyText(clock.uncertaintyMs),
        },
      ],
      notes: lost > 0 ? [`${lost} of the subscribers lost their stream.`] : [],
    };
  } finally {
    progress.end();
    for (const stream of streams) stream.close();
    await runs.end();
  }
}

/** By jobs' own first events, whose time the node's clock has set between their submission and its answer. */
async function compareClocks(runs: JobRuns, client: ApiClient): Promise<ClockOffset> {
  const times = new Map<string, number>();
  let heard: () => void = () => undefined;
  const stream = await EventSubscriber.open(client, '?type=job&role=requester', {
    onEvents: (events) => {
      for (const event of events) {
        const id = wireText(event['jobID']);
        if (!times.has(id)) times.set(id, eventTimeMs(event));
      }
      heard();
    },
    onLost: () => heard(),
  });
  const offset = new ClockOffset();
  try {
    for (let job = 0; job < CLOCK_JOBS; job += 1) {
      const { id, sentMs, answeredMs } = await runs.submit();
      const next = new Promise<void>((resolve) => {
        heard = resolve;
      });
      if (!times.has(id)) await next;
      const nodeMs = times.get(id);
      if (nodeMs !== undefined) offset.note({ sentMs, nodeMs, answeredMs });
    }
  } finally {
    stream.close();
  }
  return offset;
}
