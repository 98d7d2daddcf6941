import type { IpfsClient, IpfsOptions } from './client.ts';
import type { AskForBlock } from './embedded/fetch.ts';

/**
 * The client of the node that `options.connect` names: Kubo, or the embedded node when it is "".
 * Only the one in use is imported.
 * @throws NodeError ConfigInvalid for a malformed address
 */
export async function createIpfsClient(options: IpfsOptions, ask: AskForBlock): Promise<IpfsClient> {
  if (options.connect === '') {
    const { createEmbeddedClient } = await import('./embedded/client.ts');
    return createEmbeddedClient({ blocksDirectory: options.blocksDirectory }, { ask });
  }
  const { createKuboClient } = await import('./kubo/client.ts');
  return createKuboClient({ connect: options.connect, authorization: options.authorization });
}
