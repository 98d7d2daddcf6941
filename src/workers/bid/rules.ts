import { DiskView } from '../../capacity/disk-view.ts';
import type { BidOptions } from './protocol.ts';
import { availableCapacity } from './strategies/available-capacity.ts';
import { diskRoom } from './strategies/disk-room.ts';
import { engineInstalled, publisherInstalled, storageInstalled } from './strategies/installed.ts';
import { maxCapacity } from './strategies/max-capacity.ts';
import { networking } from './strategies/networking.ts';
import { stateless } from './strategies/stateless.ts';
import { timeout } from './strategies/timeout.ts';
import type { QuickStrategy } from './strategy.ts';

/** The strategies that are decided from memory: those in front of the look-ups, and those behind them. */
export interface Rules {
  readonly job: readonly QuickStrategy[];
  readonly room: readonly QuickStrategy[];
}

export function createRules(options: BidOptions): Rules {
  return {
    job: [
      networking({ acceptNetworked: options.acceptNetworked, allowHostNetwork: options.allowHostNetwork }),
      timeout(options),
      stateless(options),
      publisherInstalled,
      storageInstalled,
      engineInstalled,
    ],
    room: [
      maxCapacity(options),
      ...(options.ledger === undefined ? [] : [availableCapacity(options.ledger)]),
      ...(options.disk === undefined ? [] : [diskRoom(new DiskView(options.disk))]),
    ],
  };
}
