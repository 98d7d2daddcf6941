import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { Readable } from 'node:stream';
import { after, before, beforeEach, describe, it } from 'node:test';
import { NodeError } from '../../src/core/errors.ts';
import { EXECUTION_ID } from '../support/api-doubles.ts';
import { openRaw, sendRaw } from '../support/raw-http.ts';
import { call, envelope, ServedApi } from '../support/served-api.ts';
import type { ServerUnderTest } from '../support/server-under-test.ts';

const JOBS = '/api/v1/orchestrator/jobs';

/** How any server answers, streams and stops. */
export function apiServerContract({ name, create: createServer, strictParser }: ServerUnderTest): void {
  describe(`REST server: ${name}`, () => {
    const api = new ServedApi(createServer);
    before(() => api.start());
    after(() => api.stop());
    beforeEach(() => api.reset());

    it('knows routes, methods and paths that do not exist', async () => {
      const missing = await envelope(await fetch(`${api.base}/api/v1/nope`), 404);
      assert.equal(missing['Code'], 'NotFound');
      assert.match(String(missing['Hint']), /server version/);
      const wrong = await fetch(`${api.base}${JOBS}`, { method: 'DELETE' });
      assert.deepEqual(wrong.headers.get('allow')?.split(', ').sort(), ['GET', 'POST', 'PUT']);
      await envelope(wrong, 405);
      await envelope(await fetch(`${api.base}${JOBS}/%zz`), 400);
      await envelope(await fetch(`${api.base}${JOBS}/x/logs`), 426);
      await envelope(await fetch(`${api.base}/api/v1//agent/alive`), 404);
      assert.match(
        await sendRaw(
          api.port,
          'GET http://other/api/v1/agent/alive HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
        ),
        strictParser ? /"OK"/ : /^HTTP\/1\.1 \d+ /,
      );
    });

    it('limits requests from other addresses than the loopback', async (t) => {
      const elsewhere = Object.values(networkInterfaces())
        .flat()
        .find((one) => one?.family === 'IPv4' && !one.internal)?.address;
      if (elsewhere === undefined) {
        t.skip('this machine has no address but the loopback');
        return;
      }
      const limited = api.create({ requestsPerSecond: 1 });
      const { port } = await limited.listen('0.0.0.0', 0);
      t.after(() => limited.close(Date.now() + 1000));
      const statuses = async (host: string): Promise<ReadonlySet<number>> => {
        const asked = Array.from({ length: 20 }, async () => {
          const reply = await fetch(`http://${host}:${port}/api/v1/agent/alive`);
          if (reply.status === 429) assert.match(await reply.text(), new RegExp(`from ${host}`));
          else await reply.arrayBuffer();
          return reply.status;
        });
        return new Set(await Promise.all(asked));
      };
      assert.deepEqual(await statuses('127.0.0.1'), new Set([200]));
      assert.deepEqual(await statuses(elsewhere), new Set([200, 429]));
    });

    it('never lets the name of an archive become a path', async () => {
      const names = [
        '..%2f..%2fetc%2fpasswd.tar.gz',
        '../../etc/passwd.tar.gz',
        '....//etc/passwd',
        `..%2f${EXECUTION_ID}.tar.gz`,
        `${EXECUTION_ID}.tar.gz%00.txt`,
        `${EXECUTION_ID}.tar.gz/..`,
        EXECUTION_ID,
        `${EXECUTION_ID.toUpperCase()}.tar.gz`,
        '%ff%fe.tar.gz',
        'e-*.tar.gz',
        `j${EXECUTION_ID.slice(1)}.tar.gz`,
      ];
      for (const name_ of names) {
        const { status } = await call(api.port, 'GET', `/results/${name_}`, '');
        assert.ok(status === 404 || status === 400, `${name_}: ${status}`);
      }
      assert.deepEqual(api.compute.opened, []);
      const other = 'e-0197a1b2-c3d4-7000-8000-00000000ffff';
      assert.equal((await call(api.port, 'GET', `/results/${other}.tar.gz`, '')).status, 404);
    });

    it('streams an archive with its length, and no body to HEAD', async () => {
      api.compute.archive = Buffer.alloc(300_000, 7);
      const url = `${api.base}/results/${EXECUTION_ID}.tar.gz`;
      const reply = await fetch(url);
      assert.equal(reply.headers.get('content-length'), '300000');
      assert.equal(reply.headers.get('content-type'), 'application/gzip');
      assert.deepEqual(Buffer.from(await reply.arrayBuffer()), api.compute.archive);
      const stream = Readable.from([api.compute.archive]);
      api.compute.stream = () => stream;
      const head = await fetch(url, { method: 'HEAD' });
      assert.equal(head.headers.get('content-length'), '300000');
      assert.equal(await head.text(), '');
      assert.equal(stream.destroyed, true);
    });

    it('cuts the connection when an archive fails, and ends the stream when its reader goes away', async () => {
      api.compute.archive = Buffer.alloc(1_000_000);
      api.compute.stream = () =>
        Readable.from(
          (async function* () {
            yield Buffer.alloc(1000);
            throw new Error('disk gone');
          })(),
        );
      const url = `${api.base}/results/${EXECUTION_ID}.tar.gz`;
      await assert.rejects(async () => (await fetch(url)).arrayBuffer());

      const endless = Readable.from(
        (async function* () {
          for (;;) yield Buffer.alloc(65_536);
        })(),
      );
      api.compute.stream = () => endless;
      api.compute.archive = Buffer.alloc(50_000_000);
      const connection = await openRaw(api.port);
      connection.socket.write(`GET /results/${EXECUTION_ID}.tar.gz HTTP/1.1\r\nHost: x\r\n\r\n`);
      await connection.until(/200 OK/);
      connection.socket.destroy();
      if (!endless.closed) await new Promise((resolve) => endless.once('close', resolve));
      await api.alive();
    });

    it('hands out IPFS content, however long it takes to come, until its reader goes away', async () => {
      const CID = 'bafkreiaaaa';
      let arrive: () => void = () => {};
      const arrived = new Promise<void>((resolve) => {
        arrive = resolve;
      });
      api.node.content = async () => {
        await arrived;
        return Readable.from([Buffer.from('content')]);
      };
      const late = fetch(`${api.base}/ipfs/${CID}.tar.gz`);
      // Longer than any other answer may take.
      const other = await call(api.port, 'GET', '/ipfs/..%2fetc.tar.gz', '');
      assert.equal(other.status, 400);
      api.ingest.gate = new Promise(() => {});
      await envelope(await api.put('{}'), 503);
      arrive();
      assert.equal(await (await late).text(), 'content');
      assert.deepEqual(api.node.fetched, [CID]);

      const gone = new Promise<void>((resolve) => {
        api.node.content = (signal) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => {
              resolve();
              reject(new NodeError('InputUnavailable', 'nobody waits for it'));
            });
          });
      });
      const connection = await openRaw(api.port);
      connection.socket.write(`GET /ipfs/${CID}.tar.gz HTTP/1.1\r\nHost: x\r\n\r\n`);
      while (api.node.fetched.length < 2) await new Promise((resolve) => setImmediate(resolve));
      connection.socket.destroy();
      await gone;
      await api.alive();
    });

    it('gives an unexpected error an id, and shows nothing of it', async () => {
      api.requester.error = new TypeError('secret of the inside');
      const reply = await fetch(`${api.base}${JOBS}/x`);
      const body = await envelope(reply, 500);
      assert.equal(body['RequestID'], reply.headers.get('x-request-id'));
      assert.notEqual(body['RequestID'], '');
      assert.doesNotMatch(JSON.stringify(body), /secret/);
    });

    it('says when to come back', async () => {
      api.ingest.error = new NodeError('Busy', 'the ingest queue is full');
      const reply = await api.put('{}');
      assert.equal(reply.headers.get('retry-after'), '1');
      await envelope(reply, 503);
    });

    it('echoes a request id, in the envelope too', async () => {
      const reply = await fetch(`${api.base}/api/v1/nope`, { headers: { 'x-request-id': 'mine' } });
      assert.equal(reply.headers.get('x-request-id'), 'mine');
      assert.equal((await envelope(reply, 404))['RequestID'], 'mine');
    });

    it('answers 503 at the deadline, and drops what the handler says later', async () => {
      let release: () => void = () => {};
      api.ingest.gate = new Promise((resolve) => {
        release = resolve;
      });
      const body = await envelope(await api.put('{}'), 503);
      assert.match(String(body['Message']), /Timeout/);
      release();
      await api.alive();
    });

    it('serves browsers of any origin, and indents for people', async () => {
      const preflight = await fetch(`${api.base}${JOBS}`, {
        method: 'OPTIONS',
        headers: { origin: 'http://a.example', 'access-control-request-headers': 'content-type' },
      });
      assert.equal(preflight.status, 204);
      assert.equal(preflight.headers.get('access-control-allow-origin'), '*');
      assert.equal(preflight.headers.get('access-control-allow-headers'), 'content-type');
      assert.match(preflight.headers.get('access-control-allow-methods') ?? '', /PUT/);
      const pretty = await fetch(`${api.base}/api/v1/agent/alive?pretty`, {
        headers: { origin: 'http://a.example' },
      });
      assert.equal(pretty.headers.get('access-control-allow-origin'), '*');
      assert.equal(await pretty.text(), '{\n  "Status": "OK"\n}\n');
    });

    it('counts requests by route', async () => {
      await api.alive();
      const text = await api.metrics.render();
      assert.match(
        text,
        /bacalhau_http_requests_total\{method="GET",route="\/api\/v1\/agent\/alive",status="200"\} \d+/,
      );
    });

    it('names the address that is taken', async () => {
      await assert.rejects(
        api.create().listen('127.0.0.1', api.port),
        (error: unknown) =>
          error instanceof NodeError &&
          error.code === 'PortInUse' &&
          error.message.includes(String(api.port)),
      );
    });

    it('refuses connections over the bound', async () => {
      const small = api.create({ maxConnections: 2 });
      const { port: own } = await small.listen('127.0.0.1', 0);
      const held = [await openRaw(own), await openRaw(own)];
      const third = await openRaw(own);
      assert.equal(await third.closed(), '');
      for (const { socket } of held) socket.destroy();
      await small.close(Date.now() + 500);
    });

    it('stops: open requests are answered, new ones are not taken', async () => {
      const own = api.create({ handlerTimeoutMs: 20_000 });
      const { port: ownPort } = await own.listen('127.0.0.1', 0);
      let release: () => void = () => {};
      api.ingest.gate = new Promise((resolve) => {
        release = resolve;
      });
      const connection = await openRaw(ownPort);
      connection.socket.write(`PUT ${JOBS} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}`);
      const idle = await openRaw(ownPort);
      while (api.ingest.submissions.length === 0) await new Promise((resolve) => setImmediate(resolve));
      const closing = own.close(Date.now() + 5000);
      await assert.rejects(fetch(`http://127.0.0.1:${ownPort}/api/v1/agent/alive`));
      release();
      assert.match(await connection.closed(), /^HTTP\/1\.1 200 [\s\S]*Connection: close[\s\S]*Warnings/);
      await closing;
      await idle.closed();
    });

    it('stops at the deadline, whoever hangs', async () => {
      const own = api.create({ handlerTimeoutMs: 20_000 });
      const { port: ownPort } = await own.listen('127.0.0.1', 0);
      api.ingest.gate = new Promise(() => {});
      const connection = await openRaw(ownPort);
      connection.socket.write(`PUT ${JOBS} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}`);
      while (api.ingest.submissions.length === 0) await new Promise((resolve) => setImmediate(resolve));
      await own.close(Date.now() + 100);
      assert.equal(await connection.closed(), '');
    });
  });
}
