import type { Storage } from '../../storages/storage.ts';
import { serve } from '../entry.ts';
import type { Question, WorkBatch } from '../protocol.ts';
import { Bidder } from './bid.ts';
import type { BidInput, BidOptions, BidOutput, Offer } from './protocol.ts';

type Ask = (question: Question, signal?: AbortSignal) => Promise<unknown>;

/** Thread of the bid pool. Storages are loaded with the first job that has inputs. */
const run: (batch: WorkBatch<BidInput>) => Promise<void> = serve<BidInput, BidOutput>((given) => {
  const options = given as BidOptions;
  let ask: Ask | undefined;
  let storages: Promise<ReadonlyMap<string, Storage>> | undefined;
  const load = async (): Promise<ReadonlyMap<string, Storage>> => {
    const { createStorages } = await import('../../storages/registry.ts');
    return createStorages(options.storages, (question, signal) => {
      if (ask === undefined) throw new TypeError('storages are used by jobs only');
      return ask(question, signal);
    });
  };
  const bidder = new Bidder(options, { storages: () => (storages ??= load()) });
  return {
    handle: (input, context) => {
      // Any job's `ask` serves: questions are numbered by thread, not by job.
      ask = context.ask;
      return bidder.bid(input, context.signal);
    },
    onLive: (name, value) => {
      if (name === 'offer') bidder.setOffer(value as Offer);
    },
  };
});

export default run;
