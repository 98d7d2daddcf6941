import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import type { Scope } from '../../test/support/node.ts';
import type { Bench, BenchSize, Figure } from '../support/bench.ts';
import { FAN_OUT_PATH, type FanOutOrder, type FanOutWord } from '../support/fan-out-protocol.ts';
import { SERVERS } from '../support/servers.ts';
import { digits } from '../support/table.ts';

const SUBSCRIBERS = [1, 20, 500] as const;
/** Deliveries of a burst for each of `--jobs`, and the most events in it. */
const DELIVERIES_A_JOB = 200;
const MOST_EVENTS = 100_000;

interface Result {
  readonly perSecond: number;
  readonly cpuMicros: number;
  /** Sorted, milliseconds. */
  readonly delays: readonly number[];
}

/** Reads as little of each frame as tells what was delivered: this process reads for all. */
class Subscriber {
  last = 0;
  readonly socket: WebSocket;

  constructor(url: string, onFrame: (subscriber: Subscriber, data: Buffer) => void) {
    this.socket = new WebSocket(url, { perMessageDeflate: false });
    // Of the end, when its server is killed.
    this.socket.on('error', () => undefined);
    this.socket.on('message', (data: Buffer) => {
      const at = data.lastIndexOf('{"seq":');
      if (at < 0) return;
      this.last = Number.parseInt(data.toString('latin1', at + 7, at + 23), 10);
      onFrame(this, data);
    });
  }
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

  const { burst, single, subscribers } = order;
  const delays: number[] = [];
  let left = subscribers;
  let startedAt = 0;
  let endedAt = 0;
  const done = Promise.withResolvers<void>();
  const onFrame = (subscriber: Subscriber, data: Buffer): void => {
    const now = performance.timeOrigin + performance.now();
    if (startedAt === 0) startedAt = now;
    if (subscriber.last === burst) {
      left -= 1;
      if (left === 0) endedAt = now;
    } else if (subscriber.last > burst) {
      const time = /"time":"([^"]+)"/.exec(data.toString('latin1', 0, 100))?.[1] ?? '';
      delays.push(now - millis(time));
      if (delays.length === single * subscribers) done.resolve();
    }
  };
  const sockets = Array.from(
    { length: subscribers },
    () => new Subscriber(`ws://127.0.0.1:${port}${FAN_OUT_PATH}`, onFrame),
  );
  await Promise.all(sockets.map(({ socket }) => once(socket, 'open')));
  const second = await word();
  await done.promise;
  for (const { socket } of sockets) socket.terminate();
  child.kill('SIGKILL');
  return {
    perSecond: (burst * subscribers) / ((endedAt - startedAt) / 1000),
    cpuMicros: 'cpuMicros' in second ? second.cpuMicros : 0,
    delays: delays.sort((a, b) => a - b),
  };
}

/** With its microseconds, which Date leaves out. */
function millis(rfc3339: string): number {
  const [seconds = '', fraction = '0'] = rfc3339.replace('Z', '').split('.');
  return Date.parse(`${seconds}Z`) + Number(`0.${fraction}`) * 1000;
}

function figuresOf(
  name: string,
  subscribers: number,
  result: Result,
  raw: Result,
  deliveries: number,
): Figure[] {
  const at = ({ delays }: Result, share: number): number =>
    delays[Math.floor(share * (delays.length - 1))] ?? 0;
  const who = `${subscribers} ${subscribers === 1 ? 'subscriber' : 'subscribers'}`;
  return [
    {
      what: `${name}, ${who}`,
      value: result.perSecond,
      unit: 'deliveries/s',
      limit: { what: 'raw ws', value: raw.perSecond },
      note: `CPU each: server ${digits(result.cpuMicros / deliveries)} µs, raw ${digits(raw.cpuMicros / deliveries)} µs`,
    },
    {
      what: `${name}, ${who}: delay of one event, p99`,
      value: at(result, 0.99),
      unit: 'ms',
      note: `p50 ${digits(at(result, 0.5))} ms; raw ws p50 ${digits(at(raw, 0.5))} ms, p99 ${digits(at(raw, 0.99))} ms`,
    },
  ];
}

async function run({ jobs, repetitions }: BenchSize, scope: Scope): Promise<Figure[]> {
  const figures: Figure[] = [];
  const missing = new Map<string, string>();
  for (const subscribers of SUBSCRIBERS) {
    const burst = Math.min(MOST_EVENTS, Math.ceil((jobs * DELIVERIES_A_JOB) / subscribers));
    const common = { subscribers, burst, single: repetitions };
    for (const [server, name] of SERVERS) {
      if (missing.has(server)) continue;
      // Beside each other: what else the machine does falls on both.
      const result = await fanOut(scope, { ...common, server });
      const raw = await fanOut(scope, { ...common, server: 'raw' });
      if (typeof result === 'string') missing.set(server, result);
      else if (typeof raw !== 'string') {
        figures.push(...figuresOf(name, subscribers, result, raw, burst * subscribers));
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
