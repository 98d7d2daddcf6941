import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { unpack } from 'msgpackr';
import { WebSocket } from 'ws';
import { eventOf } from '../../src/events/event.ts';
import type { HubOptions } from '../../src/events/hub.ts';
import type { ApiServer, ServerOptions } from '../../src/net/api/adapter.ts';
import { serverOptions } from '../../src/net/api/api.ts';
import type { ApiOptions } from '../../src/net/api/options.ts';
import { createRoutes } from '../../src/net/api/routes.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { apiOptions, ScriptedNode, silent } from '../support/api-doubles.ts';
import { ScriptedEvents, testExecutionId, testJobId, testNodeId } from '../support/events.ts';
import { openRaw } from '../support/raw-http.ts';
import { envelope } from '../support/served-api.ts';
import type { ServerUnderTest } from '../support/server-under-test.ts';

const EVENTS = '/api/v1/events';
const JSON_PROTOCOL = 'bacalhau.events.v1+json';
const MSGPACK_PROTOCOL = 'bacalhau.events.v1+msgpack';

interface Received {
  /** Elements of all frames, but for positions. */
  readonly elements: Record<string, unknown>[];
  /** Elements of each. */
  readonly frames: { readonly count: number; readonly bytes: number; readonly binary: boolean }[];
  /** Seqs that it was told to have behind it. */
  readonly positions: readonly unknown[];
  /** Resolves when so many elements have come. */
  until(count: number): Promise<void>;
  /** Resolves when the event with that seq has come. */
  untilSeq(seq: number): Promise<void>;
  readonly closed: Promise<{ code: number; reason: string }>;
}

function receive(socket: WebSocket): Received {
  const elements: Record<string, unknown>[] = [];
  const frames: Received['frames'] = [];
  const positions: unknown[] = [];
  socket.on('message', (data: Buffer, binary: boolean) => {
    const frame = (binary ? unpack(data) : JSON.parse(data.toString())) as Record<string, unknown>[];
    const told = frame.filter((element) => element['at'] === undefined);
    positions.push(...frame.flatMap((element) => element['at'] ?? []));
    if (told.length === 0) return;
    frames.push({ count: told.length, bytes: data.length, binary });
    elements.push(...told);
  });
  const closed = once(socket, 'close').then(([code, reason]) => ({
    code: code as number,
    reason: String(reason),
  }));
  const waitFor = async (isThere: () => boolean): Promise<void> => {
    while (!isThere()) {
      const next = await Promise.race([once(socket, 'message'), closed]);
      assert.ok(Array.isArray(next), `closed with ${JSON.stringify(next)} after ${elements.length} elements`);
    }
  };
  return {
    elements,
    frames,
    positions,
    closed,
    until: (count) => waitFor(() => elements.length >= count),
    untilSeq: (seq) => waitFor(() => elements.at(-1)?.['seq'] === seq),
  };
}

