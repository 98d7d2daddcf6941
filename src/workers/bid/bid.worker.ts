import type { Storage } from '../../storages/storage.ts';
import { Helper } from '../../subprocess/helper.ts';
import { type HandlerContext, serve } from '../entry.ts';
import type { WorkBatch } from '../protocol.ts';
import { Bidder } from './bid.ts';
import {
  type BidInput,
  type BidOptions,
  type BidOutput,
  type BidPolicy,
  MAX_PROBES,
  type Offer,
} from './protocol.ts';
import type { PlatformLookup } from './strategies/image-platform.ts';

type Context = HandlerContext<never>;

/**
 * Thread of the bid pool. Storages are loaded with the first job that has inputs; exec probes run through a helper
 * process of this thread, so that neither the daemon's loop nor its memory is in their way.
 */
const run: (batch: WorkBatch<BidInput>) => Promise<unknown> = serve<BidInput, BidOutput>((given) => {
  const options = given as BidOptions;
  // Any job's context serves: questions are numbered by thread, not by job, and logs name no job.
  let context: Context | undefined;
  let storages: Promise<ReadonlyMap<string, Storage>> | undefined;
  let helper: Helper | undefined;
  let platforms: Promise<PlatformLookup> | undefined;

  const load = async (): Promise<ReadonlyMap<string, Storage>> => {
    const { createStorages } = await import('../../storages/registry.ts');
    return createStorages(options.storages, (question, signal) => {
      if (context === undefined) throw new TypeError('storages are used by jobs only');
      return context.ask(question, signal);
    });
  };
  const log =
    (level: 'warn' | 'error') =>
    (fields: Readonly<Record<string, unknown>>, text: string): void => {
      const shown = Object.entries(fields).map(([key, value]) => [key, String(value)] as const);
      context?.log(level, text, Object.fromEntries(shown));
    };
  // Probes are limited by their own places, so that none ever waits in the helper.
  const runner = (): Helper =>
    (helper ??= new Helper(
      { env: { PATH: options.probePath }, running: MAX_PROBES },
      { logger: { warn: log('warn'), error: log('error') } },
    ));
  const { docker } = options;
  const findPlatforms = async (): Promise<PlatformLookup> => {
    const { ImagePlatforms } = await import('../../engines/docker/image-platforms.ts');
    return new ImagePlatforms({
      dockerHost: docker.host,
      dockerUsername: docker.username,
      dockerPassword: docker.password,
    });
  };
  const bidder = new Bidder(options, {
    storages: () => (storages ??= load()),
    runner,
    platforms: () => (platforms ??= findPlatforms()),
  });
  // Started before a job needs it: the first probe does not wait for a process to come up.
  if (options.probeExec !== '') runner().warm();
  return {
    handle: (input, itemContext) => {
      context = itemContext;
      return bidder.bid(input, itemContext);
    },
    onLive: (name, value) => {
      if (name === 'offer') bidder.setOffer(value as Offer);
      if (name !== 'policy') return;
      const policy = value as BidPolicy;
      bidder.setPolicy(policy);
      if (policy.probeExec !== '') runner().warm();
    },
  };
});

export default run;
