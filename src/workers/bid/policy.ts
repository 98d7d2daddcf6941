import type { Storage } from '../../storages/storage.ts';
import { type CommandRunner, execProbe } from './probes/exec.ts';
import { httpProbe } from './probes/http.ts';
import { probePayload } from './probes/payload.ts';
import type { BidOptions } from './protocol.ts';
import { createRules } from './rules.ts';
import { imagePlatform, type PlatformLookup } from './strategies/image-platform.ts';
import { inputLocality } from './strategies/locality.ts';
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
  const rules = createRules(options);
  const payload = oncePerJob((job) => probePayload(job, options));
  return [
    ...rules.job,
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
    ...rules.room,
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