/** How any server carries the node's events. */
export function apiEventContract({ name, create: createServer }: ServerUnderTest): void {
  describe(`events: ${name}`, () => {
    let events: ScriptedEvents;
    let server: ApiServer;
    let port = 0;
    const others: ApiServer[] = [];
    const clients: WebSocket[] = [];

    const serve = async (
      own: ScriptedEvents,
      overrides: Partial<ServerOptions> = {},
      options: Partial<ApiOptions> = {},
    ): Promise<{ made: ApiServer; port: number }> => {
      const routes = createRoutes(
        { ...apiOptions, ...options },
        { node: new ScriptedNode(), logger: silent, events: own.hub },
      );
      const metrics = createMetrics({ version: 'test', processMetrics: false });
      const made = createServer(
        { ...serverOptions(apiOptions), ...overrides },
        { routes, logger: silent, metrics },
      );
      const listening = await made.listen('127.0.0.1', 0);
      return { made, port: listening.port };
    };
    /** A server of its own for one test. */
    const serveOwn = async (
      bounds: Partial<HubOptions['limits']>,
      overrides: Partial<ServerOptions> = {},
      options: Partial<ApiOptions> = {},
    ): Promise<{ own: ScriptedEvents; port: number; made: ApiServer }> => {
      const own = new ScriptedEvents(bounds);
      const { made, port: ownPort } = await serve(own, overrides, options);
      others.push(made);
      return { own, port: ownPort, made };
    };
    const dial = (search = '', protocol?: string, at = port, origin?: string): WebSocket => {
      const socket = new WebSocket(
        `ws://127.0.0.1:${at}${EVENTS}${search}`,
        protocol === undefined ? [] : [protocol],
        origin === undefined ? {} : { origin },
      );
      clients.push(socket);
      return socket;
    };
    const append = (count: number, own = events): void => {
      for (let n = 0; n < count; n += 1) own.append(n % 2 === 0 ? 'requester' : 'compute');
      own.requester.flush();
      own.compute.flush();
    };
    const subscribed = async (count: number, own = events): Promise<void> => {
      while (own.hub.subscribers !== count) await new Promise((resolve) => setImmediate(resolve));
    };
    const stream = async (search: string, headers: Record<string, string> = {}): Promise<Response> =>
      fetch(`http://127.0.0.1:${port}${EVENTS}${search}`, { headers });

    before(async () => {
      events = new ScriptedEvents();
      ({ made: server, port } = await serve(events));
      append(20);
    });
    beforeEach(() => subscribed(0));
    afterEach(async () => {
      for (const client of clients.splice(0)) client.terminate();
      for (const other of others.splice(0)) await other.close(Date.now() + 500);
    });
    after(() => server.close(Date.now() + 1000));

    it('sends JSON text and msgpack, the same in both, an array a frame', async () => {
      const json = receive(dial('?from=1', JSON_PROTOCOL));
      const msgpack = receive(dial('?from=1', MSGPACK_PROTOCOL));
      const plain = receive(dial('?from=1'));
      await Promise.all([json.until(20), msgpack.until(20), plain.until(20)]);
      assert.deepEqual(json.elements, events.all().map(eventOf));
      assert.deepEqual(msgpack.elements, json.elements);
      assert.deepEqual(plain.elements, json.elements);
      assert.deepEqual(
        [json.frames[0]?.binary, msgpack.frames[0]?.binary, plain.frames[0]?.binary],
        [false, true, false],
      );
      await subscribed(3);
      events.append('compute');
      events.compute.flush();
      await Promise.all([json.until(21), msgpack.until(21)]);
      assert.deepEqual(json.frames.at(-1)?.count, 1, 'one when idle');
      assert.deepEqual(msgpack.elements, json.elements);
    });

    it('agrees on its subprotocols, and on no compression', async () => {
      const socket = dial('', MSGPACK_PROTOCOL);
      await once(socket, 'open');
      assert.equal(socket.protocol, MSGPACK_PROTOCOL);
      assert.equal(socket.extensions, '');
    });

    it('begins where it is told to: now, at a seq, at a time', async () => {
      const now = receive(dial(''));
      await subscribed(1);
      const { last } = events;
      const at = receive(dial(`?from=${last - 2}`));
      const row = events.all().find(({ seq }) => seq === last - 5);
      const since = receive(dial(`?since=${new Date((row?.time ?? 0) / 1000).toISOString()}`));
      await Promise.all([at.until(3), since.until(6)]);
      append(2);
      await now.until(2);
      assert.equal(now.elements[0]?.['seq'], last + 1);
      assert.deepEqual([now.positions[0], at.positions[0], since.positions[0]], [last, last - 3, last - 6]);
      assert.equal(at.elements[0]?.['seq'], last - 2);
      assert.equal(since.elements[0]?.['seq'], last - 5);
    });

    it('filters by job, execution, node, type and role, with several values', async () => {
      const all = events.all();
      const cases: [string, (row: (typeof all)[number]) => boolean][] = [
        [`job=${testJobId(1)}`, (row) => row.jobId === testJobId(1)],
        [`job=${testJobId(1)},j-00000003`, (row) => [testJobId(1), testJobId(3)].includes(row.jobId)],
        [
          `execution=${testExecutionId(4)}&execution=${testExecutionId(7)}`,
          (row) => [testExecutionId(4), testExecutionId(7)].includes(row.executionId),
        ],
        [
          `node=${testNodeId(1)}&role=compute`,
          (row) => row.nodeId === testNodeId(1) && row.role === 'compute',
        ],
        [`node=${testNodeId(2).slice(-8)}`, (row) => row.nodeId === testNodeId(2)],
        ['type=execution,job', () => true],
        ['type=evaluation', () => false],
      ];
      for (const [search, passes] of cases) {
        const got = receive(dial(`?from=1&follow=false&${search}`));
        assert.deepEqual(await got.closed, { code: 1000, reason: 'no more events' }, search);
        assert.deepEqual(got.elements, all.filter(passes).map(eventOf), search);
      }
    });

    it('sends Server-Sent Events that go on from the last id', async () => {
      const first = await stream('?from=1&follow=false');
      assert.equal(first.headers.get('content-type'), 'text/event-stream; charset=utf-8');
      assert.equal(first.headers.get('cache-control'), 'no-store');
      const text = await first.text();
      const blocks = text.split('\n\n').slice(2, -1);
      assert.match(text, /^retry: \d+\n\n: at 0\nid: 0\n\n/);
      assert.equal(blocks.length, events.all().length);
      const [row] = events.all();
      assert.equal(
        blocks[0],
        `id: 1\nevent: execution\ndata: ${row === undefined ? '' : JSON.stringify(eventOf(row))}`,
      );
      const last = events.last;
      const rest = await (await stream('?from=1&follow=false', { 'last-event-id': String(last - 2) })).text();
      assert.deepEqual(
        [...rest.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id)),
        [last - 2, last - 1, last],
      );
    });

    it('streams while events happen, and forgets a reader that goes away', async () => {
      const reply = await stream('?type=execution');
      const reader = reply.body?.getReader();
      await subscribed(1);
      append(1);
      let text = '';
      while (!text.includes(`id: ${events.last}\n`)) {
        text += new TextDecoder().decode((await reader?.read())?.value);
      }
      await reader?.cancel();
      await subscribed(0);
      const socket = dial('');
      await once(socket, 'open');
      await subscribed(1);
      socket.terminate();
      await subscribed(0);
      const head = await fetch(`http://127.0.0.1:${port}${EVENTS}`, { method: 'HEAD' });
      assert.equal(head.status, 200);
      await subscribed(0);
    });

    it('says what is wrong with a filter: 400, or an error element and close code 4400', async () => {
      const bad: [string, RegExp][] = [
        ['?jobs=x', /unknown parameter "jobs" \(did you mean job\?\)/],
        ['?job=x', /invalid job: "x" \(expected a whole id such as j-.*, or its short form j-/],
        ['?execution=j-00000001', /invalid execution/],
        ['?node=%00', /invalid node/],
        ['?type=jobs', /invalid type: "jobs" \(expected one of job, execution, evaluation, node\)/],
        ['?role=admin', /invalid role: "admin" \(expected one of requester, compute\)/],
        ['?from=-1', /invalid from/],
        ['?from=1&since=2026-01-01T00:00:00Z', /give one of them/],
        ['?since=yesterday', /invalid since: "yesterday"/],
        ['?follow=maybe', /invalid follow/],
        ['?from=9999', /invalid from: 9999 \(the last event of this node is \d+/],
        [`?type=${'job,'.repeat(101)}`, /too many values of type: 101/],
        [`?node=${'x'.repeat(200)}`, /invalid node: .*at most 128 characters/],
      ];
      for (const [search, message] of bad) {
        const body = await envelope(await stream(search), 400);
        assert.match(String(body['Message']), message, search);
        const got = receive(dial(search, MSGPACK_PROTOCOL));
        const { code, reason } = await got.closed;
        assert.equal(code, search === '?from=9999' ? 4416 : 4400, search);
        assert.ok(reason.length > 0 && Buffer.byteLength(reason) <= 123, reason);
        const { error } = got.elements[0] as { error: { code: string; message: string } };
        assert.equal(error.code, 'BadQuery');
        assert.match(error.message, message, search);
      }
      await envelope(await stream('', { 'last-event-id': 'x' }), 400);
      assert.equal(events.hub.subscribers, 0);
    });

    it('keeps pages of other sites out', async () => {
      const { port: openPort } = await serveOwn({}, {}, { allowedOrigins: ['https://status.example.org'] });
      const refused = [
        'https://evil.example',
        `http://evil.example:${port}`,
        'null',
        'http://localhost.evil.example',
      ];
      const allowed = [
        'http://localhost:8080',
        'http://127.0.0.1',
        'https://[::1]:3',
        `http://127.0.0.1:${port}`,
      ];
      for (const origin of refused) {
        const got = receive(dial('?from=1', JSON_PROTOCOL, port, origin));
        assert.equal((await got.closed).code, 4403, origin);
        assert.deepEqual(
          got.elements.map((element) => Object.keys(element)),
          [['error']],
          origin,
        );
        // fetch sends no Origin of its own.
        const raw = httpRequest({ port, path: EVENTS, headers: { origin } }).end();
        const [reply] = (await once(raw, 'response')) as [{ statusCode: number; resume(): void }];
        reply.resume();
        assert.equal(reply.statusCode, 403, origin);
      }
      for (const [origin, at] of [
        ...allowed.map((one) => [one, port] as const),
        ['https://status.example.org', openPort] as const,
      ]) {
        const got = receive(dial('?follow=false', JSON_PROTOCOL, at, origin));
        assert.equal((await got.closed).code, 1000, origin);
      }
    });

    it('puts many events into a frame, and bounds the frame', async () => {
      const { own, port: ownPort } = await serveOwn({ eventRingItems: 500 });
      append(5000, own);
      const got = receive(dial('?from=1', JSON_PROTOCOL, ownPort));
      await got.until(5000);
      assert.deepEqual(
        got.elements.map((element) => element['seq']),
        Array.from({ length: 5000 }, (_, n) => n + 1),
      );
      assert.ok(got.frames.length < 100, `${got.frames.length} frames`);
      for (const { bytes } of got.frames) assert.ok(bytes <= 66_000, `${bytes} bytes`);
    });

    it('names what is no longer there, and goes on behind it', async () => {
      const { own, port: ownPort } = await serveOwn({});
      append(10, own);
      own.compute.lost = 7;
      const got = receive(dial('?from=1', JSON_PROTOCOL, ownPort));
      await got.until(8);
      assert.deepEqual(got.elements[0], { gap: { role: 'compute', from: 1, to: 6 } });
      assert.deepEqual(
        got.elements.slice(1).map((element) => element['seq']),
        [1, 3, 5, 7, 8, 9, 10],
      );
      const other = receive(dial('?from=1&role=requester', JSON_PROTOCOL, ownPort));
      await other.until(5);
      assert.equal(other.elements[0]?.['seq'], 1, 'a gap of what nobody asked for is none');
    });

    it('closes a subscriber that takes nothing, and serves the others', async () => {
      const { own, port: ownPort } = await serveOwn(
        { eventStallMs: 300, eventBeatMs: 50 },
        { sockets: { logs: { count: 1, bufferBytes: 1000 }, events: { count: 10, bufferBytes: 20_000 } } },
      );
      const stalled = dial('', JSON_PROTOCOL, ownPort);
      await once(stalled, 'open');
      stalled.pause();
      const reader = receive(dial('', JSON_PROTOCOL, ownPort));
      await subscribed(2, own);
      const seqs = (): unknown[] => reader.elements.flatMap((element) => element['seq'] ?? []);
      while (own.hub.counts.ends.stalled === 0) {
        append(200, own);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      await reader.untilSeq(own.last);
      assert.deepEqual(
        seqs(),
        Array.from({ length: own.last }, (_, n) => n + 1),
      );
      const closed = receive(stalled).closed;
      stalled.resume();
      const { code, reason } = await closed;
      assert.equal(code, 4408);
      assert.match(reason, /from=\d+$/);
    });

    it('serves a bounded number of subscribers, of both kinds together', async () => {
      const { port: ownPort } = await serveOwn({ eventSubscribers: 1 });
      await once(dial('', JSON_PROTOCOL, ownPort), 'open');
      await envelope(await fetch(`http://127.0.0.1:${ownPort}${EVENTS}`), 503);
      assert.equal((await receive(dial('', JSON_PROTOCOL, ownPort)).closed).code, 1013);
    });

    it('tells subscribers when the node stops', async () => {
      const { port: ownPort, made, own } = await serveOwn({});
      const got = receive(dial('', JSON_PROTOCOL, ownPort));
      const reply = await fetch(`http://127.0.0.1:${ownPort}${EVENTS}`);
      await subscribed(2, own);
      await made.close(Date.now() + 2000);
      assert.deepEqual(await got.closed, { code: 1001, reason: 'the node is stopping' });
      await reply.text();
      await subscribed(0, own);
    });

    it('is not moved by what subscribers send', async () => {
      const socket = dial('');
      const got = receive(socket);
      await once(socket, 'open');
      await subscribed(1);
      socket.send('{"subscribe":"all"}');
      socket.send(Buffer.alloc(100));
      append(1);
      await got.until(1);
      const raw = await openRaw(port);
      raw.socket.write(
        `POST ${EVENTS} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
      );
      assert.match(await raw.closed(), /^HTTP\/1\.1 405 /);
    });
  });
}
