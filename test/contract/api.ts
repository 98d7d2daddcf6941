import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { WebSocket } from 'ws';
import type { ApiServer } from '../../src/net/api/adapter.ts';
import { createApi } from '../../src/net/api/api.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import {
  apiOptions,
  ScriptedCompute,
  ScriptedIngest,
  ScriptedNode,
  ScriptedRequester,
  silent,
} from '../support/api-doubles.ts';
import {
  differences,
  loadRecordings,
  type RecordedExchange,
  recordingsFolder,
  type Tolerance,
} from '../support/recordings.ts';
import { replay } from '../support/replay.ts';
import type { ServerUnderTest } from '../support/server-under-test.ts';

/** Times are kept to the microsecond here; tokens are secrets; the clocks differ. */
const TIMES = ['CreateTime', 'ModifyTime', 'Timestamp', 'Time', 'LastHeartbeat', 'ConnectedSince', 'token'];
/** Sequence numbers of the original's transport, which is not ours: v1.9 leaves them out at 0. */
const TRANSPORT = ['LastComputeSeqNum', 'LastOrchestratorSeqNum'];

const EXACT: Tolerance = {
  anyValue: new Set(TIMES),
  extraKeys: new Set(),
  // What was allocated is never filled in by the original.
  open: new Set(['AllocatedResources']),
};

/** Older clients read lists under other names: who does not tell its version gets both. */
const UNVERSIONED: Tolerance = {
  ...EXACT,
  extraKeys: new Set(['Jobs', 'History', 'Executions', 'Results']),
};

/** The original shows an execution's job as it was when it was asked for; we show it as it is. */
const SNAPSHOT = /^\$(\.Executions)?\.Items\[\d+\]\.Job\.(State|Revision)\b/;

/** Errors say more than the original's: their texts and codes are ours, their shape is not. */
const ERRORS: Tolerance = {
  anyValue: new Set(['Message', 'Code', 'Component', 'Hint', 'Status']),
  extraKeys: new Set(['Hint', 'Details']),
  open: new Set(['Details']),
};

/** Where we answer otherwise, and why. */
const DEVIATIONS: Readonly<Record<string, { status: number; why: string }>> = {
  '68-same-name-again': { status: 409, why: 'an unchanged job is a conflict, not a failure of the server' },
  '86-bad-order': { status: 400, why: 'an unknown order is a fault of the request' },
  '91-version-header': { status: 200, why: 'old clients are served' },
};

function bodyOf(exchange: RecordedExchange): string | undefined {
  if (exchange.requestBody === null || exchange.requestBody === undefined) return undefined;
  return typeof exchange.requestBody === 'string'
    ? exchange.requestBody
    : JSON.stringify(exchange.requestBody);
}

/** Answers of `createServer` against what was recorded of Bacalhau 1.9.3. */
export function apiContract({ name, create: createServer }: ServerUnderTest): void {
  describe(`REST contract: ${name}`, () => {
    const recordings = loadRecordings();
    if (recordings === undefined) {
      it('recordings of Bacalhau 1.9.3', (t) => {
        const why = `no recordings at ${recordingsFolder} (BACALHAU_FIXTURES says where to look)`;
        console.warn(`SKIPPED: REST contract of ${name}: ${why}`);
        t.skip(why);
      });
      return;
    }

    const requester = new ScriptedRequester();
    const ingest = new ScriptedIngest();
    const node = new ScriptedNode();
    let server: ApiServer;
    let port = 0;

    before(async () => {
      server = createApi(
        {
          options: apiOptions,
          requester,
          ingest,
          compute: new ScriptedCompute(),
          node,
          logger: silent,
          metrics: createMetrics({ version: 'test', processMetrics: false }),
        },
        createServer,
      );
      ({ port } = await server.listen('127.0.0.1', 0));
    });
    after(() => server.close(Date.now() + 2000));

    const answered = recordings.filter((exchange) => exchange.method !== 'WEBSOCKET');
    const sockets = recordings.filter((exchange) => exchange.method === 'WEBSOCKET');

    it('covers the recordings', () => {
      assert.ok(answered.length > 80, `${answered.length} exchanges`);
      assert.ok(sockets.length >= 3, `${sockets.length} WebSockets`);
      for (const file of Object.keys(DEVIATIONS)) {
        assert.ok(
          recordings.some((exchange) => exchange.file === file),
          `${file} is not recorded`,
        );
      }
    });

    for (const [index, exchange] of answered.entries()) {
      it(`${exchange.file} #${index} ${exchange.method} ${exchange.path}`, async () => {
        replay(exchange, requester, ingest);
        if (exchange.file === '90-config') {
          node.configuration = (exchange.responseBody as { config: unknown }).config;
        }
        const body = bodyOf(exchange);
        const reply = await fetch(`http://127.0.0.1:${port}${exchange.path}`, {
          method: exchange.method,
          headers: exchange.requestHeaders,
          redirect: 'manual',
          ...(body === undefined ? {} : { body }),
        });
        const text = await reply.text();
        const deviation = DEVIATIONS[exchange.file];
        assert.equal(reply.status, deviation?.status ?? exchange.status, text);
        checkHeaders(exchange, reply.headers);
        if (exchange.responseBody === null) {
          assert.equal(text, '');
          return;
        }
        const actual: unknown = JSON.parse(text);
        if (exchange.file === '91-version-header') return;
        // A recorded node of this version carries its transport's numbers.
        const expected: unknown = JSON.parse(
          JSON.stringify(exchange.responseBody, (key, value: unknown) =>
            TRANSPORT.includes(key) ? undefined : value,
          ),
        );
        const versioned = exchange.requestHeaders['x-bacalhau-git-version'] !== undefined;
        const tolerance = exchange.status >= 400 ? ERRORS : versioned ? EXACT : UNVERSIONED;
        const found = differences(expected, actual, tolerance).filter((line) => !SNAPSHOT.test(line));
        assert.deepEqual(found, []);
        if (exchange.status >= 400) assert.equal((actual as { Status: number }).Status, reply.status);
      });
    }

    for (const [index, exchange] of sockets.entries()) {
      it(`${exchange.file} #${index} WebSocket ${exchange.path}`, async () => {
        replay(exchange, requester, ingest);
        const socket = new WebSocket(`ws://127.0.0.1:${port}${exchange.path}`);
        const frames: { binary: boolean; data: unknown }[] = [];
        socket.on('message', (data: Buffer, binary) =>
          frames.push({ binary, data: JSON.parse(data.toString()) }),
        );
        const [code, reason] = await new Promise<[number, string]>((resolve, reject) => {
          socket.on('close', (closedWith, why) => resolve([closedWith, why.toString()]));
          socket.on('error', reject);
        });
        const recorded = (exchange.frames ?? []).map(({ binary, data }) => ({ binary, data }));
        assert.deepEqual(frames, recorded);
        assert.deepEqual({ code, reason }, { code: exchange.close?.code, reason: exchange.close?.reason });
      });
    }
  });
}

function checkHeaders(exchange: RecordedExchange, headers: Headers): void {
  for (const [name, value] of Object.entries(exchange.responseHeaders ?? {})) {
    // Length or chunks is a matter of the server; the date's text form is Go's.
    if (name === 'transfer-encoding') continue;
    const actual = headers.get(name);
    assert.notEqual(actual, null, `header ${name} is absent`);
    if (name === 'x-request-id') assert.notEqual(actual, '');
    else if (name !== 'x-bacalhau-build-date') assert.equal(actual, value, `header ${name}`);
  }
}
