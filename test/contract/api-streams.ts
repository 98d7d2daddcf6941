import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { WebSocket } from 'ws';
import type { ApiServer, HttpRequest, Route, ServerOptions, Socket } from '../../src/net/api/adapter.ts';
import { serverOptions } from '../../src/net/api/api.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { apiOptions, silent } from '../support/api-doubles.ts';
import { openRaw } from '../support/raw-http.ts';
import type { ServerUnderTest } from '../support/server-under-test.ts';

const SUBSCRIBERS = 2;
const SPOKEN = ['events.msgpack', 'events.json'];

/** What a route of these tests does when a client comes. */
interface Script {
  open: (request: HttpRequest, socket: Socket) => Promise<void>;
  stream: (request: HttpRequest) => AsyncIterable<Uint8Array>;
}

/** How any server carries what has no end: event WebSockets and streaming replies. */
export function apiStreamContract({ name, create: createServer }: ServerUnderTest): void {
  describe(`streams: ${name}`, () => {
    const script: Script = { open: async () => {}, stream: async function* () {} };
    const metrics = createMetrics({ version: 'test', processMetrics: false });
    let server: ApiServer;
    let port = 0;

    const routes: Route[] = [
      {
        method: 'GET',
        path: '/events',
        handle: (request) => ({
          status: 200,
          headers: { 'Content-Type': 'text/event-stream' },
          body: script.stream(request),
          endless: true,
        }),
        socket: {
          kind: 'events',
          protocols: SPOKEN,
          open: (request, socket) => script.open(request, socket),
        },
      },
      {
        method: 'GET',
        path: '/logs',
        socket: { kind: 'logs', open: (request, socket) => script.open(request, socket) },
      },
    ];
    const start = (overrides: Partial<ServerOptions> = {}): ApiServer => {
      const bounds = { count: SUBSCRIBERS, bufferBytes: 10_000 };
      const options = {
        ...serverOptions(apiOptions),
        sockets: { logs: bounds, events: bounds },
        ...overrides,
      };
      return createServer(options, { routes, logger: silent, metrics });
    };
    before(async () => {
      server = start();
      ({ port } = await server.listen('127.0.0.1', 0));
    });
    after(() => server.close(Date.now() + 1000));

    const dial = (path: string, protocols: string[] = [], at = port): WebSocket =>
      new WebSocket(`ws://127.0.0.1:${at}${path}`, protocols);
    /** Until its peer is gone. */
    const gone = (signal: AbortSignal): Promise<unknown> =>
      signal.aborted ? Promise.resolve() : once(signal, 'abort');

    it("agrees on the first of the client's subprotocols that the route speaks", async () => {
      script.open = async (_request, socket) => {
        await socket.send(socket.protocol);
        socket.close(1000, '');
      };
      const cases: [string[], string][] = [
        [['events.json', 'events.msgpack'], 'events.json'],
        [['events.msgpack', 'events.json'], 'events.msgpack'],
        [['other', 'events.json'], 'events.json'],
        [[], ''],
      ];
      for (const [offered, agreed] of cases) {
        const socket = dial('/events', offered);
        const [data] = (await once(socket, 'message')) as [Buffer];
        assert.equal(data.toString(), agreed);
        assert.equal(socket.protocol, agreed);
        await once(socket, 'close');
      }
    });

    it('agrees on none where it speaks none of them: the client may leave', async () => {
      script.open = async () => {};
      for (const path of ['/events', '/logs']) {
        const raw = await openRaw(port);
        raw.socket.write(
          `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: other\r\n\r\n`,
        );
        const head = await raw.until(/^HTTP\/1\.1 101 [\s\S]*\r\n\r\n/);
        assert.doesNotMatch(head, /Sec-WebSocket-Protocol/i);
        raw.socket.destroy();
        const [error] = (await once(dial(path, ['other']), 'error')) as [Error];
        assert.match(error.message, /subprotocol/);
      }
    });

    it('sends text and binary frames, and drops what its peer sends', async () => {
      let buffered = -1;
      script.open = async (_request, socket) => {
        await socket.send('é');
        await socket.send(Buffer.from([0, 255, 1]));
        await socket.send(Buffer.from('è'), 'text');
        buffered = socket.buffered;
        await gone(socket.signal);
      };
      const socket = dial('/events');
      const frames: [Buffer, boolean][] = [];
      socket.on('message', (data: Buffer, binary) => frames.push([data, binary]));
      await once(socket, 'open');
      socket.send('nobody reads this');
      while (frames.length < 3) await once(socket, 'message');
      assert.deepEqual(frames, [
        [Buffer.from('é'), false],
        [Buffer.from([0, 255, 1]), true],
        [Buffer.from('è'), false],
      ]);
      assert.ok(buffered >= 0 && buffered < 100, String(buffered));
      assert.equal(socket.readyState, WebSocket.OPEN);
      socket.send('x'.repeat(100_000));
      const [code] = (await once(socket, 'close')) as [number];
      // Too large a frame: RFC 6455, 7.4.1; a server may also just go.
      assert.ok(code === 1009 || code === 1006, String(code));
    });

    it('counts what a slow peer has not taken, and waits for it', async () => {
      const chunk = Buffer.alloc(5000);
      let buffered = 0;
      let done: (open: boolean) => void = () => {};
      const ended = new Promise<boolean>((resolve) => {
        done = resolve;
      });
      let sent = 0;
      script.open = async (_request, socket) => {
        let open = true;
        while (open) {
          open = await socket.send(chunk);
          sent += 1;
          buffered = Math.max(buffered, socket.buffered);
        }
        done(open);
      };
      const socket = dial('/events');
      await once(socket, 'open');
      socket.pause();
      let before = -1;
      for (let still = 0; still < 5; still = sent === before ? still + 1 : 0) {
        before = sent;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      assert.ok(buffered > 0 && buffered < 40_000, String(buffered));
      socket.terminate();
      assert.equal(await ended, false);
    });

    it('sends what waits before it closes, and closes a peer that does not take it', async () => {
      const own = start({ pingIntervalMs: 300 });
      const { port: ownPort } = await own.listen('127.0.0.1', 0);
      let sent = 0;
      let end: () => void = () => {};
      const left: Promise<void>[] = [];
      script.open = async (_request, socket) => {
        left.push(gone(socket.signal).then(() => {}));
        const ended = new Promise<boolean>((resolve) => (end = () => resolve(false)));
        // Until it has to wait.
        for (let open = true; open; open = await Promise.race([socket.send(Buffer.alloc(5000)), ended]))
          sent += 1;
        socket.close(4000, 'enough');
        assert.equal(await socket.send('late'), false);
      };
      const stalled = async (socket: WebSocket): Promise<void> => {
        await once(socket, 'open');
        socket.pause();
        let before = -1;
        for (let still = 0; still < 3; still = sent === before ? still + 1 : 0) {
          before = sent;
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        end();
      };
      const slow = dial('/events', [], ownPort);
      let received = 0;
      slow.on('message', () => (received += 1));
      await stalled(slow);
      slow.resume();
      const [code, reason] = (await once(slow, 'close')) as [number, Buffer];
      assert.deepEqual([code, reason.toString()], [4000, 'enough']);
      // The last one was being sent when it ended.
      assert.ok(received === sent || received === sent - 1, `${received} of ${sent}`);

      const mute = dial('/events', [], ownPort);
      await stalled(mute);
      await Promise.all(left);
      mute.terminate();
      await own.close(Date.now() + 1000);
    });

    it('bounds each kind of WebSocket by itself, and counts them', async () => {
      script.open = (_request, socket) => gone(socket.signal).then(() => {});
      const open = Array.from({ length: SUBSCRIBERS }, () => dial('/events'));
      await Promise.all(open.map((socket) => once(socket, 'open')));
      const refused = dial('/events').on('error', () => {});
      const [, reply] = (await once(refused, 'unexpected-response')) as [unknown, { statusCode: number }];
      assert.equal(reply.statusCode, 503);
      const other = dial('/logs');
      await once(other, 'open');
      assert.match(await metrics.render(), /bacalhau_websockets\{kind="events"\} 2\n/);
      for (const socket of [...open, other]) socket.terminate();
      let text = await metrics.render();
      while (!/bacalhau_websockets\{kind="events"\} 0\n/.test(text)) {
        await new Promise((resolve) => setImmediate(resolve));
        text = await metrics.render();
      }
    });

    it('streams a reply chunk by chunk, longer than any deadline, until its reader goes away', async () => {
      const own = start({ handlerTimeoutMs: 100, requestTimeoutMs: 100, headerTimeoutMs: 100 });
      const { port: ownPort } = await own.listen('127.0.0.1', 0);
      let next: () => void = () => {};
      let returned: () => void = () => {};
      const ended = new Promise<void>((resolve) => {
        returned = resolve;
      });
      script.stream = async function* (request) {
        try {
          yield Buffer.from(': hello\n\n');
          for (let count = 1; !request.signal.aborted; count += 1) {
            await Promise.race([new Promise<void>((resolve) => (next = resolve)), gone(request.signal)]);
            yield Buffer.from(`data: ${count}\n\n`);
          }
        } finally {
          returned();
        }
      };
      const reader = await openRaw(ownPort);
      reader.socket.write('GET /events HTTP/1.1\r\nHost: x\r\n\r\n');
      await reader.until(/^HTTP\/1\.1 200 [\s\S]*text\/event-stream[\s\S]*\r\n\r\n[\s\S]*: hello\n\n/);
      next();
      await reader.until(/data: 1\n\n/);
      assert.doesNotMatch(reader.received(), /data: 2/);
      // Past the sweep that ends requests without an answer.
      await new Promise((resolve) => setTimeout(resolve, 1200));
      next();
      await reader.until(/data: 2\n\n/);
      reader.socket.destroy();
      await ended;
      await own.close(Date.now() + 1000);
    });

    it('pulls no more of a streaming reply than its reader takes', async () => {
      let pulled = 0;
      script.stream = async function* () {
        for (;;) {
          pulled += 1;
          yield Buffer.alloc(50_000);
          await new Promise((resolve) => setImmediate(resolve));
        }
      };
      const reader = await openRaw(port);
      reader.socket.write('GET /events HTTP/1.1\r\nHost: x\r\n\r\n');
      await reader.until(/200 OK/);
      reader.socket.pause();
      let before = -1;
      for (let still = 0; still < 5; still = pulled === before ? still + 1 : 0) {
        before = pulled;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      reader.socket.destroy();
    });

    it('tells a stream without an end when the node stops, and does not wait for its deadline', async () => {
      const own = start();
      const { port: ownPort } = await own.listen('127.0.0.1', 0);
      script.stream = async function* (request) {
        yield Buffer.from('data: 1\n\n');
        await gone(request.signal);
        yield Buffer.from('data: last\n\n');
      };
      const reader = await openRaw(ownPort);
      reader.socket.write('GET /events HTTP/1.1\r\nHost: x\r\n\r\n');
      await reader.until(/data: 1\n\n/);
      const startedAt = performance.now();
      await own.close(Date.now() + 20_000);
      assert.ok(performance.now() - startedAt < 10_000);
      // Ended as a whole message: a chunk of no length.
      assert.match(await reader.closed(), /data: last\n\n\r\n0\r\n\r\n$/);
    });
  });
}
