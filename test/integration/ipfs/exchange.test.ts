import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { NodeError } from '../../../src/core/errors.ts';
import type { IpfsClient } from '../../../src/ipfs/client.ts';
import { createKuboClient } from '../../../src/ipfs/kubo/client.ts';
import { fingerprint, type Tree, temporaryFolder, writeTree } from '../../support/folders.ts';
import { testKubo } from '../../support/kubo.ts';
import { swarmNode } from '../../support/swarm.ts';

const MISSING_CID = 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi';
const signal = new AbortController().signal;
const MAX_BYTES = 1e9;

/** Different every time, so that no daemon has it already. */
function someTree(): Tree {
  const many = Array.from({ length: 150 }, (_, index) => [`many/file ${index}.txt`, `content ${index}`]);
  return {
    stdout: 'out',
    stderr: '',
    exitCode: '0',
    'outputs/large.bin': randomBytes(6_500_000),
    'outputs/deep/er/ü +%.txt': randomBytes(10).toString('hex'),
    'outputs/empty': null,
    'outputs/link': { link: 'large.bin' },
    ...Object.fromEntries(many),
  };
}

async function roundTrip(t: TestContext, from: IpfsClient, to: IpfsClient): Promise<void> {
  const folder = await temporaryFolder(t);
  const [source, target] = [join(folder, 'source'), join(folder, 'target')];
  await writeTree(source, someTree());
  const cid = await from.add(source, { signal });
  assert.equal(await from.has(cid, signal), true);
  assert.ok(((await from.size(cid, signal)) ?? 0) > 6_500_000);
  if (to !== from) {
    assert.equal(await to.has(cid, signal), false);
    assert.equal(await to.size(cid, signal), undefined);
  }
  const fetched = await to.get(cid, target, { signal, maxBytes: MAX_BYTES });
  assert.equal(fetched.kind, 'directory');
  assert.deepEqual(await fingerprint(target), await fingerprint(source));
  assert.equal(await to.has(cid, signal), true, 'what was fetched is local now');
}

test('Kubo alone: a folder comes back byte for byte', async (t) => {
  const kubo = await testKubo(t);
  if (kubo !== undefined) await roundTrip(t, kubo.client, kubo.client);
});

