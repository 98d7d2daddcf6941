import { NodeError } from '../core/errors.ts';
import { fileError } from '../files/tree.ts';
import type { IpfsClient } from '../ipfs/client.ts';
import type { Publisher } from './publisher.ts';

/**
 * Adds results to IPFS and pins them. The result is a CID, made of the results alone, so that publishing
 * twice changes nothing.
 */
export function createIpfsPublisher(modules: { readonly client: IpfsClient }): Publisher {
  return {
    type: 'ipfs',
    async publish({ resultsDirectory, signal }) {
      try {
        const CID = await modules.client.add(resultsDirectory, { signal });
        return { Type: 'ipfs', Params: { CID } };
      } catch (thrown) {
        signal.throwIfAborted();
        throw publishError('ipfs', thrown);
      }
    },
  };
}

/** The error of a failed publication: DiskFull and PublishFailed as they are, all else as PublishFailed. */
export function publishError(publisher: string, thrown: unknown): NodeError {
  const known = fileError(thrown, 'PublishFailed');
  if (known instanceof NodeError && (known.code === 'DiskFull' || known.code === 'PublishFailed'))
    return known;
  const text = known instanceof Error ? known.message : String(known);
  return new NodeError('PublishFailed', `publisher ${publisher}: ${text}`, { cause: thrown });
}
