import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { generateKeyPair, privateKeyToProtobuf } from '@libp2p/crypto/keys';
import { NodeError } from '../../../../src/core/errors.ts';
import { createCrowd } from '../../../../src/net/p2p/crowd.ts';
import { createHost, type HostOptions, type P2pHost } from '../../../../src/net/p2p/host.ts';
import { defaultHostLimits, hostLimitsFor } from '../../../../src/net/p2p/host-limits.ts';
import { loadIdentity } from '../../../../src/net/p2p/identity.ts';
import { parsePeers } from '../../../../src/net/p2p/peering.ts';
import { createLogger } from '../../../../src/telemetry/logger.ts';
import { temporaryFolder } from '../../../support/folders.ts';

const logger = createLogger({ level: 'silent', mode: 'json', colour: false });

async function hostWith(t: TestContext, options: Partial<HostOptions> = {}): Promise<P2pHost> {
  const { privateKey } = await loadIdentity(await temporaryFolder(t));
  const host = await createHost(
    { privateKey, host: '127.0.0.1', port: 0, peers: [], ...options },
    { logger },
  );
  t.after(() => host.stop());
  return host;
}

function connected(host: P2pHost, peer: string): Promise<void> {
  if (host.peers().includes(peer)) return Promise.resolve();
  return new Promise((resolve) => {
    const end = host.onPeerConnect((id) => {
      if (id !== peer) return;
      end();
      resolve();
    });
  });
}

function disconnected(host: P2pHost, peer: string): Promise<void> {
  return new Promise((resolve) => {
    const end = host.onPeerDisconnect((id) => {
      if (id !== peer) return;
      end();
      resolve();
    });
  });
}

test('a configured peer is connected, and again after it comes back', { timeout: 30_000 }, async (t) => {
  const { privateKey } = await loadIdentity(await temporaryFolder(t));
  const first = await hostWith(t, { privateKey });
  await first.start();
  const [address = ''] = first.addresses();
  const port = Number(/\/tcp\/(\d+)/.exec(address)?.[1]);
  const dialler = await hostWith(t, { peers: [address] });
  await dialler.start();
  await connected(dialler, first.peerId);

  const lost = disconnected(dialler, first.peerId);
  await first.stop();
  await lost;
  assert.deepEqual(dialler.peers(), []);
  const again = await hostWith(t, { privateKey, port });
  await again.start();
  assert.equal(again.peerId, first.peerId);
  await connected(dialler, again.peerId);
});

test('a node with an RSA key, as Bacalhau makes them, speaks with one that has Ed25519', {
  timeout: 30_000,
}, async (t) => {
  const rsa = await hostWith(t, { privateKey: privateKeyToProtobuf(await generateKeyPair('RSA', 2048)) });
  await rsa.start();
  assert.match(rsa.peerId, /^Qm/);
  const other = await hostWith(t, { peers: rsa.addresses() });
  await other.start();
  await connected(other, rsa.peerId);
});

test('strangers make room when most connections are taken; kept peers and young ones stay', {
  timeout: 30_000,
}, async (t) => {
  const host = await hostWith(t, { limits: { ...defaultHostLimits(), maxConnections: 10 } });
  // The same rule without the time that strangers have.
  const { keep } = createCrowd({ most: 5, graceMs: 0 }, host.libp2p);
  await host.start();
  const peers: P2pHost[] = [];
  const join = async (): Promise<void> => {
    const peer = await hostWith(t, { peers: host.addresses() });
    peers.push(peer);
    await peer.start();
    await connected(host, peer.peerId);
  };
  await join();
  keep(peers[0]?.peerId ?? '');
  for (let count = 1; count < 4; count += 1) await join();
  assert.equal(host.peers().length, 4);
  const first = disconnected(host, peers[1]?.peerId ?? '');
  await join();
  await first;
  assert.ok(host.peers().includes(peers[0]?.peerId ?? ''), 'it is kept, and is the oldest');
});

test('a barred peer is disconnected and stays away until its time has come', {
  timeout: 30_000,
}, async (t) => {
  const host = await hostWith(t);
  await host.start();
  const peer = await hostWith(t, { peers: host.addresses() });
  await peer.start();
  await connected(host, peer.peerId);
  const gone = disconnected(host, peer.peerId);
  host.bar(peer.peerId, Date.now() + 1500);
  await gone;
  // Its peering dials again and again.
  await connected(host, peer.peerId);
});

test('a peer that is not there does not hold the start or the stop', { timeout: 10_000 }, async (t) => {
  const host = await hostWith(t, { peers: ['/ip4/127.0.0.1/tcp/1', '/dns4/nowhere.invalid/tcp/1'] });
  await host.start();
  await host.stop();
  await host.stop();
});

test('a port in use is named', async (t) => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const host = await hostWith(t, { port });
  await assert.rejects(
    host.start(),
    (thrown) =>
      thrown instanceof NodeError &&
      thrown.code === 'PortInUse' &&
      thrown.message.includes(`127.0.0.1:${port}`),
  );
});

test('addresses: what can be dialled, with the peer id', async (t) => {
  const host = await hostWith(t, { host: 'localhost' });
  await host.start();
  assert.ok(host.addresses().length > 0);
  assert.ok(host.addresses().every((address) => address.endsWith(`/p2p/${host.peerId}`)));
});

test('malformed peers are an error at start', () => {
  for (const text of [
    'localhost:1235',
    '/ip4/1.2.3.4',
    '/ip4/1.2.3.4/udp/1/quic-v1',
    '/ip4/x/tcp/1',
    '/tcp/1',
    '/ip4/1.2.3.4/tcp/1/ws',
    '/ip4/1.2.3.4/tcp/1235/p2p/nonsense',
  ]) {
    assert.throws(
      () => parsePeers([text]),
      (thrown) =>
        thrown instanceof NodeError && thrown.code === 'ConfigInvalid' && thrown.message.includes(text),
      text,
    );
  }
});

test('peers may come as one list or many, and as none', () => {
  const one = '/ip4/1.2.3.4/tcp/1235/p2p/12D3KooWBAvMfgDPT8YioMGafjHfCvia9e4cuaDM5txSMGEhrtjL';
  const two = '/dns4/node.example.org/tcp/1235';
  const texts = (peers: readonly string[]): string[] => parsePeers(peers).map((peer) => peer.toString());
  assert.deepEqual(texts([`${one}, ${two}`]), [one, two]);
  assert.deepEqual(texts([one, two]), [one, two]);
  assert.deepEqual(texts(['none']), []);
  assert.deepEqual(texts(['', ' ']), []);
});

test('connections are as many as the memory allows', () => {
  const gib = 1024 ** 3;
  assert.deepEqual(
    [0.1, 1, 4, 8, 64].map((memory) => hostLimitsFor(memory * gib).maxConnections),
    [113, 113, 455, 910, 910],
  );
});
