import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import { openRaw, sendRaw } from '../support/raw-http.ts';
import { BODY_LIMIT, call, envelope, ServedApi } from '../support/served-api.ts';
import type { ServerUnderTest } from '../support/server-under-test.ts';

const JOBS = '/api/v1/orchestrator/jobs';

/** How any server treats clients that are broken, slow or hostile. */
export function apiClientContract(server: ServerUnderTest): void {
  const { name, create: createServer, strictParser } = server;
  describe(`REST clients: ${name}`, () => {
    const api = new ServedApi(createServer);
    before(() => api.start());
    after(() => api.stop());
    beforeEach(() => api.reset());

    it('hands the body on as it came, with what the headers say', async () => {
      const body = Buffer.from('{"Job":{"Name":"é\u0000"}}');
      const reply = await api.put(body, {
        'content-type': 'Application/YAML; charset=utf-8',
        'x-bacalhau-instanceid': 'instance',
        'x-bacalhau-installationid': 'installation',
      });
      assert.equal(reply.status, 200);
      assert.deepEqual(api.ingest.submissions, [
        {
          body: api.ingest.submissions[0]?.body,
          contentType: 'application/yaml',
          clientInstanceId: 'instance',
          clientInstallationId: 'installation',
        },
      ]);
      assert.deepEqual(Buffer.from(api.ingest.submissions[0]?.body ?? []), body);
    });

    it('puts a body together that comes in pieces', async () => {
      const connection = await openRaw(api.port);
      connection.socket.write(
        `PUT ${JOBS} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`,
      );
      await new Promise((resolve) => setImmediate(resolve));
      connection.socket.write('4\r\ndefg\r\n0\r\n\r\n');
      await connection.until(/Warnings":null\}/);
      connection.socket.destroy();
      assert.equal(Buffer.from(api.ingest.submissions[0]?.body ?? []).toString(), 'abcdefg');
    });

    it('answers a body over the limit with 413, by its length and while it streams, and goes on', async () => {
      await envelope(await api.put('x'.repeat(BODY_LIMIT + 1)), 413);
      const connection = await openRaw(api.port);
      connection.socket.write(`PUT ${JOBS} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`);
      for (let piece = 0; piece < 3; piece += 1) {
        connection.socket.write(`${(5000).toString(16)}\r\n${'x'.repeat(5000)}\r\n`);
      }
      await connection.until(/HTTP\/1\.1 413 /);
      connection.socket.write('0\r\n\r\nGET /api/v1/agent/alive HTTP/1.1\r\nHost: x\r\n\r\n');
      await connection.until(/"Status":"OK"/);
      connection.socket.destroy();
      assert.equal(api.ingest.submissions.length, 0);
      assert.equal((await api.put('x'.repeat(BODY_LIMIT))).status, 200);
    });

    it('does not ask for a body that it would refuse', async () => {
      const text = await sendRaw(
        api.port,
        `PUT ${JOBS} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ${BODY_LIMIT + 1}\r\n\r\n`,
      );
      assert.match(text, strictParser ? /^HTTP\/1\.1 413 / : /HTTP\/1\.1 413 /);
      const connection = await openRaw(api.port);
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
        sendRaw(api.port, 'GET /api/v1/agent/alive HTTP/1.1\r\nHost: x\r\nX-Slow: '),
        sendRaw(api.port, `PUT ${JOBS} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"Job"`),
        sendRaw(api.port, ''),
      ]);
      assert.match(headers, strictParser ? /^HTTP\/1\.1 408 / : /^$/);
      assert.match(body, /^HTTP\/1\.1 408 [\s\S]*"Status":408/);
      assert.match(silence, /^$|^HTTP\/1\.1 408 /);
      assert.equal(api.ingest.submissions.length, 0);
      await api.alive();
    });

    it('forgets a request whose client goes away in the middle of it', async () => {
      const connection = await openRaw(api.port);
      connection.socket.write(`PUT ${JOBS} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"Job"`);
      await new Promise((resolve) => setImmediate(resolve));
      connection.socket.destroy();
      await api.alive();
      assert.equal(api.ingest.submissions.length, 0);
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
      const answers = await Promise.all(cases.map(([text]) => sendRaw(api.port, text)));
      for (const [index, [text, status]] of cases.entries()) {
        const expected = strictParser
          ? new RegExp(`^HTTP/1\\.1 ${status} [\\s\\S]*"Status":${status},`)
          : /^$|^HTTP\/1\.1 (?:400|431|505) /;
        assert.match(answers[index] ?? '', expected, text.slice(0, 60));
      }
      await api.alive();
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
            const { status, text, id } = await call(api.port, method, path + search, body);
            assert.notEqual(status, 500, `${method} ${path}${search} ${body}: ${text}`);
            assert.notEqual(id, '');
            // A failed handshake has a body of its own.
            if (status < 400 || status === 401 || method === 'HEAD') return;
            assert.equal((JSON.parse(text) as { Status: number }).Status, status);
          },
        ),
        { numRuns: 300 },
      );
      await api.alive();
    });
  });
}
