import { Bidder } from './bid.ts';
import type { BidOptions, QuickBidder } from './protocol.ts';

/** The policy for a thread that must not wait: it decides what needs no look-up, and leaves the rest to a bid thread. */
export function createQuickBidder(options: BidOptions): QuickBidder {
  const nothing = (): never => {
    throw new TypeError('a quick bidder looks nothing up');
  };
  return new Bidder(options, { storages: nothing, runner: nothing, platforms: nothing });
}
