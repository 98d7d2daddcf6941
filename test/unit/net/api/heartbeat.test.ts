import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Heartbeat } from '../../../../src/net/api/heartbeat.ts';

test('a peer that answers pings stays, one that answers none is gone after an interval', () => {
  const heartbeat = new Heartbeat();
  for (let interval = 0; interval < 3; interval += 1) {
    assert.equal(heartbeat.next(0), 'ping');
    heartbeat.alive();
  }
  assert.equal(heartbeat.next(0), 'ping');
  assert.equal(heartbeat.next(0), 'gone');
});

test('a slow peer is not pinged: it stays as long as it takes some of what waits', () => {
  const heartbeat = new Heartbeat();
  for (let interval = 0; interval < 3; interval += 1) {
    assert.equal(heartbeat.next(1000), 'wait');
    heartbeat.alive();
  }
  assert.equal(heartbeat.next(1000), 'wait');
  assert.equal(heartbeat.next(1000), 'gone');
});
