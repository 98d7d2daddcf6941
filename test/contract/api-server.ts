import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { Readable } from 'node:stream';
import { after, before, beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import { NodeError } from '../../src/core/errors.ts';
import type { ApiServer } from '../../src/net/api/adapter.ts';
import { type ServerFactory, serverOptions } from '../../src/net/api/api.ts';
import { createRoutes } from '../../src/net/api/routes.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import {
  apiOptions,
  EXECUTION_ID,
  ScriptedCompute,
  ScriptedIngest,
  ScriptedNode,
  ScriptedRequester,
  silent,
} from '../support/api-doubles.ts';
import { openRaw, sendRaw } from '../support/raw-http.ts';

const JOBS = '/api/v1/orchestrator/jobs';
const BODY_LIMIT = 10_000;

/** How any server behaves towards clients that are broken, slow or hostile. */
export function apiServerContract(name: string, createServer: ServerFactory): void {
  describe(`REST server: ${name}`, () => {
    const metrics = createMetrics({ version: 'test', processMetrics: false });
    let requester: ScriptedRequester;
    let ingest: ScriptedIngest;
    let compute: ScriptedCompute;
    let server: ApiServer;
    let base = '';
    let port = 0;

    const start = (overrides: Partial<ReturnType<typeof serverOptions>> = {}): ApiServer => {
      const options = {
        ...serverOptions(apiOptions),
        bodyBytes: BODY_LIMIT,
        headerTimeoutMs: 300,
        requestTimeoutMs: 600,
        handlerTimeoutMs: 1200,
        ...overrides,
      };
      const modules = { requester, ingest, compute, node: new ScriptedNode(), logger: silent };
      return createServer(options, {
        routes: createRoutes(apiOptions.build, modules),
        logger: silent,
        metrics,
      });
    };

    beforeEach(() => {
      requester.error = undefined;
      ingest.error = undefined;
      ingest.gate = Promise.resolve();
      ingest.submissions.length = 0;
      compute.stream = undefined;
      compute.opened.length = 0;
    });
    before(async () => {
      requester = new ScriptedRequester();
      ingest = new ScriptedIngest();
      compute = new ScriptedCompute();
      server = start();
      ({ port } = await server.listen('127.0.0.1', 0));
      base = `http://127.0.0.1:${port}`;
    });
    after(() => server.close(Date.now() + 1000));

    const alive = async (): Promise<void> => {
      assert.equal(await (await fetch(`${base}/api/v1/agent/alive`)).text(), '{"Status":"OK"}');
    };
    const envelope = async (reply: Response, status: number): Promise<Record<string, unknown>> => {
      const body = (await reply.json()) as Record<string, unknown>;
      assert.equal(reply.status, status, JSON.stringify(body));
      assert.equal(body['Status'], status);
      for (const key of ['Message', 'RequestID', 'Code', 'Component'])
        assert.equal(typeof body[key], 'string', key);
      return body;
    };
    const put = (
      body: string | Uint8Array<ArrayBuffer>,
      headers: Record<string, string> = {},
    ): Promise<Response> =>
      fetch(`${base}${JOBS}`, {
        method: 'PUT',
        body,
        headers: { 'content-type': 'application/json', ...headers },
      });

    it('hands the body on as it came, with what the headers say', async () => {
      const body = Buffer.from('{"Job":{"Name":"é\u0000"}}');
      const reply = await put(body, {
        'content-type': 'Application/YAML; charset=utf-8',
        'x-bacalhau-instanceid': 'instance',
        'x-bacalhau-installationid': 'installation',
      });
      assert.equal(reply.status, 200);
      assert.deepEqual(ingest.submissions, [
        {
          body: ingest.submissions[0]?.body,
          contentType: 'application/yaml',
          clientInstanceId: 'instance',
          clientInstallationId: 'installation',
        },
      ]);
      assert.deepEqual(Buffer.from(ingest.submissions[0]?.body ?? []), body);
    });

    it('puts a body together that comes in pieces', async () => {
      const connection = await openRaw(port);
      connection.socket.write(
        `PUT ${JOBS} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`,
      );
      await new Promise((resolve) => setImmediate(resolve));
      connection.socket.write('4\r\ndefg\r\n0\r\n\r\n');
      await connection.until(/Warnings":null\}/);
      connection.socket.destroy();
      assert.equal(Buffer.from(ingest.submissions[0]?.body ?? []).toString(), 'abcdefg');
    });

    it('answers a body over the limit with 413, by its length and while it streams, and goes on', async () => {
      await envelope(await put('x'.repeat(BODY_LIMIT + 1)), 413);
      const connection = await openRaw(port);
      connection.socket.write(`PUT ${JOBS} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`);
      for (let piece = 0; piece < 3; piece += 1) {
        connection.socket.write(`${(5000).toString(16)}\r\n${'x'.repeat(5000)}\r\n`);
      }
      await connection.until(/HTTP\/1\.1 413 /);
      connection.socket.write('0\r\n\r\nGET /api/v1/agent/alive HTTP/1.1\r\nHost: x\r\n\r\n');
      await connection.until(/"Status":"OK"/);
      connection.socket.destroy();
      assert.equal(ingest.submissions.length, 0);
      assert.equal((await put('x'.repeat(BODY_LIMIT))).status, 200);
    });

    it('does not ask for a body that it would refuse', async () => {
      const text = await sendRaw(
        port,
        `PUT ${JOBS} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ${BODY_LIMIT + 1}\r\n\r\n`,
      );
      assert.match(text, /^HTTP\/1\.1 413 /);
      const connection = await openRaw(port);
      connection.socket.write(
        `PUT ${JOBS} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n`,
      );
      await connection.until(/^HTTP\/1\.1 100 Continue/);
      connection.socket.write('{}');
      await connection.until(/HTTP\/1\.1 200 /);
      connection.socket.destroy();
    });

    it('gives up on slow headers, slow bodies and silent connections', async () => {
      const [headers, body, silence] = await Promise.all([
        sendRaw(port, 'GET /api/v1/agent/alive HTTP/1.1\r\nHost: x\r\nX-Slow: '),
        sendRaw(port, `PUT ${JOBS} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"Job"`),
        sendRaw(port, ''),
      ]);
      assert.match(headers, /^HTTP\/1\.1 408 /);
      assert.match(body, /^HTTP\/1\.1 408 [\s\S]*"Status":408/);
      assert.match(silence, /^$|^HTTP\/1\.1 408 /);
      assert.equal(ingest.submissions.length, 0);
      await alive();
    });

    it('forgets a request whose client goes away in the middle of it', async () => {
      const connection = await openRaw(port);
      connection.socket.write(`PUT ${JOBS} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"Job"`);
      await new Promise((resolve) => setImmediate(resolve));
      connection.socket.destroy();
      await alive();
      assert.equal(ingest.submissions.length, 0);
    });

    it('refuses what is no HTTP, and headers that are too large', async () => {
      const cases: [string, number][] = [
        ['\x16\x03\x01\x02\x00\x01\x00\r\n\r\n', 400],
        ['GET\r\n\r\n', 400],
        [`FOO ${JOBS} HTTP/1.1\r\nHost: x\r\n\r\n`, 400],
        [`PUT ${JOBS} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`, 400],
        [`PUT ${JOBS} HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n`, 400],
        [`PUT ${JOBS} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n`, 400],
        [`GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431],
        [`GET / HTTP/1.1\r\nHost: x\r\nX-Big: ${'a'.repeat(20_000)}\r\n\r\n`, 431],
      ];
      for (const [text, status] of cases) {
        const answer = await sendRaw(port, text);
        assert.match(
          answer,
          new RegExp(`^HTTP/1\\.1 ${status} [\\s\\S]*"Status":${status},`),
          text.slice(0, 60),
        );
      }
      await alive();
    });

    it('knows routes, methods and paths that do not exist', async () => {
      const missing = await envelope(await fetch(`${base}/api/v1/nope`), 404);
      assert.equal(missing['Code'], 'NotFound');
      assert.match(String(missing['Hint']), /server version/);
      const wrong = await fetch(`${base}${JOBS}`, { method: 'DELETE' });
      assert.deepEqual(wrong.headers.get('allow')?.split(', ').sort(), ['GET', 'POST', 'PUT']);
      await envelope(wrong, 405);
      await envelope(await fetch(`${base}${JOBS}/%zz`), 400);
      await envelope(await fetch(`${base}${JOBS}/x/logs`), 426);
      await envelope(await fetch(`${base}/api/v1//agent/alive`), 404);
      assert.match(
        await sendRaw(
          port,
          'GET http://other/api/v1/agent/alive HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
        ),
        /"OK"/,
      );
    });

    it('answers every request, whatever its method and path, without an unexpected error', async () => {
      const segment = fc.oneof(
        fc.constantFrom(
          'api',
          'v1',
          'orchestrator',
          'jobs',
          'nodes',
          'results',
          'auth',
          'compute',
          '..',
          '',
          '%2e%2e',
        ),
        fc.string({ maxLength: 12 }).map((text) => encodeURIComponent(text.toWellFormed())),
      );
      const query = fc.constantFrom(
        '',
        '?limit=-1',
        '?limit=1e9',
        '?order_by=x',
        '?next_token=AAAA',
        '?labels=a%20in%20(',
        '?pretty',
        '?reverse=maybe',
        '?job_version=99999999999999999999',
        '?event_type=x',
        '?since=z',
        '?state=Nope',
        '?%=%&&==',
      );
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom('GET', 'PUT', 'POST', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS'),
          fc.oneof(
            fc.array(segment, { maxLength: 6 }).map((parts) => `/${parts.join('/')}`),
            fc
              .constantFrom(
                '',
                '/x',
                '/x/history',
                '/x/executions',
                '/x/versions',
                '/x/results',
                '/x/rerun',
                '/diff',
              )
              .map((rest) => JOBS + rest),
            fc.constantFrom(
              '/api/v1/orchestrator/nodes',
              '/api/v1/compute/executions',
              '/api/v1/auth/clientkey',
            ),
          ),
          query,
          fc.oneof(
            fc.constantFrom('', 'null', '[]', '{', '{"Action":1}', '{"JobVersion":-1}', '\u0000'),
            fc.json(),
          ),
          async (method, path, search, body) => {
            const { status, text, id } = await call(port, method, path + search, body);
            assert.notEqual(status, 500, `${method} ${path}${search} ${body}: ${text}`);
            assert.notEqual(id, '');
            if (status >= 400 && method !== 'HEAD')
              assert.equal((JSON.parse(text) as { Status: number }).Status, status);
          },
        ),
        { numRuns: 300 },
      );
      await alive();
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
        const { status } = await call(port, 'GET', `/results/${name_}`, '');
        assert.ok(status === 404 || status === 400, `${name_}: ${status}`);
      }
      assert.deepEqual(compute.opened, []);
      const other = 'e-0197a1b2-c3d4-7000-8000-00000000ffff';
      assert.equal((await call(port, 'GET', `/results/${other}.tar.gz`, '')).status, 404);
    });

    it('streams an archive with its length, and no body to HEAD', async () => {
      compute.archive = Buffer.alloc(300_000, 7);
      const url = `${base}/results/${EXECUTION_ID}.tar.gz`;
      const reply = await fetch(url);
      assert.equal(reply.headers.get('content-length'), '300000');
      assert.equal(reply.headers.get('content-type'), 'application/gzip');
      assert.deepEqual(Buffer.from(await reply.arrayBuffer()), compute.archive);
      const stream = Readable.from([compute.archive]);
      compute.stream = () => stream;
      const head = await fetch(url, { method: 'HEAD' });
      assert.equal(head.headers.get('content-length'), '300000');
      assert.equal(await head.text(), '');
      assert.equal(stream.destroyed, true);
    });

    it('cuts the connection when an archive fails, and ends the stream when its reader goes away', async () => {
      compute.archive = Buffer.alloc(1_000_000);
      compute.stream = () =>
        Readable.from(
          (async function* () {
            yield Buffer.alloc(1000);
            throw new Error('disk gone');
          })(),
        );
      const url = `${base}/results/${EXECUTION_ID}.tar.gz`;
      await assert.rejects(async () => (await fetch(url)).arrayBuffer());

      const endless = Readable.from(
        (async function* () {
          for (;;) yield Buffer.alloc(65_536);
        })(),
      );
      compute.stream = () => endless;
      compute.archive = Buffer.alloc(0);
      const connection = await openRaw(port);
      connection.socket.write(`GET /results/${EXECUTION_ID}.tar.gz HTTP/1.0\r\n\r\n`);
      await connection.until(/200 OK/);
      connection.socket.destroy();
      if (!endless.closed) await new Promise((resolve) => endless.once('close', resolve));
      await alive();
    });

    it('gives an unexpected error an id, and shows nothing of it', async () => {
      requester.error = new TypeError('secret of the inside');
      const reply = await fetch(`${base}${JOBS}/x`);
      const body = await envelope(reply, 500);
      assert.equal(body['RequestID'], reply.headers.get('x-request-id'));
      assert.notEqual(body['RequestID'], '');
      assert.doesNotMatch(JSON.stringify(body), /secret/);
    });

    it('says when to come back', async () => {
      ingest.error = new NodeError('Busy', 'the ingest queue is full');
      const reply = await put('{}');
      assert.equal(reply.headers.get('retry-after'), '1');
      await envelope(reply, 503);
    });

    it('echoes a request id, in the envelope too', async () => {
      const reply = await fetch(`${base}/api/v1/nope`, { headers: { 'x-request-id': 'mine' } });
      assert.equal(reply.headers.get('x-request-id'), 'mine');
      assert.equal((await envelope(reply, 404))['RequestID'], 'mine');
    });

    it('answers 503 at the deadline, and drops what the handler says later', async () => {
      let release: () => void = () => {};
      ingest.gate = new Promise((resolve) => {
        release = resolve;
      });
      const body = await envelope(await put('{}'), 503);
      assert.match(String(body['Message']), /Timeout/);
      release();
      await alive();
    });

    it('serves browsers of any origin, and indents for people', async () => {
      const preflight = await fetch(`${base}${JOBS}`, {
        method: 'OPTIONS',
        headers: { origin: 'http://a.example', 'access-control-request-headers': 'content-type' },
      });
      assert.equal(preflight.status, 204);
      assert.equal(preflight.headers.get('access-control-allow-origin'), '*');
      assert.equal(preflight.headers.get('access-control-allow-headers'), 'content-type');
      assert.match(preflight.headers.get('access-control-allow-methods') ?? '', /PUT/);
      const pretty = await fetch(`${base}/api/v1/agent/alive?pretty`, {
        headers: { origin: 'http://a.example' },
      });
      assert.equal(pretty.headers.get('access-control-allow-origin'), '*');
      assert.equal(await pretty.text(), '{\n  "Status": "OK"\n}\n');
    });

    it('counts requests by route', async () => {
      await alive();
      const text = await metrics.render();
      assert.match(
        text,
        /bacalhau_http_requests_total\{method="GET",route="\/api\/v1\/agent\/alive",status="200"\} \d+/,
      );
    });

    it('names the address that is taken', async () => {
      await assert.rejects(
        start().listen('127.0.0.1', port),
        (error: unknown) =>
          error instanceof NodeError && error.code === 'PortInUse' && error.message.includes(String(port)),
      );
    });

    it('refuses connections over the bound', async () => {
      const small = start({ maxConnections: 2 });
      const { port: own } = await small.listen('127.0.0.1', 0);
      const held = [await openRaw(own), await openRaw(own)];
      const third = await openRaw(own);
      assert.equal(await third.closed(), '');
      for (const { socket } of held) socket.destroy();
      await small.close(Date.now() + 500);
    });

    it('stops: open requests are answered, new ones are not taken', async () => {
      const own = start({ handlerTimeoutMs: 20_000 });
      const { port: ownPort } = await own.listen('127.0.0.1', 0);
      let release: () => void = () => {};
      ingest.gate = new Promise((resolve) => {
        release = resolve;
      });
      const connection = await openRaw(ownPort);
      connection.socket.write(`PUT ${JOBS} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}`);
      const idle = await openRaw(ownPort);
      while (ingest.submissions.length === 0) await new Promise((resolve) => setImmediate(resolve));
      const closing = own.close(Date.now() + 5000);
      await assert.rejects(fetch(`http://127.0.0.1:${ownPort}/api/v1/agent/alive`));
      release();
      assert.match(await connection.closed(), /^HTTP\/1\.1 200 [\s\S]*Connection: close[\s\S]*Warnings/);
      await closing;
      await idle.closed();
    });

    it('stops at the deadline, whoever hangs', async () => {
      const own = start({ handlerTimeoutMs: 20_000 });
      const { port: ownPort } = await own.listen('127.0.0.1', 0);
      ingest.gate = new Promise(() => {});
      const connection = await openRaw(ownPort);
      connection.socket.write(`PUT ${JOBS} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}`);
      while (ingest.submissions.length === 0) await new Promise((resolve) => setImmediate(resolve));
      await own.close(Date.now() + 100);
      assert.equal(await connection.closed(), '');
    });
  });
}

/** One request by node:http, which sends paths as they are. */
function call(
  port: number,
  method: string,
  path: string,
  body: string,
): Promise<{ status: number; text: string; id: string }> {
  return new Promise((resolve, reject) => {
    const payload = method === 'GET' || method === 'HEAD' || method === 'OPTIONS' ? '' : body;
    const headers = { 'content-length': Buffer.byteLength(payload) };
    const sent = httpRequest({ port, host: '127.0.0.1', method, path, headers, agent: false }, (reply) => {
      const chunks: Buffer[] = [];
      reply.on('data', (chunk: Buffer) => chunks.push(chunk));
      reply.on('end', () =>
        resolve({
          status: reply.statusCode ?? 0,
          text: Buffer.concat(chunks).toString(),
          id: String(reply.headers['x-request-id'] ?? ''),
        }),
      );
      reply.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(payload);
  });
}
