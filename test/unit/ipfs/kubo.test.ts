import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { NodeError } from '../../../src/core/errors.ts';
import { createKuboClient, type KuboClient, type KuboClientOptions } from '../../../src/ipfs/kubo/client.ts';
import { temporaryFolder, writeTree } from '../../support/folders.ts';

const CID = 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi';
const signal = new AbortController().signal;

async function daemon(
  t: TestContext,
  handle: RequestListener,
  options: Partial<KuboClientOptions> = {},
): Promise<KuboClient> {
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const connect = `/ip4/127.0.0.1/tcp/${port}`;
  const client = createKuboClient({ connect, authorization: '', stallMs: 150, callMs: 150, ...options });
  t.after(async () => {
    await client.close();
    server.closeAllConnections();
    server.close();
  });
  return client;
}

const unavailable =
  (text: RegExp, code = 'InputUnavailable') =>
  (thrown: unknown) => {
    assert.ok(thrown instanceof NodeError, String(thrown));
    assert.equal(thrown.code, code, thrown.message);
    assert.match(thrown.message, text);
    return true;
  };

test('a daemon that is not there is named', async (t) => {
  const client = createKuboClient({ connect: '/ip4/127.0.0.1/tcp/1', authorization: '' });
  t.after(() => client.close());
  const folder = await temporaryFolder(t);
  await assert.rejects(client.ping(signal), unavailable(/127\.0\.0\.1:1.*ECONNREFUSED/));
  await assert.rejects(client.has(CID, signal), unavailable(/ECONNREFUSED/));
  await assert.rejects(
    client.get(CID, join(folder, 'x'), { signal, maxBytes: 1 }),
    unavailable(/ECONNREFUSED/),
  );
  await assert.rejects(client.add(folder, { signal }), unavailable(/ECONNREFUSED/, 'PublishFailed'));
  assert.deepEqual(await readdir(folder), []);
});

test('a daemon that never answers does not hold a call', async (t) => {
  const client = await daemon(t, () => undefined);
  const folder = await temporaryFolder(t);
  await assert.rejects(client.ping(signal), unavailable(/no answer in 0\.15 s/));
  await assert.rejects(client.size(CID, signal), unavailable(/no answer/));
  await assert.rejects(
    client.get(CID, join(folder, 'x'), { signal, maxBytes: 1 }),
    unavailable(/nothing was received/),
  );
});

test('a daemon that stops reading does not hold an upload', async (t) => {
  const client = await daemon(t, (request) => void request.pause());
  const folder = await temporaryFolder(t);
  await writeTree(folder, { big: Buffer.alloc(20_000_000) });
  await assert.rejects(client.add(folder, { signal }), unavailable(/nothing was received/, 'PublishFailed'));
});

test('a transfer that stops in the middle is given up, and nothing is left', async (t) => {
  const client = await daemon(t, (_, response) => void response.write(Buffer.alloc(512)));
  const folder = await temporaryFolder(t);
  await assert.rejects(
    client.get(CID, join(folder, 'x'), { signal, maxBytes: 9 }),
    unavailable(/nothing was received/),
  );
  assert.deepEqual(await readdir(folder), []);
});

test('a slow transfer that moves goes on past the limit for silence', async (t) => {
  const client = await daemon(t, (_, response) => {
    let left = 6;
    const step = (): void => {
      left -= 1;
      if (left > 0) response.write('\n');
      else response.end(`${JSON.stringify({ Name: 'results', Hash: CID })}\n`);
      if (left > 0) setTimeout(step, 60);
    };
    step();
  });
  const folder = await temporaryFolder(t);
  assert.equal(await client.add(folder, { signal }), CID);
});

test('an error in the middle of an answer is told', async (t) => {
  const client = await daemon(t, (_, response) => {
    response.writeHead(200, { trailer: 'X-Stream-Error', 'transfer-encoding': 'chunked' });
    response.write('{"Name":"results/x","Hash":"x"}\n');
    response.addTrailers({ 'X-Stream-Error': 'the repository is broken' });
    response.end();
  });
  await assert.rejects(
    client.add(await temporaryFolder(t), { signal }),
    unavailable(/the repository is broken/, 'PublishFailed'),
  );
});

test('an answer without the folder is an error', async (t) => {
  const client = await daemon(t, (_, response) => response.end('{"Name":"other","Hash":"x"}\n'));
  await assert.rejects(
    client.add(await temporaryFolder(t), { signal }),
    unavailable(/did not say/, 'PublishFailed'),
  );
});

test('the authorisation is sent; a refusal says where to look', async (t) => {
  const seen: (string | undefined)[] = [];
  const client = await daemon(
    t,
    (request, response) => {
      seen.push(request.headers.authorization);
      response.writeHead(403).end('403 - Forbidden');
    },
    { authorization: 'bearer:token' },
  );
  await assert.rejects(client.ping(signal), unavailable(/check the RPC authorisation/));
  assert.deepEqual(seen, ['Bearer token']);
});

test('an address with a path keeps it', async (t) => {
  const paths: string[] = [];
  const server = createServer((request, response) => {
    paths.push(request.url ?? '');
    response.end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const client = createKuboClient({ connect: `http://127.0.0.1:${port}/rpc/`, authorization: '' });
  t.after(async () => {
    await client.close();
    server.close();
  });
  await client.ping(signal);
  assert.deepEqual(paths, ['/rpc/api/v0/version']);
});

test('a block that is not local is no error, any other failure is', async (t) => {
  let message = 'block was not found locally (offline): ipld: could not find x';
  const client = await daemon(t, (request, response) => {
    assert.match(request.url ?? '', /offline=true/);
    response.writeHead(500, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ Message: message, Code: 0, Type: 'error' }));
  });
  assert.equal(await client.has(CID, signal), false);
  assert.equal(await client.size(CID, signal), undefined);
  message = 'lock is held';
  await assert.rejects(client.has(CID, signal), unavailable(/lock is held/));
});

test('what is no CID is refused before any call', async (t) => {
  const client = await daemon(t, () => assert.fail('must not be called'));
  for (const text of ['', 'x', '../../etc', `${CID}/../x`, 'http://x']) {
    await assert.rejects(client.has(text, signal), unavailable(/is no CID/, 'InputInvalid'));
  }
});

test("the caller's abort ends a call with its reason", async (t) => {
  const client = await daemon(t, () => undefined, { callMs: 10_000, stallMs: 10_000 });
  const folder = await temporaryFolder(t);
  const aborted = (): AbortSignal => AbortSignal.timeout(30);
  await assert.rejects(client.ping(aborted()), { name: 'TimeoutError' });
  await assert.rejects(client.get(CID, join(folder, 'x'), { signal: aborted(), maxBytes: 1 }), {
    name: 'TimeoutError',
  });
  await assert.rejects(client.add(folder, { signal: aborted() }), { name: 'TimeoutError' });
});
