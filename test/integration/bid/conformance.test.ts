import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Task } from '../../../src/core/job.ts';
import type { BidOptions } from '../../../src/workers/bid/protocol.ts';
import { bidderOf, header, input, spec, storage } from '../../support/bid.ts';
import { temporaryFolder } from '../../support/folders.ts';
import { probeHelper } from '../../support/probes.ts';

/*
 * The checks 4, 5, 6 and 8 of a Bacalhau node's bidding, each on the whole policy with real probes; 7 is in
 * test/integration/approvals.test.ts, 9 in locality.test.ts beside this file.
 */

/** What the policy says of a job: "bid", "wait: …", "no code: …" or "not now code: …". */
async function policySays(
  t: TestContext,
  options: Partial<BidOptions>,
  task: Partial<Task> = {},
): Promise<string> {
  const helper = probeHelper(t);
  const storages = new Map([['inline', storage('inline')]]);
  const bidder = bidderOf(options, { runner: () => helper, storages: () => Promise.resolve(storages) });
  const signal = new AbortController().signal;
  const outcome = await bidder.bid({ asked: header(), spec: spec(task), explain: false }, { signal });
  switch (outcome.kind) {
    case 'advance':
      return 'bid';
    case 'wait':
      return `wait: ${outcome.reason}`;
    case 'reject':
      return `${outcome.final ? 'no' : 'not now'} ${outcome.code}: ${outcome.reason}`;
    default:
      return assert.fail(outcome.kind);
  }
}