test('Kubo: what is added is pinned, links by the hundred are links, and nothing else is left', async (t) => {
  const kubo = await testKubo(t);
  if (kubo === undefined) return;
  const folder = await temporaryFolder(t);
  const links = Array.from({ length: 300 }, (_, index) => [`deep/links/${index}`, { link: `../${index}` }]);
  const tree: Tree = { 'deep/file': randomBytes(16).toString('hex'), ...Object.fromEntries(links) };
  await writeTree(join(folder, 'source'), tree);
  const cid = await kubo.client.add(join(folder, 'source'), { signal });
  await kubo.client.get(cid, join(folder, 'target'), { signal, maxBytes: MAX_BYTES });
  assert.deepEqual(await fingerprint(join(folder, 'target')), await fingerprint(join(folder, 'source')));
  const port = /\/tcp\/(\d+)/.exec(kubo.connect)?.[1] ?? '';
  const ask = async (command: string): Promise<string> => {
    return (await fetch(`http://127.0.0.1:${port}/api/v0/${command}`, { method: 'POST' })).text();
  };
  assert.match(await ask(`pin/ls?arg=${cid}`), /"recursive"/);
  assert.doesNotMatch(await ask('files/ls'), /"bacalhau-/);
});

test('from the embedded node to Kubo', { timeout: 60_000 }, async (t) => {
  const kubo = await testKubo(t);
  if (kubo === undefined) return;
  const node = await swarmNode(t, { peers: [kubo.swarm] });
  await roundTrip(t, node.client, kubo.client);
});

test('from Kubo to the embedded node', { timeout: 60_000 }, async (t) => {
  const kubo = await testKubo(t);
  if (kubo === undefined) return;
  const node = await swarmNode(t, { peers: [kubo.swarm] });
  await roundTrip(t, kubo.client, node.client);
});

test('the same folder has the same CID on both', async (t) => {
  const kubo = await testKubo(t);
  if (kubo === undefined) return;
  const node = await swarmNode(t);
  const folder = await temporaryFolder(t);
  await writeTree(folder, someTree());
  assert.equal(await node.client.add(folder, { signal }), await kubo.client.add(folder, { signal }));
});

test('between two embedded nodes', { timeout: 60_000 }, async (t) => {
  const first = await swarmNode(t);
  const second = await swarmNode(t, { peers: first.host.addresses() });
  await roundTrip(t, first.client, second.client);
  await roundTrip(t, second.client, first.client);
});

test('content that is added while a peer waits for it arrives', { timeout: 60_000 }, async (t) => {
  const first = await swarmNode(t);
  const second = await swarmNode(t, { peers: first.host.addresses() });
  const folder = await temporaryFolder(t);
  const tree = someTree();
  await writeTree(join(folder, 'source'), tree);
  const elsewhere = await swarmNode(t);
  const cid = await elsewhere.client.add(join(folder, 'source'), { signal });
  const waiting = second.client.get(cid, join(folder, 'target'), { signal, maxBytes: MAX_BYTES });
  // The first node has nothing to load bitswap for but this want.
  await first.loaded;
  await first.client.add(join(folder, 'source'), { signal });
  await waiting;
  assert.deepEqual(await fingerprint(join(folder, 'target')), await fingerprint(join(folder, 'source')));
});

test('a single file and a single raw block', { timeout: 60_000 }, async (t) => {
  const kubo = await testKubo(t);
  if (kubo === undefined) return;
  const node = await swarmNode(t, { peers: [kubo.swarm] });
  const folder = await temporaryFolder(t);
  const port = /\/tcp\/(\d+)/.exec(kubo.connect)?.[1] ?? '';
  for (const [query, content] of [
    ['cid-version=0', randomBytes(600_000)],
    ['cid-version=1', randomBytes(100)],
  ] as const) {
    const form = new FormData();
    form.set('file', new Blob([content]));
    const response = await fetch(`http://127.0.0.1:${port}/api/v0/add?${query}`, {
      method: 'POST',
      body: form,
    });
    const { Hash } = (await response.json()) as { Hash: string };
    for (const [name, client] of Object.entries({ kubo: kubo.client, node: node.client })) {
      const into = join(folder, name + query);
      assert.deepEqual(await client.get(Hash, into, { signal, maxBytes: MAX_BYTES }), {
        kind: 'file',
        bytes: content.length,
      });
    }
  }
  const digests = new Set(Object.values(await fingerprint(folder)));
  assert.equal(digests.size, 2, 'both clients fetched the same bytes');
});

test('a CID that nobody has: a clear error in time, and nothing is left', { timeout: 60_000 }, async (t) => {
  const peer = await swarmNode(t);
  const nodes: [name: string, client: IpfsClient, text: RegExp][] = [];
  const connected = await swarmNode(t, { peers: peer.host.addresses(), stallMs: 1000, wantMs: 30_000 });
  nodes.push(['silent peers', connected.client, /nothing was received for 1 s/]);
  const refused = await swarmNode(t, { peers: peer.host.addresses(), stallMs: 30_000, wantMs: 500 });
  nodes.push(['one block too slow', refused.client, /none of 1 connected peer\(s\) sent it in 0\.5 s/]);
  const lonely = await swarmNode(t, { peerMs: 200 });
  nodes.push(['no peers', lonely.client, /has no peer.*--peer.*--ipfs-connect/]);
  const kubo = await testKubo(t, 1000);
  if (kubo !== undefined) nodes.push(['Kubo', kubo.client, /nothing was received for 1 s/]);
  const folder = await temporaryFolder(t);
  for (const [name, client, text] of nodes) {
    await assert.rejects(
      client.get(MISSING_CID, join(folder, 'x'), { signal, maxBytes: MAX_BYTES }),
      (thrown) => {
        assert.ok(thrown instanceof NodeError, `${name}: ${String(thrown)}`);
        assert.equal(thrown.code, 'InputUnavailable', name);
        assert.match(thrown.message, text, name);
        return true;
      },
    );
    assert.deepEqual(await readdir(folder), [], name);
  }
});

test('a size limit ends a transfer between nodes', { timeout: 60_000 }, async (t) => {
  const first = await swarmNode(t);
  const second = await swarmNode(t, { peers: first.host.addresses() });
  const folder = await temporaryFolder(t);
  await writeTree(join(folder, 'source'), { big: randomBytes(5_000_000) });
  const cid = await first.client.add(join(folder, 'source'), { signal });
  await assert.rejects(
    second.client.get(cid, join(folder, 'x'), { signal, maxBytes: 1_000_000 }),
    (thrown) => thrown instanceof NodeError && thrown.code === 'InputTooLarge',
  );
  assert.deepEqual(await readdir(folder), ['source']);
});

test("a peer that goes away in the middle: the caller's abort still works", {
  timeout: 60_000,
}, async (t) => {
  const first = await swarmNode(t);
  const second = await swarmNode(t, { peers: first.host.addresses() });
  const folder = await temporaryFolder(t);
  const controller = new AbortController();
  const waiting = second.client.get(MISSING_CID, join(folder, 'x'), {
    signal: controller.signal,
    maxBytes: 1,
  });
  await first.ipfs.stop();
  await first.host.stop();
  controller.abort(new Error('given up'));
  await assert.rejects(waiting, /given up/);
});

test('the real RPC refuses nothing it should not: ping, and a daemon that is dead', async (t) => {
  const kubo = await testKubo(t);
  if (kubo === undefined) return;
  await kubo.client.ping(signal);
  const dead = createKuboClient({ connect: '/ip4/127.0.0.1/tcp/1', authorization: '' });
  t.after(() => dead.close());
  await assert.rejects(
    dead.ping(signal),
    (thrown) => thrown instanceof NodeError && thrown.code === 'InputUnavailable',
  );
});
