import { createIpfsClient } from '../ipfs/create.ts';
import type { Question } from '../workers/protocol.ts';
import type { PublishOptions } from '../workers/publish/protocol.ts';
import type { Publisher, PublishRequest } from './publisher.ts';

/** How a thread asks the main thread: `HandlerContext.ask` of workers/entry.ts. */
export type Ask = (question: Question, signal?: AbortSignal) => Promise<unknown>;

/**
 * Every place results can go, by lower-case type: "ipfs", "local", "noop". Cheap to call: an implementation is
 * imported when it is first used.
 */
export function createPublishers(options: PublishOptions, ask: Ask): ReadonlyMap<string, Publisher> {
  const publishers: Publisher[] = [
    lazy('ipfs', async () => {
      const { createIpfsPublisher } = await import('./ipfs.ts');
      const client = await createIpfsClient(
        {
          connect: options.storages.ipfsConnect,
          authorization: options.storages.ipfsAuthorization,
          blocksDirectory: options.storages.ipfsBlocks,
        },
        ask,
      );
      return createIpfsPublisher({ client });
    }),
    lazy('local', async () => {
      const { createLocalPublisher } = await import('./local.ts');
      return createLocalPublisher({ directory: options.archivesDirectory, url: options.archivesUrl });
    }),
    { type: 'noop', publish: () => Promise.resolve({ Type: '' }) },
  ];
  return new Map(publishers.map((publisher) => [publisher.type, publisher] as const));
}

/** A publisher whose code is loaded on first use, once. A failed load is tried again. */
function lazy(type: string, load: () => Promise<Publisher>): Publisher {
  let loading: Promise<Publisher> | undefined;
  const get = (): Promise<Publisher> => {
    loading ??= load().catch((error: unknown) => {
      loading = undefined;
      throw error;
    });
    return loading;
  };
  return { type, publish: async (request: PublishRequest) => (await get()).publish(request) };
}