async function serve(t: TestContext, handle: RequestListener): Promise<string> {
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

test('conformance 4: exec probe: same JSON twice, exit codes, an environment of two, a bounded hang', async (t) => {
  const folder = await temporaryFolder(t);
  const exec = (probeExec: string, probeTimeoutMs = 10_000): Promise<string> =>
    policySays(t, { probeExec, probeTimeoutMs });
  assert.equal(await exec('[ "$(cat)" = "$BACALHAU_JOB_SELECTION_PROBE_DATA" ]'), 'bid');
  assert.equal(await exec('exit 0'), 'bid');
  assert.equal(
    await exec('exit 1'),
    'no exec_probe: this node does not accept jobs where external command "exit 1" returns exit code 1',
  );
  assert.match(await exec('exit 127'), /^not now probe_failed: .*cannot be started \(exit code 127\)/);
  assert.match(await exec('kill -KILL $$'), /^no exec_probe: .* is ended by SIGKILL$/);
  await exec(`cat /proc/$$/environ > '${folder}/environ'`);
  const environment = (await readFile(join(folder, 'environ'), 'utf8')).split('\0').filter(Boolean);
  assert.deepEqual(environment.map((line) => line.replace(/=.*/s, '')).sort(), [
    'BACALHAU_JOB_SELECTION_PROBE_DATA',
    'PATH',
  ]);
  const startedAt = performance.now();
  assert.match(await exec('sleep 600', 300), /^not now probe_failed: .*has not answered in 300ms$/);
  assert.ok(performance.now() - startedAt < 5000);
});

test('conformance 5: HTTP probe: statuses, JSON decisions, content types, bodies of all kinds, a dead server', async (t) => {
  const JSON_TYPE = { 'content-type': 'application/json' };
  const yes = '{"shouldBid":true,"reason":""}';
  const no = '{"shouldBid":false,"reason":"not today"}';
  const wait = '{"shouldWait":true,"reason":"ask Ann"}';
  const answers: readonly [string, RequestListener, RegExp][] = [
    ['200 without a body', (_, response) => response.writeHead(200).end(), /^bid$/],
    ['204', (_, response) => response.writeHead(204).end(), /^bid$/],
    ['399', (_, response) => response.writeHead(399).end(), /^bid$/],
    ['400', (_, response) => response.writeHead(400).end(), /^no http_probe: .* HTTP status code 400$/],
    ['500', (_, response) => response.writeHead(500, JSON_TYPE).end(yes), /^no http_probe: .* 500$/],
    [
      'a redirect to a 200',
      ({ url }, response) =>
        url === '/there'
          ? response.writeHead(200, JSON_TYPE).end(no)
          : response.writeHead(302, { location: '/there' }).end(),
      /^no http_probe: not today$/,
    ],
    ['JSON that accepts', (_, response) => response.writeHead(200, JSON_TYPE).end(yes), /^bid$/],
    [
      'JSON that refuses',
      (_, response) => response.writeHead(200, JSON_TYPE).end(no),
      /^no http_probe: not today$/,
    ],
    ['JSON that waits', (_, response) => response.writeHead(200, JSON_TYPE).end(wait), /^wait: ask Ann$/],
    [
      'a charset in the content type',
      (_, response) => response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' }).end(no),
      /^no http_probe: not today$/,
    ],
    [
      'JSON that breaks the schema',
      (_, response) => response.writeHead(200, JSON_TYPE).end('{"shouldBid":1,"reason":""}'),
      /^no http_probe: .*shouldBid is 1, expected true or false$/,
    ],
    [
      'a chunked body, slowly',
      (_, response) => {
        response.writeHead(200, JSON_TYPE).write(no.slice(0, 9));
        setTimeout(() => response.end(no.slice(9)), 50);
      },
      /^no http_probe: not today$/,
    ],
    [
      'more than 10 MB',
      (_, response) => response.writeHead(200, JSON_TYPE).end(Buffer.alloc(10_500_000, ' ')),
      /^not now probe_failed: .*more than 1\.0 MB$/,
    ],
    ['no answer at all', () => undefined, /^not now probe_failed: .*has not answered in 500ms$/],
  ];
  for (const [what, handle, expected] of answers) {
    const probeHttp = await serve(t, (request, response) => {
      request.resume();
      handle(request, response);
    });
    assert.match(await policySays(t, { probeHttp, probeTimeoutMs: 500 }), expected, what);
  }
  const dead = await policySays(t, { probeHttp: 'http://127.0.0.1:1/' });
  assert.match(dead, /^not now probe_failed: .*cannot be reached at http:\/\/127\.0\.0\.1:1\//);
});

test('conformance 6: both probes set: only two yeses are a bid', async (t) => {
  const urls = {
    yes: await serve(t, (request, response) => {
      request.resume();
      response.end();
    }),
    no: await serve(t, (request, response) => {
      request.resume();
      response.writeHead(403).end();
    }),
  };
  const both = (exec: number, http: 'yes' | 'no'): Promise<string> =>
    policySays(t, { probeExec: `exit ${exec}`, probeHttp: urls[http] });
  assert.equal(await both(0, 'yes'), 'bid');
  assert.match(await both(1, 'yes'), /^no exec_probe: .*returns exit code 1$/);
  assert.match(await both(0, 'no'), /^no http_probe: .*HTTP status code 403$/);
  // Whichever was known first ends the other.
  assert.match(await both(1, 'no'), /^no (?:exec|http)_probe: /);
});

test('conformance 8: stateless jobs with and without inputs; networking for None, HTTP and Full', async (t) => {
  const data = { InputSources: [input('inline', { URL: 'data:,x' })] };
  assert.equal(await policySays(t, { rejectStateless: true }, data), 'bid');
  assert.match(await policySays(t, { rejectStateless: true }), /^no stateless: .*without any input volumes$/);
  assert.equal(await policySays(t, { rejectStateless: false }), 'bid');
  const networked = (acceptNetworked: boolean, Type: 'None' | 'HTTP' | 'Full'): Promise<string> =>
    policySays(t, { acceptNetworked }, { Network: { Type } });
  assert.equal(await networked(false, 'None'), 'bid');
  assert.match(await networked(false, 'Full'), /^no networking: .*require network access/);
  assert.match(await networked(false, 'HTTP'), /^no networking: /);
  assert.equal(await networked(true, 'None'), 'bid');
  assert.equal(await networked(true, 'Full'), 'bid');
  // Nothing here filters by host: a job that asks for it would get more than it was given.
  assert.match(await networked(true, 'HTTP'), /^no networking: .*not support network type HTTP/);
});
