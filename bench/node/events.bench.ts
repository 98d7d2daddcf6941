import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Scope } from '../../test/support/node.ts';
import type { Bench, BenchSize, Figure } from '../support/bench.ts';
import type { FanOutOrder, FanOutWord } from '../support/fan-out-protocol.ts';
import { SERVERS } from '../support/servers.ts';
import { type Subscriber, subscribe } from '../support/subscribers.ts';
import { digits } from '../support/table.ts';

const SUBSCRIBERS = [1, 20, 500] as const;
/** Deliveries of a burst for each of `--jobs`, and the most events in it. */
const DELIVERIES_A_JOB = 200;
const MOST_EVENTS = 100_000;
/** Deliveries a second whose delay is looked at, for so long. */
const STEADY_DELIVERIES = 100_000;
const STEADY_SECONDS = 1;

/** Sorted, milliseconds. */
type Delays = readonly number[];

interface Result {
  readonly perSecond: number;
  readonly cpuMicros: number;
  /** Of events that came one by one. */
  readonly single: Delays;
  /** Of the frames of the steady rate, each from when its first event was due. */
  readonly steady: Delays;
}

async function fanOut(scope: Scope, order: FanOutOrder): Promise<Result | string> {
  const file = fileURLToPath(new URL('../support/fan-out.ts', import.meta.url));
  const child = spawn(process.execPath, [file, JSON.stringify(order)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  scope.after(() => void child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const word = async (): Promise<FanOutWord> => {
    const next = await lines.next();
    if (next.done === true) throw new Error('the process that fans out has ended');
    return JSON.parse(next.value) as FanOutWord;
  };
  const first = await word();
  if ('unavailable' in first) return first.unavailable;
  const port = 'listening' in first ? first.listening : 0;

  const { burst, single, steady, subscribers } = order;
  const delays: Record<'single' | 'steady', number[]> = { single: [], steady: [] };
  let bursting = subscribers;
  let left = subscribers;
  let startedAt = 0;
  let endedAt = 0;
  const done = Promise.withResolvers<void>();
  const onFrame = (subscriber: Subscriber, data: Buffer): void => {
    const now = performance.timeOrigin + performance.now();
    if (startedAt === 0) startedAt = now;
    if (subscriber.last <= burst) {
      if (subscriber.last < burst) return;
      bursting -= 1;
      if (bursting === 0) endedAt = now;
      return;
    }
    const time = /"time":"([^"]+)"/.exec(data.toString('latin1', 0, 100))?.[1] ?? '';
    delays[subscriber.last <= burst + single ? 'single' : 'steady'].push(now - millis(time));
    if (subscriber.last < burst + single + steady.count) return;
    left -= 1;
    if (left === 0) done.resolve();
  };
  const sockets = await subscribe(`http://127.0.0.1:${port}`, subscribers, onFrame);
  const second = await word();
  await done.promise;
  for (const { socket } of sockets) socket.terminate();
  child.kill('SIGKILL');
  return {
    perSecond: (burst * subscribers) / ((endedAt - startedAt) / 1000),
    cpuMicros: 'cpuMicros' in second ? second.cpuMicros : 0,
    single: delays.single.sort((a, b) => a - b),
    steady: delays.steady.sort((a, b) => a - b),
  };
}

/** With its microseconds, which Date leaves out. */
function millis(rfc3339: string): number {
  const [seconds = '', fraction = '0'] = rfc3339.replace('Z', '').split('.');
  return Date.parse(`${seconds}Z`) + Number(`0.${fraction}`) * 1000;
}

function at(delays: Delays, share: number): string {
  return digits(delays[Math.floor(share * (delays.length - 1))] ?? 0);
}

function delay(what: string, name: string, delays: Delays, raw: Delays): Figure {
  return {
    what: `${name}: ${what}, p99`,
    value: delays[Math.floor(0.99 * (delays.length - 1))] ?? 0,
    unit: 'ms',
    note: `p50 ${at(delays, 0.5)} ms; raw ws p50 ${at(raw, 0.5)} ms, p99 ${at(raw, 0.99)} ms`,
  };
}

function figuresOf(name: string, result: Result, raw: Result, deliveries: number): Figure[] {
  return [
    {
      what: name,
      value: result.perSecond,
      unit: 'deliveries/s',
      limit: { what: 'raw ws', value: raw.perSecond },
      note: `CPU each: server ${digits(result.cpuMicros / deliveries)} µs, raw ${digits(raw.cpuMicros / deliveries)} µs`,
    },
    delay('delay of one event', name, result.single, raw.single),
    delay(
      `delay at ${STEADY_DELIVERIES.toLocaleString('en-US')} deliveries/s`,
      name,
      result.steady,
      raw.steady,
    ),
  ];
}

async function run({ jobs, repetitions }: BenchSize, scope: Scope): Promise<Figure[]> {
  const figures: Figure[] = [];
  const missing = new Map<string, string>();
  for (const subscribers of SUBSCRIBERS) {
    const burst = Math.min(MOST_EVENTS, Math.ceil((jobs * DELIVERIES_A_JOB) / subscribers));
    const perSecond = STEADY_DELIVERIES / subscribers;
    const steady = { perSecond, count: Math.round(perSecond * STEADY_SECONDS) };
    const common = { subscribers, burst, single: repetitions, steady };
    const who = `${subscribers} ${subscribers === 1 ? 'subscriber' : 'subscribers'}`;
    for (const [server, name] of SERVERS) {
      if (missing.has(server)) continue;
      // Beside each other: what else the machine does falls on both.
      const result = await fanOut(scope, { ...common, server });
      const raw = await fanOut(scope, { ...common, server: 'raw' });
      if (typeof result === 'string') missing.set(server, result);
      else if (typeof raw !== 'string') {
        figures.push(...figuresOf(`${name}, ${who}`, result, raw, burst * subscribers));
      }
    }
  }
  for (const [server, why] of missing) console.log(`SKIPPED: events over ${server}: ${why}`);
  return figures;
}

/** The node's events to many subscribers. */
export const eventsBench: Bench = {
  name: 'events',
  doc: 'events to 1, 20 and 500 subscribers over WebSockets, each server that loads here, beside bare ws with ready frames',
  run,
};
