import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, beforeEach, describe, it } from 'node:test';
import { WebSocket } from 'ws';
import { NodeError } from '../../src/core/errors.ts';
import type { LogChunk, LogOptions } from '../../src/core/ports.ts';
import type { ApiServer } from '../../src/net/api/adapter.ts';
import { serverOptions } from '../../src/net/api/api.ts';
import { createRoutes } from '../../src/net/api/routes.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import {
  apiOptions,
  ScriptedCompute,
  ScriptedIngest,
  ScriptedNode,
  ScriptedRequester,
  silent,
} from '../support/api-doubles.ts';
import { openRaw } from '../support/raw-http.ts';
import type { ServerUnderTest } from '../support/server-under-test.ts';

const LOGS = '/api/v1/orchestrator/jobs/j-1/logs';
const HANDSHAKE = `GET ${LOGS} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;
const READERS = 3;

/** How any server carries log streams. */
export function apiSocketContract({ name, create: createServer, strictParser }: ServerUnderTest): void {
  describe(`log WebSockets: ${name}`, () => {
    const requester = new ScriptedRequester();
    const compute = new ScriptedCompute();
    let server: ApiServer;
    let port = 0;

    const start = (overrides: Partial<ReturnType<typeof serverOptions>> = {}): ApiServer => {
      const options = {
        ...serverOptions(apiOptions),
        sockets: {
          logs: { count: READERS, bufferBytes: 10_000 },
          events: { count: READERS, bufferBytes: 10_000 },
        },
        ...overrides,
      };
      const node = new ScriptedNode();
      const modules = { requester, compute, ingest: new ScriptedIngest(), node, logger: silent };
      return createServer(options, {
        routes: createRoutes(apiOptions, modules),
        logger: silent,
        metrics: createMetrics({ version: 'test', processMetrics: false }),
      });
    };
    before(async () => {
      server = start();
      ({ port } = await server.listen('127.0.0.1', 0));
    });
    after(() => server.close(Date.now() + 1000));
    beforeEach(() => {
      requester.error = undefined;
      requester.calls.length = 0;
    });

    const dial = (path: string, at = port): WebSocket => new WebSocket(`ws://127.0.0.1:${at}${path}`);
    const read = async (socket: WebSocket): Promise<{ frames: unknown[]; code: number; reason: string }> => {
      const frames: unknown[] = [];
      socket.on('message', (data: Buffer) => frames.push(JSON.parse(data.toString())));
      const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
      return { frames, code, reason: reason.toString() };
    };

    /** A log that goes on until its reader is gone. */
    const endless = (text: string): { pulled: number; ended: Promise<void> } => {
      const state = { pulled: 0, ended: Promise.resolve() };
      let finish: () => void = () => {};
      state.ended = new Promise((resolve) => {
        finish = resolve;
      });
      requester.chunks = async function* (signal: AbortSignal): AsyncIterable<LogChunk> {
        try {
          while (!signal.aborted) {
            state.pulled += 1;
            yield { stream: 'stdout', text };
            await new Promise((resolve) => setImmediate(resolve));
          }
        } finally {
          finish();
        }
      };
      return state;
    };

    it('reads the query as every route does', async () => {
      let seen: LogOptions | undefined;
      requester.chunks = async function* (_signal, options): AsyncIterable<LogChunk> {
        seen = options;
        yield { stream: 'stderr', text: 'é\n' };
      };
      const { frames, code } = await read(
        dial(`${LOGS}?follow=True&tail=1&namespace=ops&execution_id=e-9&job_version=3`),
      );
      assert.deepEqual(frames, [{ value: { Type: 2, Line: 'é\n' } }]);
      assert.equal(code, 1000);
      assert.deepEqual(seen, { follow: true, tail: true, jobVersion: 3 });
      assert.deepEqual(requester.calls[0]?.arguments.slice(0, 3), ['j-1', 'ops', 'e-9']);
    });

    it('carries the log of an execution of this very node', async () => {
      const asked: unknown[] = [];
      compute.logs = async function* (executionId, options): AsyncGenerator<LogChunk> {
        asked.push(executionId, options);
        yield { stream: 'stdout', text: 'local' };
      };
      const { frames, code } = await read(dial('/api/v1/compute/executions/e-7/logs?tail=true'));
      assert.deepEqual(frames, [{ value: { Type: 1, Line: 'local' } }]);
      assert.equal(code, 1000);
      assert.deepEqual(asked, ['e-7', { follow: false, tail: true }]);
    });

    it('tells of errors in a frame and closes with 1000: before the first line, after it, and in the query', async () => {
      requester.error = new NodeError('JobNotFound', 'job not found: j-1');
      assert.deepEqual(await read(dial(LOGS)), {
        frames: [{ error: 'job not found: j-1', value: { Type: 0, Line: '' } }],
        code: 1000,
        reason: '',
      });
      requester.error = undefined;
      requester.chunks = async function* (): AsyncIterable<LogChunk> {
        yield { stream: 'stdout', text: 'a' };
        throw new TypeError('secret of the inside');
      };
      const broken = await read(dial(LOGS));
      assert.equal(broken.frames.length, 2);
      assert.match(
        JSON.stringify(broken.frames[1]),
        /Internal server error \(see the node's log for request [^ ]+\)/,
      );
      assert.doesNotMatch(JSON.stringify(broken), /secret/);
      assert.equal(broken.code, 1000);
      const badQuery = await read(dial(`${LOGS}?follow=maybe`));
      assert.match(JSON.stringify(badQuery.frames), /invalid follow/);
    });

    it('pulls no more than a slow reader takes', async () => {
      const log = endless('x'.repeat(8000));
      const socket = dial(LOGS);
      await once(socket, 'message');
      socket.pause();
      // Kernel buffers fill first; then nothing may be pulled any more.
      let before = -1;
      let still = 0;
      while (still < 5) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        still = log.pulled === before ? still + 1 : 0;
        before = log.pulled;
      }
      socket.resume();
      while (log.pulled === before) await new Promise((resolve) => setImmediate(resolve));
      socket.terminate();
      await log.ended;
    });

    it('ends the log when its reader goes away, politely or not', async () => {
      for (const leave of [
        (socket: WebSocket): void => socket.close(1000),
        (socket: WebSocket): void => socket.terminate(),
      ]) {
        const log = endless('x');
        const socket = dial(LOGS);
        await once(socket, 'message');
        leave(socket);
        await log.ended;
      }
    });

    it('serves a bounded number of readers', async () => {
      endless('x');
      const open = Array.from({ length: READERS }, () => dial(LOGS));
      await Promise.all(open.map((socket) => once(socket, 'open')));
      const [, reply] = (await once(
        dial(LOGS).on('error', () => {}),
        'unexpected-response',
      )) as [unknown, { statusCode: number }];
      assert.equal(reply.statusCode, 503);
      for (const socket of open) socket.terminate();
      await Promise.all(open.map((socket) => once(socket, 'close')));
    });

    it('closes peers that break the protocol, and goes on', async () => {
      endless('x');
      const garbage = [
        Buffer.alloc(16, 0xff),
        ...(strictParser ? [Buffer.from([0x81, 0x05, 0x68, 0x65, 0x6c, 0x6c, 0x6f])] : []),
        Buffer.concat([
          Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3, 4]),
          Buffer.alloc(100),
        ]),
        Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28]),
        Buffer.from([0x88, 0x81, 0, 0, 0, 0, 0x01]),
      ];
      for (const bytes of garbage) {
        const connection = await openRaw(port);
        connection.socket.write(HANDSHAKE);
        await connection.until(/^HTTP\/1\.1 101 /);
        connection.socket.write(bytes);
        await connection.closed();
      }
      requester.chunks = async function* (): AsyncIterable<LogChunk> {
        yield { stream: 'stdout', text: 'still here' };
      };
      assert.equal((await read(dial(LOGS))).frames.length, 1);
    });

    it('refuses bad handshakes and upgrades of other routes', async () => {
      const broken = await openRaw(port);
      broken.socket.write(HANDSHAKE.replace('dGhlIHNhbXBsZSBub25jZQ==', 'short'));
      assert.match(await broken.closed(), /^HTTP\/1\.1 400 /);
      const other = await openRaw(port);
      other.socket.write(
        HANDSHAKE.replace(LOGS, '/api/v1/agent/alive').replace(
          'Connection: Upgrade',
          'Connection: Upgrade, close',
        ),
      );
      assert.match(await other.closed(), /^HTTP\/1\.1 200 [\s\S]*"OK"/);
      const h2c = await openRaw(port);
      h2c.socket.write(
        'GET /api/v1/agent/alive HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n',
      );
      assert.match(await h2c.closed(), /^HTTP\/1\.1 200 /);
    });

    it('drops a peer that answers no ping', async () => {
      const own = start({ pingIntervalMs: 50 });
      const { port: ownPort } = await own.listen('127.0.0.1', 0);
      requester.chunks = async function* (signal: AbortSignal): AsyncIterable<LogChunk> {
        yield { stream: 'stdout', text: 'x' };
        if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
      };
      const mute = await openRaw(ownPort);
      mute.socket.write(HANDSHAKE);
      const polite = dial(LOGS, ownPort);
      await once(polite, 'message');
      await mute.closed();
      for (let pings = 0; pings < 3; pings += 1) await once(polite, 'ping');
      assert.equal(polite.readyState, WebSocket.OPEN);
      polite.terminate();
      await own.close(Date.now() + 500);
    });

    it('tells its readers when the node stops', async () => {
      const own = start();
      const { port: ownPort } = await own.listen('127.0.0.1', 0);
      const log = endless('x');
      const socket = dial(LOGS, ownPort);
      await once(socket, 'message');
      const closed = read(socket);
      await own.close(Date.now() + 2000);
      const { code, reason } = await closed;
      assert.deepEqual({ code, reason }, { code: 1001, reason: 'the node is stopping' });
      await log.ended;
    });
  });
}
