import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Stream } from '@libp2p/interface';
import { newExecutionId, newJobId } from '../../src/core/ids.ts';
import type { Scope } from '../../test/support/node.ts';
import { type WireNode, wireNode } from '../../test/support/wire.ts';
import type { Bench, Figure } from '../support/bench.ts';
import { startWirePeer } from '../support/processes.ts';
import { digits } from '../support/table.ts';
import {
  ASK_BYTES,
  BID_BYTES,
  MOST_PER_FRAME,
  onRawFrames,
  RAW_PROTOCOL,
  rawFrame,
} from '../support/wire-raw.ts';

const IN_FLIGHT = [1, 16, 256] as const;
/** Wire and raw frames take turns, so that what else the machine does falls on both. */
const ROUNDS = 3;
const SPEC = Buffer.alloc(400, 's');
const LARGE = Buffer.alloc(4_000_000, 's');
const LARGE_APART_MS = 3000;
const PER_SECOND = 1000;
/** Linux counts the CPU time of processes in these (USER_HZ). */
const TICK_MICROS = 10_000;

interface Run {
  readonly perSecond: number;
  readonly trips: readonly number[];
  readonly cpuMicros: number;
}

/** Keeps `inFlight` of what `start` begins on the way for `ms`. `start` is given what to call at its end. */
async function keepInFlight(
  inFlight: number,
  ms: number,
  start: (ended: () => void) => void,
): Promise<{ trips: number[]; seconds: number }> {
  const trips: number[] = [];
  const started = performance.now();
  let open = 0;
  await new Promise<void>((resolve) => {
    const next = (): void => {
      const at = performance.now();
      open += 1;
      start(() => {
        const now = performance.now();
        trips.push(now - at);
        open -= 1;
        if (now - started < ms) next();
        else if (open === 0) resolve();
      });
    };
    for (let index = 0; index < inFlight; index += 1) next();
  });
  return { trips, seconds: (performance.now() - started) / 1000 };
}

/** An ask, until its bid is here. */
function bids(node: WireNode, peer: string): (ended: () => void) => void {
  const waiting = new Map<string, () => void>();
  node.handlers.message = (_from, message) => {
    if (message.type === 'BidResult') {
      const ended = waiting.get(message.executionId);
      waiting.delete(message.executionId);
      ended?.();
    }
    return Promise.resolve();
  };
  const jobId = newJobId();
  return (ended) => {
    const executionId = newExecutionId();
    waiting.set(executionId, ended);
    void node.wire.send(peer, { type: 'AskForBid', executionId, jobId, jobVersion: 1, spec: SPEC });
  };
}

/** The same bytes without anything that makes or reads them; what one turn of the loop starts is one frame. */
function rawRoundTrips(stream: Stream): (ended: () => void) => void {
  const waiting: (() => void)[] = [];
  let ready = 0;
  onRawFrames(stream, BID_BYTES, (count) => {
    for (const ended of waiting.splice(0, count)) ended();
  });
  const flush = (): void => {
    for (; ready > 0; ready -= Math.min(ready, MOST_PER_FRAME)) {
      stream.send(rawFrame(Math.min(ready, MOST_PER_FRAME), ASK_BYTES));
    }
  };
  return (ended) => {
    waiting.push(ended);
    if (ready === 0) setImmediate(flush);
    ready += 1;
  };
}

