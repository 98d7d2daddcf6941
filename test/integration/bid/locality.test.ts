import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createServer, request as forward } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { InputSource } from '../../../src/core/job.ts';
import { createStorages } from '../../../src/storages/registry.ts';
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
async function ask(connect: string, InputSources: readonly InputSource[]): Promise<string> {
  const storages = createStorages({ ...OPTIONS.storages, ipfsConnect: connect }, () =>
    Promise.reject(new Error('nobody is asked')),
  );
  const bidder = bidderOf({ locality: 'local' }, { storages: () => Promise.resolve(storages) });
  bidder.setOffer({ ...OFFER, storages: [...OFFER.storages, 'urldownload'] });
  const outcome = await bidder.bid(
    { header: header(), spec: spec({ InputSources: [...InputSources] }), explain: false },
    new AbortController().signal,
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
  const held = (CID: string): Promise<string> => ask(connect, [input('ipfs', { CID })]);
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
  assert.equal(await ask(connect, []), 'yes false');
  assert.equal(await ask(connect, [input('inline', { URL: 'data:,x' })]), 'yes false');
  // Nothing listens there, and nobody looks.
  assert.equal(await ask(connect, [input('urlDownload', { URL: 'http://127.0.0.1:1/x' })]), 'locality true');

  assert.ok(paths.length > 0);
  for (const path of paths) assert.match(path, /[?&]offline=true/, path);
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
  const stat = async (): Promise<{ Wantlist: unknown[] | null; BlocksReceived: number }> =>
    JSON.parse(await call(kubo.connect, 'bitswap/stat')) as { Wantlist: null; BlocksReceived: number };
  const before = await stat();
  assert.equal(await ask(kubo.connect, [input('ipfs', { CID: cid })]), 'locality true');
  // Whatever was sent to that peer before this has arrived there by now.
  await call(kubo.connect, `ping?arg=${peer.host.libp2p.peerId.toString()}&count=1`);
  const after = await stat();
  assert.deepEqual([after.Wantlist ?? [], after.BlocksReceived], [[], before.BlocksReceived]);
  assert.equal(isAsked, false, 'the peer was asked for nothing');
  // It would have had it: the same daemon finds the data there when it may ask.
  await call(kubo.connect, `refs?arg=${cid}&recursive=true`);
  assert.equal(isAsked, true);
  assert.match(await ask(kubo.connect, [input('ipfs', { CID: cid })]), /^yes/);
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
    { header: header(), spec: spec(task), explain: false },
    new AbortController().signal,
  );
  assert.equal(outcome.kind === 'reject' && `${outcome.code} ${outcome.final}`, 'locality false');
  assert.ok(performance.now() - startedAt < 8000);
});
