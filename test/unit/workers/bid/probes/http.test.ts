import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { type HttpProbeOptions, httpProbe } from '../../../../../src/workers/bid/probes/http.ts';
import { probePayload } from '../../../../../src/workers/bid/probes/payload.ts';
import type { SlowStrategy, Verdict } from '../../../../../src/workers/bid/strategy.ts';
import { BidTally } from '../../../../../src/workers/bid/tally.ts';
import { askedJob, OPTIONS } from '../../../../support/bid.ts';

const job = askedJob();
const never = new AbortController().signal;
const JSON_TYPE = { 'content-type': 'application/json' };

interface Service {
  readonly url: string;
  readonly sockets: ReadonlySet<Socket>;
  /** Connections made so far. */
  readonly made: { count: number };
}

async function service(t: TestContext, handle: RequestListener): Promise<Service> {
  const sockets = new Set<Socket>();
  const made = { count: 0 };
  const server = createServer(handle);
  server.on('connection', (socket) => {
    made.count += 1;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/probe`, sockets, made };
}

function probe(url: string, change: Partial<HttpProbeOptions> = {}, tally = new BidTally()): SlowStrategy {
  return httpProbe(
    { url, probeTimeoutMs: 5000, probeConcurrency: 64, probeOnError: 'transient', ...change },
    { tally, payload: (asked) => probePayload(asked, OPTIONS) },
  );
}

/** "yes", "wait: …", or "no final code: …" of what a service answers. */
function shown(verdict: Verdict): string {
  if (verdict.kind === 'yes') return 'yes';
  if (verdict.kind === 'wait') return `wait: ${verdict.reason}`;
  return `${(verdict.final ?? true) ? 'no' : 'not now'} ${verdict.code ?? ''}: ${verdict.reason}`;
}

interface Answer {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

async function answered(t: TestContext, answer: Answer): Promise<string> {
  const { url } = await service(t, (request, response) => {
    request.resume();
    response.writeHead(answer.status ?? 200, answer.headers).end(answer.body);
  });
  return shown(await probe(url).decide(job, never)).replaceAll(url, 'URL');
}

test('the job is POSTed as JSON', async (t) => {
  let seen: { method: string; type: string; length: string; body: string } | undefined;
  const { url } = await service(t, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      const { 'content-type': type = '', 'content-length': length = '' } = request.headers;
      seen = { method: request.method ?? '', type, length, body };
      response.end();
    });
  });
  assert.equal((await probe(url).decide(job, never)).kind, 'yes');
  const body = new TextDecoder().decode(probePayload(job, OPTIONS));
  assert.deepEqual(seen, {
    method: 'POST',
    type: 'application/json',
    length: String(Buffer.byteLength(body)),
    body,
  });
});

test('by status: 400 and more refuse, anything below accepts', async (t) => {
  for (const status of [200, 204, 304, 399])
    assert.equal(await answered(t, { status }), 'yes', String(status));
  for (const status of [400, 404, 500, 599]) {
    assert.equal(
      await answered(t, { status }),
      `no : accept jobs where url "URL" returns HTTP status code ${status}`,
    );
  }
  const words = { status: 403, headers: JSON_TYPE, body: '{"shouldBid":true,"reason":"not today"}' };
  assert.equal(await answered(t, words), 'no : not today');
  assert.equal(
    await answered(t, { status: 500, body: '<html>oops' }),
    'no : accept jobs where url "URL" returns HTTP status code 500',
  );
  assert.match(await answered(t, { status: 500, body: 'x'.repeat(11_000_000) }), /status code 500/);
});

test('a JSON object with a key of the schema decides, whatever its content type', async (t) => {
  for (const type of ['application/json', 'Application/JSON; charset=utf-8', 'text/plain', '']) {
    const headers: Record<string, string> = type === '' ? {} : { 'content-type': type };
    const say = (body: string): Promise<string> => answered(t, { headers, body });
    assert.equal(await say('{"shouldBid":true,"reason":"fine"}'), 'yes', type);
    assert.equal(await say('{"shouldBid":false,"reason":"too big"}'), 'no : too big', type);
    assert.equal(await say('{"ShouldBid":false,"Reason":"capitals"}'), 'no : capitals', type);
    assert.equal(await say('{"shouldWait":true,"reason":"ask Ann"}'), 'wait: ask Ann', type);
    assert.equal(await say('{"shouldBid":true,"shouldWait":true,"reason":"ask Ann"}'), 'wait: ask Ann', type);
    assert.equal(await say(' \n{"shouldBid":true,"reason":"","extra":1} '), 'yes', type);
    const broken = [
      ['{"shouldBid":true}', 'reason is missing'],
      ['{"reason":"why"}', 'shouldBid is missing'],
      ['{"shouldWait":false,"reason":"why"}', 'shouldBid is missing'],
      ['{"shouldWait":true}', 'reason is missing'],
      ['{"shouldBid":"true","reason":"x"}', 'shouldBid is "true", expected true or false'],
      ['{"shouldBid":true,"shouldWait":1,"reason":"x"}', 'shouldWait is 1, expected true or false'],
      ['{"shouldBid":true,"reason":null}', 'reason is null, expected text'],
    ] as const;
    for (const [body, fault] of broken) {
      assert.equal(
        await say(body),
        `no : accept jobs where url "URL" returns JSON that breaks the schema of decisions: ${fault}`,
        `${type} ${body}`,
      );
    }
  }
});

test('what calls itself JSON and is none refuses; any other body accepts', async (t) => {
  const json = (body: string): Promise<string> => answered(t, { headers: JSON_TYPE, body });
  for (const body of ['', '{', 'yes', '[]', '1', 'null', '{}', '{"ok":true}', '{"shouldBid":true,']) {
    assert.match(await json(body), /^no : .*breaks the schema of decisions: /, body);
  }
  assert.match(await json('{'), /it is no valid JSON: SyntaxError/);
  assert.equal(await answered(t, { status: 204, headers: JSON_TYPE }), 'yes');
  for (const body of ['', 'OK', '{', '[]', '{}', '{"ok":true}', '<html>']) {
    assert.equal(await answered(t, { headers: { 'content-type': 'text/plain' }, body }), 'yes', body);
    assert.equal(await answered(t, { body }), 'yes', body);
  }
});

test('a chunked body in pieces, one of them late', async (t) => {
  const { url } = await service(t, (request, response) => {
    request.resume();
    response.writeHead(200, JSON_TYPE);
    response.write('{"should');
    setTimeout(() => {
      response.write('Bid":false,"reas');
      response.end('on":"in pieces"}');
    }, 30);
  });
  assert.equal(shown(await probe(url).decide(job, never)), 'no : in pieces');
});

test('redirects are followed as browsers do, and not for ever', async (t) => {
  const seen: string[] = [];
  const { url } = await service(t, (request: IncomingMessage, response: ServerResponse) => {
    const path = request.url ?? '';
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    request.on('end', () => {
      seen.push(`${request.method} ${path} ${bytes > 0 ? 'body' : 'none'}`);
      const [, status = ''] = /^\/to(\d+)$/.exec(path) ?? [];
      if (status !== '') response.writeHead(Number(status), { location: '/there' }).end('moved');
      else if (path === '/loop') response.writeHead(302, { location: '/loop' }).end();
      else if (path === '/nowhere') response.writeHead(302).end();
      else response.writeHead(200, JSON_TYPE).end('{"shouldBid":false,"reason":"arrived"}');
    });
  });
  const at = (path: string): Promise<Verdict> =>
    Promise.resolve(probe(new URL(path, url).href).decide(job, never));
  for (const status of [301, 302, 303, 307, 308]) {
    assert.equal(shown(await at(`/to${status}`)), 'no : arrived', String(status));
  }
  assert.deepEqual(
    seen.filter((line) => line.includes('/there')),
    ['GET /there none', 'GET /there none', 'GET /there none', 'POST /there body', 'POST /there body'],
  );
  assert.match(shown(await at('/loop')), /^not now probe_failed: .*redirects more than 5 times$/);
  assert.equal(shown(await at('/nowhere')), 'yes');
});

test('trouble puts the bid off and is counted', async (t) => {
  const tally = new BidTally();
  const dead = await service(t, () => undefined);
  const free = dead.url.replace(/:\d+/, ':1');
  assert.match(
    shown(await probe(free, {}, tally).decide(job, never)),
    /^not now probe_failed: know whether to accept the job: its HTTP probe cannot be reached at http:\/\/127\.0\.0\.1:1\/probe: .*ECONNREFUSED/,
  );
  // Never answers at all.
  const silent = probe(dead.url, { probeTimeoutMs: 150 }, tally);
  assert.match(shown(await silent.decide(job, never)), /^not now probe_failed: .*has not answered in 150ms$/);
  // Begins its body and never ends it.
  const slow = await service(t, (request, response) => {
    request.resume();
    response.writeHead(200, JSON_TYPE).write('{"shouldBid":true');
  });
  const slowly = probe(slow.url, { probeTimeoutMs: 150, probeOnError: 'reject' }, tally);
  assert.match(shown(await slowly.decide(job, never)), /^no probe_failed: .*has not answered in 150ms$/);
  // Closes in the middle.
  const cut = await service(t, (request, response) => {
    request.resume();
    response.writeHead(200, { ...JSON_TYPE, 'content-length': '100' });
    response.write('{"shouldBid":true', () => response.destroy());
  });
  assert.match(
    shown(await probe(cut.url, {}, tally).decide(job, never)),
    /^not now probe_failed: .*cannot be reached/,
  );
  const endless = await service(t, (request, response) => {
    request.resume();
    response.writeHead(200, JSON_TYPE).end('x'.repeat(11_000_000));
  });
  assert.match(
    shown(await probe(endless.url, {}, tally).decide(job, never)),
    /^not now probe_failed: .*more than 1\.0 MB/,
  );
  assert.deepEqual(
    (['timeout', 'unreachable', 'answer'] as const).map((fault) => tally.failures('http_probe', fault)),
    [2, 2, 1],
  );
  assert.equal(tally.durations('http_probe').count, 5);
});

test('connections are kept; one that the server has closed meanwhile costs no bid', async (t) => {
  const { url, made, sockets } = await service(t, (request, response) => {
    request.resume().on('end', () => response.end());
  });
  const strategy = probe(url);
  for (let asked = 0; asked < 20; asked += 1) {
    assert.equal((await strategy.decide(job, never)).kind, 'yes');
  }
  // A connection is free again a turn after its answer was read.
  assert.ok(made.count <= 2, String(made.count));
  for (const socket of sockets) socket.destroy();
  assert.equal((await strategy.decide(job, never)).kind, 'yes');
});

test('a bid that is wanted no more closes its request', async (t) => {
  const arrived = Promise.withResolvers<void>();
  const { url, sockets } = await service(t, () => arrived.resolve());
  const controller = new AbortController();
  const deciding = probe(url).decide(job, controller.signal);
  await arrived.promise;
  controller.abort();
  await assert.rejects(deciding);
  while (sockets.size > 0) await new Promise((resolve) => setImmediate(resolve));
});

test('user and password of the URL are sent, and never shown', async (t) => {
  let authorization = '';
  const { url } = await service(t, (request, response) => {
    authorization = request.headers.authorization ?? '';
    request.resume();
    response.writeHead(500).end();
  });
  const verdict = await probe(`${url.replace('//', '//ann:s%40crit@')}?token=abc`).decide(job, never);
  assert.equal(authorization, `Basic ${Buffer.from('ann:s@crit').toString('base64')}`);
  assert.doesNotMatch(shown(verdict), /crit|ann|abc/);
});
