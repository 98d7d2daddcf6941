import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { pack } from 'tar-stream';
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

/** A daemon that pins whatever is asked; `take` gets what is sent to it. */
function taking(
  t: TestContext,
  take: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<KuboClient> {
  const handle: RequestListener = (request, response) => {
    if (request.url?.startsWith('/api/v0/dag/import') === true) take(request, response);
    else response.end(JSON.stringify({ Pins: [CID] }));
  };
  return daemon(t, handle, { stallMs: 10_000 });
}

/** Kubo's answer for a folder with one file of 2,048 bytes. */
function tar(): Promise<Buffer> {
  const archive = pack();
  archive.entry({ name: `${CID}/a` }, Buffer.alloc(2048));
  archive.finalize();
  return buffer(archive as AsyncIterable<unknown> as AsyncIterable<Uint8Array>);
}

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
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
  const port = await closedPort();
  const client = createKuboClient({ connect: `/ip4/127.0.0.1/tcp/${port}`, authorization: '' });
  t.after(() => client.close());
  const folder = await temporaryFolder(t);
  await assert.rejects(client.ping(signal), unavailable(new RegExp(`127\\.0\\.0\\.1:${port}.*ECONNREFUSED`)));
  await assert.rejects(client.has(CID, signal), unavailable(/ECONNREFUSED/));
  await assert.rejects(
    client.get(CID, join(folder, 'x'), { signal, maxBytes: 1 }),
    unavailable(/ECONNREFUSED/),
  );
  await assert.rejects(client.add(folder, { signal }), unavailable(/ECONNREFUSED/, 'PublishFailed'));
  assert.deepEqual(await readdir(folder), []);
});

test('a port that HTTP clients refuse to call is named', async (t) => {
  const client = createKuboClient({ connect: '/ip4/127.0.0.1/tcp/6000', authorization: '' });
  t.after(() => client.close());
  await assert.rejects(client.ping(signal), unavailable(/127\.0\.0\.1:6000: its port is one that/));
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
  const archive = await tar();
  const client = await daemon(t, (_, response) => {
    const step = (from: number): void => {
      response.write(archive.subarray(from, from + 1024));
      if (from + 1024 >= archive.length) response.end();
      else setTimeout(step, 60, from + 1024);
    };
    step(0);
  });
  const folder = await temporaryFolder(t);
  const { bytes } = await client.get(CID, join(folder, 'x'), { signal, maxBytes: 1e6 });
  assert.equal(bytes, 2048);
});

test('an answer that falls silent is given up', async (t) => {
  const client = await daemon(t, (_, response) => void response.write('{"Ref":"x","Err":""}\n'));
  const folder = await temporaryFolder(t);
  await assert.rejects(client.add(folder, { signal }), unavailable(/nothing was received/, 'PublishFailed'));
  await assert.rejects(client.has(CID, signal), unavailable(/no answer in 0\.15 s/));
});

test('a large folder goes in pieces, and little of it is in memory at once', async (t) => {
  const folder = await temporaryFolder(t);
  await writeTree(folder, { a: randomBytes(30_000_000), b: randomBytes(10_000_000) });
  const lengths: number[] = [];
  const client = await taking(t, (request, response) => {
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.byteLength;
    });
    request.on('end', () => {
      lengths.push(bytes);
      response.end();
    });
  });
  await client.add(folder, { signal });
  const total = lengths.reduce((sum, bytes) => sum + bytes, 0);
  assert.ok(total > 40_000_000 && total < 41_000_000, `${total} bytes were sent`);
  assert.ok(Math.max(...lengths) < 8_000_000, `the longest request is ${Math.max(...lengths)} bytes`);
});

test('what is sent but refused, or cannot be pinned, is an error', async (t) => {
  let refused = 'dag/import';
  const handle: RequestListener = (request, response) => {
    request.resume();
    if (request.url?.startsWith(`/api/v0/${refused}`) === true) {
      response.writeHead(500).end(`the repository cannot do ${refused}`);
    } else response.end(JSON.stringify({ Pins: [CID] }));
  };
  const client = await daemon(t, handle, { stallMs: 10_000 });
  const folder = await temporaryFolder(t);
  await writeTree(folder, { a: randomBytes(20_000_000), b: randomBytes(20_000_000) });
  await assert.rejects(client.add(folder, { signal }), unavailable(/cannot do dag\/import/, 'PublishFailed'));
  refused = 'pin/add';
  await assert.rejects(client.add(folder, { signal }), unavailable(/cannot do pin\/add/, 'PublishFailed'));
});

test('results that vanish while they are added are told', async (t) => {
  const folder = await temporaryFolder(t);
  const many = Array.from({ length: 200 }, (_, index) => [`many/${index}`, `${index}`]);
  await writeTree(folder, { a: randomBytes(20_000_000), z: 'x', ...Object.fromEntries(many) });
  const client = await taking(t, (request, response) => {
    void rm(join(folder, 'z'), { force: true }).then(() => {
      request.resume().on('end', () => response.end());
    });
  });
  await assert.rejects(client.add(folder, { signal }), unavailable(/ENOENT.*z'/, 'PublishFailed'));
});

test('a folder that ends early is not taken for the whole', async (t) => {
  const whole = await tar();
  let length = 0;
  const client = await daemon(t, (_, response) => void response.end(whole.subarray(0, length)));
  const folder = await temporaryFolder(t);
  const get = () => client.get(CID, join(folder, 'x'), { signal, maxBytes: 1e6 });
  for (const cut of [whole.length - 1, whole.length - 1024, whole.length - 1500, 512]) {
    length = cut;
    await assert.rejects(get(), unavailable(/ended early/), `${cut} of ${whole.length} bytes`);
    assert.deepEqual(await readdir(folder), []);
  }
  length = whole.length;
  assert.deepEqual(await get(), { kind: 'directory', bytes: 2048 });
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
    response.end('{"Version":"0.42.0"}');
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
