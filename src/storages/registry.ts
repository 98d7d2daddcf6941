import type { InputSource } from '../core/job.ts';
import type { IpfsClient } from '../ipfs/client.ts';
import { createIpfsClient } from '../ipfs/create.ts';
import type { StorageOptions } from '../workers/bid/protocol.ts';
import type { Question } from '../workers/protocol.ts';
import type { PrepareContext, Storage } from './storage.ts';

/** How a thread asks the main thread: `HandlerContext.ask` of workers/entry.ts. */
export type Ask = (question: Question, signal?: AbortSignal) => Promise<unknown>;

/**
 * Every kind of input a node can bring to a job, by lower-case type; "local" is v1.9's other name of
 * "localdirectory". Cheap to call: an implementation is imported when it is first used.
 */
export function createStorages(options: StorageOptions, ask: Ask): ReadonlyMap<string, Storage> {
  let ipfs: Promise<IpfsClient> | undefined;
  const client = (): Promise<IpfsClient> => {
    ipfs ??= createIpfsClient(
      {
        connect: options.ipfsConnect,
        authorization: options.ipfsAuthorization,
        blocksDirectory: options.ipfsBlocks,
      },
      ask,
    );
    return ipfs;
  };
  const local = lazy('localdirectory', async () => {
    const { createLocalDirectoryStorage } = await import('./local-directory.ts');
    return createLocalDirectoryStorage({ allowList: options.allowListedLocalPaths });
  });
  const storages: Storage[] = [
    lazy('inline', async () => (await import('./inline.ts')).createInlineStorage()),
    lazy('ipfs', async () => (await import('./ipfs.ts')).createIpfsStorage({ client: await client() })),
    lazy('urldownload', async () => {
      const { createUrlStorage } = await import('./url-download.ts');
      return createUrlStorage({
        allowList: options.urlAllowList,
        stallMs: options.urlTimeoutMs,
        retries: options.urlRetries,
      });
    }),
    local,
  ];
  return new Map([
    ...storages.map((storage) => [storage.type, storage] as const),
    ['local', { ...local, type: 'local' }],
  ]);
}

/** A storage whose code is loaded on first use, once. A failed load is tried again. */
function lazy(type: string, load: () => Promise<Storage>): Storage {
  let loading: Promise<Storage> | undefined;
  const get = (): Promise<Storage> => {
    loading ??= load().catch((error: unknown) => {
      loading = undefined;
      throw error;
    });
    return loading;
  };
  return {
    type,
    hasLocally: async (input: InputSource, signal: AbortSignal) => (await get()).hasLocally(input, signal),
    size: async (input: InputSource, signal: AbortSignal) => (await get()).size(input, signal),
    prepare: async (input: InputSource, context: PrepareContext) => (await get()).prepare(input, context),
  };
}
