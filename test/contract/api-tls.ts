import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get } from 'node:https';
import { after, before, describe, it } from 'node:test';
import { type ConnectionOptions, connect } from 'node:tls';
import { WebSocket } from 'ws';
import type { ApiServer, Route } from '../../src/net/api/adapter.ts';
import { serverOptions } from '../../src/net/api/api.ts';
import { readTlsIdentity } from '../../src/net/api/tls.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { apiOptions, silent } from '../support/api-doubles.ts';
import { openRaw, sendRaw } from '../support/raw-http.ts';
import type { ServerUnderTest } from '../support/server-under-test.ts';
import { certFile, keyFile } from '../support/tls/files.ts';

const LARGE = 3_000_000;

/** How any server speaks TLS with the operator's certificate. */
export function apiTlsContract({ name, create: createServer }: ServerUnderTest): void {
  describe(`TLS: ${name}`, () => {
    let server: ApiServer;
    let port = 0;
    let ca = '';

    before(async () => {
      const tls = await readTlsIdentity({ certFile, keyFile });
      assert.ok(tls !== undefined);
      ca = tls.cert;
      const routes: Route[] = [
        { method: 'GET', path: '/', handle: () => ({ status: 200, body: 'hello' }) },
        { method: 'GET', path: '/large', handle: () => ({ status: 200, body: Buffer.alloc(LARGE, 'x') }) },
        {
          method: 'GET',
          path: '/socket',
          socket: {
            kind: 'logs',
            open: async (_request, socket) => {
              await socket.send('hello');
              socket.close(1000, '');
            },
          },
        },
      ];
      const metrics = createMetrics({ version: 'test', processMetrics: false });
      server = createServer(
        { ...serverOptions(apiOptions), tls, headerTimeoutMs: 300, requestTimeoutMs: 600 },
        { routes, logger: silent, metrics },
      );
      ({ port } = await server.listen('127.0.0.1', 0));
    });
    after(() => server.close(Date.now() + 1000));

    const fetched = async (path: string): Promise<{ bytes: number; address: string | undefined }> => {
      const [reply] = await once(get({ port, host: '127.0.0.1', path, ca, agent: false }), 'response');
      let bytes = 0;
      for await (const chunk of reply) bytes += chunk.length;
      return { bytes, address: reply.headers['x-bacalhau-arch'] };
    };
    const handshake = async (options: ConnectionOptions): Promise<string> => {
      const socket = connect({ port, host: '127.0.0.1', ca, ...options });
      try {
        await once(socket, 'secureConnect');
        return socket.getProtocol() ?? '';
      } finally {
        socket.destroy();
      }
    };

    it('serves https and wss to who trusts the certificate', async () => {
      assert.deepEqual(await fetched('/'), { bytes: 5, address: apiOptions.build.arch });
      assert.equal((await fetched('/large')).bytes, LARGE);
      const socket = new WebSocket(`wss://127.0.0.1:${port}/socket`, { ca });
      const [message] = await once(socket, 'message');
      assert.equal(String(message), 'hello');
      const [code] = await once(socket, 'close');
      assert.equal(code, 1000);
      await assert.rejects(once(get({ port, host: '127.0.0.1', agent: false }), 'response'), /self-signed/);
    });

    it('speaks TLS 1.2 and 1.3, and nothing older', async () => {
      assert.equal(await handshake({}), 'TLSv1.3');
      assert.equal(await handshake({ maxVersion: 'TLSv1.2' }), 'TLSv1.2');
      await assert.rejects(handshake({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1' }));
    });

    it('outlives clients that speak something else, or nothing', async () => {
      const gone = await openRaw(port);
      gone.socket.destroy();
      const answers = await Promise.all([
        sendRaw(port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
        sendRaw(port, `\x16\x03\x01\x02\x00\x01\x00${'\x00'.repeat(200)}`),
        sendRaw(port, ''),
      ]);
      for (const answer of answers) assert.doesNotMatch(answer, /hello/);
      assert.equal((await fetched('/')).bytes, 5);
    });
  });
}
