import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createServer, request as forward } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createStorages } from '../../../src/storages/registry.ts';
import { bidderOf, header, input, OPTIONS, spec } from '../../support/bid.ts';
import { temporaryFolder, writeTree } from '../../support/folders.ts';
import { testKubo } from '../../support/kubo.ts';

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

test('locality asks the connected daemon, offline: pinned, unpinned, partly present and absent data', async (t) => {
  const kubo = await testKubo(t);
  if (kubo === undefined) return;
  const folder = await temporaryFolder(t);
  await writeTree(folder, { 'a.bin': randomBytes(600_000), 'b.bin': randomBytes(600_000), 'c.txt': 'small' });
  const cid = await kubo.client.add(folder, { signal: AbortSignal.timeout(20_000) });
  const { connect, paths } = await noting(t, kubo.connect);
  const ask = async (CID: string): Promise<string> => {
    // A bidder of its own each time: nothing is remembered.
    const storages = createStorages({ ...OPTIONS.storages, ipfsConnect: connect }, () =>
      Promise.reject(new Error('nobody is asked')),
    );
    const bidder = bidderOf({ locality: 'local' }, { storages: () => Promise.resolve(storages) });
    const task = { InputSources: [input('ipfs', { CID })] };
    const outcome = await bidder.bid(
      { header: header(), spec: spec(task), explain: false },
      new AbortController().signal,
    );
    if (outcome.kind === 'advance') return `yes ${outcome.value.resources.disk > 1_200_000}`;
    return outcome.kind === 'reject' ? `${outcome.code} ${outcome.final}` : outcome.kind;
  };
  assert.equal(await ask(cid), 'yes true');
  await call(kubo.connect, `pin/rm?arg=${cid}`);
  assert.equal(await ask(cid), 'yes true', 'unpinned data is there all the same');

  // One block of one file is missing: the whole is not here.
  const refs = (await call(kubo.connect, `refs?arg=${cid}&recursive=true&unique=true&offline=true`))
    .split('\n')
    .flatMap((line) => (line === '' ? [] : [(JSON.parse(line) as { Ref: string }).Ref]));
  const leaf = refs.find((ref) => ref.startsWith('bafkrei'));
  assert.ok(leaf !== undefined, refs.join(' '));
  await call(kubo.connect, `block/rm?arg=${leaf}`);
  assert.equal(await ask(cid), 'locality true');
  const absent = 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy';
  assert.equal(await ask(absent), 'locality true');

  assert.ok(paths.length > 0);
  for (const path of paths) assert.match(path, /[?&]offline=true/, path);
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
