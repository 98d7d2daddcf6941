/** A process that does nothing but serve events to subscribers: as many of them as its order says, then it begins. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocketServer } from 'ws';
import { withVariable } from '../../src/config/environment.ts';
import { limits } from '../../src/core/limits.ts';
import { Entry, encodeEvents } from '../../src/events/encoding.ts';
import { serverOptions } from '../../src/net/api/api.ts';
import { createRoutes } from '../../src/net/api/routes.ts';
import { chooseServer } from '../../src/net/api/server.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { apiOptions, ScriptedNode, silent } from '../../test/support/api-doubles.ts';
import { ScriptedEvents, testRow } from '../../test/support/events.ts';
import {
  BATCH,
  commitsOf,
  FAN_OUT_PATH,
  type FanOutOrder,
  type FanOutWord,
  PAUSE_MS,
} from './fan-out-protocol.ts';

const say = (word: FanOutWord): void => void process.stdout.write(`${JSON.stringify(word)}\n`);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const nowMicros = (): number => Math.round((performance.timeOrigin + performance.now()) * 1000);
const cpuMicros = (): number => {
  const { user, system } = process.cpuUsage();
  return user + system;
};

/** Events at the rate that was ordered, each commit with the time when it was due: a late one does not hide that. */
async function steadily(
  { steady }: FanOutOrder,
  commit: (events: number, time: number) => void,
): Promise<void> {
  const { events, everyMicros } = commitsOf(steady);
  let due = nowMicros();
  for (let made = 0; made < steady.count; made += events) {
    const waitMs = Math.ceil((due - nowMicros()) / 1000);
    await (waitMs > 0 ? sleep(waitMs) : turn());
    commit(Math.min(events, steady.count - made), due);
    due += everyMicros;
  }
}

/** Events that may be on their way before more are made: within the ring, so that nobody reads the log. */
const AHEAD = limits.eventRingItems / 2;

async function serveNode(order: FanOutOrder, kind: 'node' | 'uws'): Promise<void> {
  const events = new ScriptedEvents();
  const { create, fallback } = chooseServer(kind === 'uws' ? 'auto' : kind, withVariable);
  if (kind === 'uws' && fallback !== '') return say({ unavailable: fallback });
  const api = { ...apiOptions, maxConnections: 4096, limits: { ...apiOptions.limits, ...limits } };
  const server = create(serverOptions(api), {
    routes: createRoutes(api, { node: new ScriptedNode(), logger: silent, events: events.hub }),
    logger: silent,
    metrics: createMetrics({ version: 'bench', processMetrics: false }),
  });
  say({ listening: (await server.listen('127.0.0.1', 0)).port });
  while (events.hub.subscribers < order.subscribers) await sleep(5);
  await sleep(100);
  const before = cpuMicros();
  const append = (count: number, time = nowMicros()): void => {
    for (let n = 0; n < count; n += 1) {
      events.last += 1;
      events.compute.unwritten.push({ ...testRow(events.last, 'compute'), time });
    }
    events.compute.flush();
    // A log that is on disk; only the ring is read here.
    events.compute.written.length = 0;
  };
  for (let made = 0; made < order.burst; made += BATCH) {
    while (events.hub.lag > AHEAD) await turn();
    append(Math.min(BATCH, order.burst - made));
    await turn();
  }
  while (events.hub.lag > 0) await turn();
  say({ cpuMicros: cpuMicros() - before });
  await sleep(200);
  for (let n = 0; n < order.single; n += 1) {
    append(1);
    await sleep(PAUSE_MS);
  }
  await steadily(order, append);
}

/** The same frames, made before, over `ws` and nothing else: what the wire and its library cost at least. */
async function serveRaw(order: FanOutOrder): Promise<void> {
  const wss = new WebSocketServer({
    port: 0,
    host: '127.0.0.1',
    path: FAN_OUT_PATH,
    perMessageDeflate: false,
  });
  await once(wss, 'listening');
  const address = wss.address();
  say({ listening: typeof address === 'object' && address !== null ? address.port : 0 });
  while (wss.clients.size < order.subscribers) await sleep(5);
  await sleep(100);
  const frame = (from: number, count: number, time = nowMicros()): Uint8Array =>
    encodeEvents(
      Array.from({ length: count }, (_, n) => new Entry({ ...testRow(from + n, 'compute'), time })),
      'json',
    );
  const frames: Uint8Array[] = [];
  for (let made = 0; made < order.burst; made += BATCH) {
    frames.push(frame(made + 1, Math.min(BATCH, order.burst - made)));
  }
  const before = cpuMicros();
  const waits = (most: number): boolean =>
    [...wss.clients].some(({ bufferedAmount }) => bufferedAmount > most);
  for (const one of frames) {
    while (waits(limits.eventBufferBytes)) await turn();
    for (const client of wss.clients) client.send(one, { binary: false });
    await turn();
  }
  while (waits(0)) await turn();
  say({ cpuMicros: cpuMicros() - before });
  await sleep(200);
  for (let n = 0; n < order.single; n += 1) {
    const one = frame(order.burst + n + 1, 1);
    for (const client of wss.clients) client.send(one, { binary: false });
    await sleep(PAUSE_MS);
  }
  let next = order.burst + order.single + 1;
  await steadily(order, (count, time) => {
    const one = frame(next, count, time);
    next += count;
    for (const client of wss.clients) client.send(one, { binary: false });
  });
}

const order = JSON.parse(process.argv[2] ?? '') as FanOutOrder;
if (order.server === 'raw') await serveRaw(order);
else await serveNode(order, order.server);
