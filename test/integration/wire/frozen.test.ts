import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startWirePeer } from '../../../bench/support/processes.ts';
import { wireNode } from '../../support/wire.ts';

test('a peer that is frozen is noticed although its sockets are open, and comes back', {
  timeout: 60_000,
}, async (t) => {
  const peer = await startWirePeer(t);
  const id = peer.address.slice(peer.address.lastIndexOf('/') + 1);
  const node = await wireNode(t, { peers: [peer.address], limits: { pingMs: 200, silenceMs: 1000 } });
  await node.linked(id);
  await node.wire.send(id, { type: 'BidAccepted', executionId: 'e-1' });
  process.kill(peer.pid, 'SIGSTOP');
  const sent = node.wire.send(id, { type: 'BidAccepted', executionId: 'e-2' });
  await assert.rejects(sent, /the link to node .* was lost: no sign of life for 1000 ms/);
  await node.unlinked(id);
  assert.deepEqual(node.host.peers(), []);
  process.kill(peer.pid, 'SIGCONT');
  await node.linked(id);
  await node.wire.send(id, { type: 'BidAccepted', executionId: 'e-2' });
});
