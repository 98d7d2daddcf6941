import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { createServer, request as forward } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { InputSource } from '../../../src/core/job.ts';
import { createEmbeddedClient } from '../../../src/ipfs/embedded/client.ts';
import { createStorages } from '../../../src/storages/registry.ts';
import type { StorageOptions } from '../../../src/workers/bid/protocol.ts';
import { bidderOf, header, input, OFFER, OPTIONS, spec } from '../../support/bid.ts';
import { temporaryFolder, writeTree } from '../../support/folders.ts';
import { testKubo } from '../../support/kubo.ts';
import { swarmNode } from '../../support/swarm.ts';

/** A way to the daemon that notes what it is asked. */
async function noting(t: TestContext, connect: string): Promise<{ connect: string; paths: string[] }> {
  const target = Number(/\/tcp\/(\d+)/.exec(connect)?.[1]);
  const paths: string[] = [];
  const server = createServer((asked, response) => {
    paths.push(asked.url ?? '');
    const passed = forward(
      { host: '127.0.0.1', port: target, path: asked.url, method: asked.method, headers: asked.headers },
      (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(response);
      },
    );
    passed.on('error', () => response.destroy());
    // Who asked may go away in the middle of an answer.
    response.on('close', () => passed.destroy());
    asked.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { connect: `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`, paths };
}

async function call(connect: string, path: string): Promise<string> {
  const port = /\/tcp\/(\d+)/.exec(connect)?.[1] ?? '';
  const reply = await fetch(`http://127.0.0.1:${port}/api/v0/${path}`, { method: 'POST' });
  return reply.text();
}

/** Asks a bidder of its own each time, so that nothing is remembered: "yes <all the bytes are known>" or "code final". */
async function ask(
  ipfs: Partial<StorageOptions>,
  InputSources: readonly InputSource[],
  onQuestion: () => void = () => undefined,
): Promise<string> {
  const storages = createStorages({ ...OPTIONS.storages, ...ipfs }, () => {
    onQuestion();
    return Promise.reject(new Error('nobody is asked'));
  });
  const bidder = bidderOf({ locality: 'local' }, { storages: () => Promise.resolve(storages) });
  bidder.setOffer({ ...OFFER, storages: [...OFFER.storages, 'urldownload'] });
  const outcome = await bidder.bid(
    { asked: header(), spec: spec({ InputSources: [...InputSources] }), explain: false },
    new AbortController(),
  );
  if (outcome.kind === 'advance') return `yes ${outcome.value.resources.disk > 1_200_000}`;
  return outcome.kind === 'reject' ? `${outcome.code} ${outcome.final}` : outcome.kind;
}

test('conformance 9: locality: pinned, unpinned, partly present and absent data; URL, inline and no input', async (t) => {
  const kubo = await testKubo(t);
  if (kubo === undefined) return;
  const folder = await temporaryFolder(t);
  await writeTree(folder, { 'a.bin': randomBytes(600_000), 'b.bin': randomBytes(600_000), 'c.txt': 'small' });
  const cid = await kubo.client.add(folder, { signal: AbortSignal.timeout(20_000) });
  const { connect, paths } = await noting(t, kubo.connect);
  const held = (CID: string): Promise<string> => ask({ ipfsConnect: connect }, [input('ipfs', { CID })]);
  assert.equal(await held(cid), 'yes true');
  await call(kubo.connect, `pin/rm?arg=${cid}`);
  assert.equal(await held(cid), 'yes true', 'unpinned data is there all the same');

  // One block of one file is missing: the whole is not here.
  const refs = (await call(kubo.connect, `refs?arg=${cid}&recursive=true&unique=true&offline=true`))
    .split('\n')
    .flatMap((line) => (line === '' ? [] : [(JSON.parse(line) as { Ref: string }).Ref]));
  const leaf = refs.find((ref) => ref.startsWith('bafkrei'));
  assert.ok(leaf !== undefined, refs.join(' '));
  await call(kubo.connect, `block/rm?arg=${leaf}`);
  assert.equal(await held(cid), 'locality true');
  const absent = 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy';
  assert.equal(await held(absent), 'locality true');
  assert.equal(await ask({ ipfsConnect: connect }, []), 'yes false');
  assert.equal(await ask({ ipfsConnect: connect }, [input('inline', { URL: 'data:,x' })]), 'yes false');
  // Nothing listens there, and nobody looks.
  assert.equal(
    await ask({ ipfsConnect: connect }, [input('urlDownload', { URL: 'http://127.0.0.1:1/x' })]),
    'locality true',
  );

  assert.ok(paths.length > 0);
  for (const path of paths) assert.match(path, /[?&]offline=true/, path);
});

test('conformance 9: locality of the embedded store: the whole DAG in files, and nobody is asked', async (t) => {
  const folder = await temporaryFolder(t);
  const [source, ipfsBlocks] = [join(folder, 'source'), join(folder, 'blocks')];
  await writeTree(source, { 'a.bin': randomBytes(700_000), 'b.bin': randomBytes(600_000) });
  const unasked = (): Promise<never> => Promise.reject(new Error('nobody is asked'));
  const client = createEmbeddedClient({ blocksDirectory: ipfsBlocks }, { ask: unasked });
  const cid = await client.add(source, { signal: AbortSignal.timeout(20_000) });
  let questions = 0;
  const held = (CID: string): Promise<string> =>
    ask({ ipfsBlocks }, [input('ipfs', { CID })], () => {
      questions += 1;
    });
  assert.equal(await held(cid), 'yes true');
  const files = (await readdir(ipfsBlocks, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  await rm(files[sizes.indexOf(Math.max(...sizes))] ?? '');
  assert.equal(await held(cid), 'locality true', 'one leaf is missing');
  assert.equal(await held('bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy'), 'locality true');
  assert.equal(questions, 0, 'no block was wanted of the network');
});

test('no request leaves the daemon for data that only a connected peer has', async (t) => {
  const kubo = await testKubo(t);
  if (kubo === undefined) return;
  const peer = await swarmNode(t, { peers: [kubo.swarm] });
  let isAsked = false;
  void peer.loaded.then(() => {
    isAsked = true;
  });
  const folder = await temporaryFolder(t);
  await writeTree(folder, { 'a.bin': randomBytes(600_000) });
  const cid = await peer.client.add(folder, { signal: AbortSignal.timeout(20_000) });
  const exchanged = async (): Promise<{ Wantlist: unknown[] | null; BlocksReceived: number }> =>
    JSON.parse(await call(kubo.connect, 'bitswap/stat')) as { Wantlist: null; BlocksReceived: number };
  const before = await exchanged();
  assert.equal(await ask({ ipfsConnect: kubo.connect }, [input('ipfs', { CID: cid })]), 'locality true');
  // Whatever was sent to that peer before this has arrived there by now.
  await call(kubo.connect, `ping?arg=${peer.host.libp2p.peerId.toString()}&count=1`);
  const after = await exchanged();
  assert.deepEqual([after.Wantlist ?? [], after.BlocksReceived], [[], before.BlocksReceived]);
  assert.equal(isAsked, false, 'the peer was asked for nothing');
  // It would have had it: the same daemon finds the data there when it may ask.
  await call(kubo.connect, `refs?arg=${cid}&recursive=true`);
  assert.equal(isAsked, true);
  assert.match(await ask({ ipfsConnect: kubo.connect }, [input('ipfs', { CID: cid })]), /^yes/);
});

test('a daemon that hangs costs a bid its deadline, not more, and is no final no', async (t) => {
  const server = createServer(() => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const connect = `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`;
  const storages = createStorages({ ...OPTIONS.storages, ipfsConnect: connect }, () =>
    Promise.reject(new Error('nobody is asked')),
  );
  const bidder = bidderOf({ locality: 'local' }, { storages: () => Promise.resolve(storages) });
  const task = {
    InputSources: [input('ipfs', { CID: 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy' })],
  };
  const startedAt = performance.now();
  const outcome = await bidder.bid(
    { asked: header(), spec: spec(task), explain: false },
    new AbortController(),
  );
  assert.equal(outcome.kind === 'reject' && `${outcome.code} ${outcome.final}`, 'locality false');
  assert.ok(performance.now() - startedAt < 8000);
});
