import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isLoopback, RateLimiter } from '../../../../src/net/api/rate-limit.ts';

describe('rate limit', () => {
  it('lets a second’s worth through at once, then as much as is earned', () => {
    const limiter = new RateLimiter(10);
    const take = (count: number, at: number): number =>
      Array.from({ length: count }, () => limiter.take('192.0.2.1', at)).filter(Boolean).length;
    assert.equal(take(15, 0), 10);
    assert.equal(take(5, 100), 1);
    assert.equal(take(5, 400), 3);
    assert.equal(take(50, 60_000), 10);
    assert.equal(limiter.take('192.0.2.2', 60_000), true);
  });

  it('never limits this machine, or anybody at 0', () => {
    const limiter = new RateLimiter(1);
    for (const address of ['127.0.0.1', '127.8.8.8', '::1', '::ffff:127.0.0.1']) {
      assert.equal(isLoopback(address), true);
      for (let turn = 0; turn < 5; turn += 1) assert.equal(limiter.take(address, 0), true);
    }
    assert.equal(isLoopback('192.0.2.1'), false);
    const open = new RateLimiter(0);
    for (let turn = 0; turn < 5; turn += 1) assert.equal(open.take('192.0.2.1', 0), true);
  });

  it('does not grow with the number of addresses', () => {
    const limiter = new RateLimiter(1);
    for (let address = 0; address < 50_000; address += 1) limiter.take(`192.0.${address}`, 0);
    // The last one is still remembered.
    assert.equal(limiter.take('192.0.49999', 0), false);
    assert.equal(limiter.take('192.0.0', 0), true);
  });
});
