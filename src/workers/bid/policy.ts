import { DiskView } from '../../capacity/disk-view.ts';
import type { Storage } from '../../storages/storage.ts';
import { type CommandRunner, execProbe } from './probes/exec.ts';
import { httpProbe } from './probes/http.ts';
import { probePayload } from './probes/payload.ts';
import type { BidOptions } from './protocol.ts';
import { availableCapacity } from './strategies/available-capacity.ts';
import { diskRoom } from './strategies/disk-room.ts';
import { imagePlatform, type PlatformLookup } from './strategies/image-platform.ts';
import { engineInstalled, publisherInstalled, storageInstalled } from './strategies/installed.ts';
import { inputLocality } from './strategies/locality.ts';
import { maxCapacity } from './strategies/max-capacity.ts';
import { networking } from './strategies/networking.ts';
import { stateless } from './strategies/stateless.ts';
import { timeout } from './strategies/timeout.ts';
import type { AskedJob, Strategy } from './strategy.ts';
import type { BidTally } from './tally.ts';

/** What strategies look and ask with. */
export interface PolicyModules {
  readonly tally: BidTally;
  readonly find: (type: string) => Promise<Storage | undefined>;
  readonly runner: () => CommandRunner;
  readonly platforms: () => Promise<PlatformLookup>;
}

/** The policy: its strategies in the documented order. Of those that refuse, the first one's reason is told. */
export function createStrategies(options: BidOptions, modules: PolicyModules): readonly Strategy[] {
  const { tally } = modules;
  const payload = oncePerJob((job) => probePayload(job, options));
  return [
    networking({
      acceptNetworked: options.acceptNetworked,
      allowHostNetwork: options.allowHostNetwork,
    }),
    timeout(options),
    stateless(options),
    publisherInstalled,
    storageInstalled,
    engineInstalled,
    inputLocality(options, modules.find),
    ...(options.probeExec === ''
      ? []
      : [
          execProbe(
            { ...options, command: options.probeExec, path: options.probePath },
            { tally, payload, runner: modules.runner },
          ),
        ]),
    ...(options.probeHttp === ''
      ? []
      : [httpProbe({ ...options, url: options.probeHttp }, { tally, payload })]),
    imagePlatform(modules.platforms),
    maxCapacity(options),
    ...(options.ledger === undefined ? [] : [availableCapacity(options.ledger)]),
    ...(options.disk === undefined ? [] : [diskRoom(new DiskView(options.disk))]),
  ];
}

/** Both probes are shown the same bytes. */
function oncePerJob(make: (job: AskedJob) => Uint8Array): (job: AskedJob) => Uint8Array {
  const made = new WeakMap<AskedJob, Uint8Array>();
  return (job) => {
    const known = made.get(job);
    if (known !== undefined) return known;
    const bytes = make(job);
    made.set(job, bytes);
    return bytes;
  };
}