/** Round trips of bids that begin at a fixed rate, whatever became of those before, for `ms`. */
async function atRate(ms: number, start: (ended: () => void) => void): Promise<number[]> {
  const trips: number[] = [];
  const started = performance.now();
  let begun = 0;
  let open = 0;
  for (let now = started; now - started < ms || open > 0; now = performance.now()) {
    const due = Math.min(ms, now - started) * (PER_SECOND / 1000);
    for (; begun < due; begun += 1) {
      const at = started + (begun * 1000) / PER_SECOND;
      open += 1;
      start(() => {
        trips.push(performance.now() - at);
        open -= 1;
      });
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return trips;
}

/** How small asks fare while large ones cross, one at a time, begun `apartMs` after one another or later. */
async function besideLarge(
  ms: number,
  apartMs: number,
  node: WireNode,
  peer: string,
  ask: (ended: () => void) => void,
): Promise<Figure> {
  const [alone, beside]: [number[], number[]] = [[], []];
  let crossed = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    alone.push(...(await atRate(ms, ask)));
    let goesOn = true;
    const crossing = (async () => {
      while (goesOn) {
        const executionId = newExecutionId();
        const apart = sleep(apartMs);
        await node.wire.send(peer, {
          type: 'AskForBid',
          executionId,
          jobId: newJobId(),
          jobVersion: 1,
          spec: LARGE,
        });
        crossed += 1;
        await apart;
      }
    })();
    beside.push(...(await atRate(ms, ask)));
    goesOn = false;
    await crossing;
  }
  const [quiet, loaded] = [alone, beside].map((trips) => trips.toSorted((a, b) => a - b));
  const at = (trips: readonly number[] = [], share: number): number =>
    trips[Math.floor(trips.length * share)] ?? Number.NaN;
  return {
    what: `p99 of ${PER_SECOND} bids/s beside 4 MB asks${apartMs > 0 ? `, one in ${apartMs / 1000} s` : ' back to back'}`,
    value: at(loaded, 0.99),
    unit: 'ms',
    limit: { what: 'without them', value: at(quiet, 0.99) },
    note: `median ${digits(at(loaded, 0.5))} ms, without ${digits(at(quiet, 0.5))}; ${crossed} large asks`,
  };
}

async function cpuMicros(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const { user, system } = process.cpuUsage();
  return (Number(fields[11]) + Number(fields[12])) * TICK_MICROS + user + system;
}

async function timed(pid: number, run: () => ReturnType<typeof keepInFlight>): Promise<Run> {
  const before = await cpuMicros(pid);
  const { trips, seconds } = await run();
  return { perSecond: trips.length / seconds, trips, cpuMicros: (await cpuMicros(pid)) - before };
}

function percentile(runs: readonly Run[], share: number): number {
  const all = runs.flatMap(({ trips }) => trips).toSorted((a, b) => a - b);
  return all[Math.floor(all.length * share)] ?? Number.NaN;
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** Two nodes in two processes, without roles and stores: what the wire alone costs. */
export const wireBench: Bench = {
  name: 'wire',
  doc: 'asks to another process and bids back over libp2p, beside empty frames of the same size',
  async run({ microMs }, scope: Scope): Promise<readonly Figure[]> {
    const peer = await startWirePeer(scope);
    const node = await wireNode(scope, { peers: [peer.address] });
    const id = peer.address.slice(peer.address.lastIndexOf('/') + 1);
    await node.linked(id);
    const [connection] = node.host.libp2p.getConnections();
    const stream = await connection?.newStream(RAW_PROTOCOL);
    if (stream === undefined) throw new Error('the peer is not connected');
    const ask = bids(node, id);
    const raw = rawRoundTrips(stream);
    await keepInFlight(256, microMs, ask);
    await keepInFlight(256, microMs, raw);
    const figures: Figure[] = [];
    for (const inFlight of IN_FLIGHT) {
      const wire: Run[] = [];
      const bare: Run[] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        wire.push(await timed(peer.pid, () => keepInFlight(inFlight, microMs, ask)));
        bare.push(await timed(peer.pid, () => keepInFlight(inFlight, microMs, raw)));
      }
      const cpu = (runs: readonly Run[]): string =>
        digits(median(runs.map(({ cpuMicros: micros, trips }) => micros / trips.length)));
      const trip = (runs: readonly Run[]): string =>
        `${digits(percentile(runs, 0.5))} ms (p99 ${digits(percentile(runs, 0.99))})`;
      figures.push({
        what: `bids, ${inFlight} in flight`,
        value: median(wire.map(({ perSecond }) => perSecond)),
        unit: 'bids/s',
        limit: { what: 'raw frames', value: median(bare.map(({ perSecond }) => perSecond)) },
        note: `round trip ${trip(wire)}, raw ${trip(bare)}; CPU of both ends ${cpu(wire)} µs each, raw ${cpu(bare)}`,
      });
    }
    figures.push(await besideLarge(10 * microMs, LARGE_APART_MS, node, id, ask));
    figures.push(await besideLarge(3 * microMs, 0, node, id, ask));
    return figures;
  },
};
