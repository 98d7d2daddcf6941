import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { NodeError } from '../../src/core/errors.ts';
import { untarGzip } from '../../src/files/untar.ts';
import type { IpfsClient } from '../../src/ipfs/client.ts';
import { createEmbeddedClient } from '../../src/ipfs/embedded/client.ts';
import { createIpfsPublisher } from '../../src/publishers/ipfs.ts';
import { createLocalPublisher } from '../../src/publishers/local.ts';
import { temporaryFolder } from '../support/folders.ts';
import { NO_KUBO, testKubo } from '../support/kubo.ts';
import { type PublisherUnderTest, publisherContract } from './publisher.ts';

const signal = new AbortController().signal;

publisherContract('local', async (t) => {
  const directory = join(await temporaryFolder(t), 'archives');
  const url = 'http://192.0.2.1:1234/results';
  return {
    publisher: createLocalPublisher({ directory, url }),
    fetch: async (published, into) => {
      const location = String(published.Params?.['URL']);
      const file = join(directory, location.slice(url.length + 1));
      await untarGzip(createReadStream(file), into, { maxBytes: 1e9, maxEntries: 1000, signal });
    },
  };
});

publisherContract('ipfs, embedded', async (t) => {
  const ask = (): Promise<never> => Promise.reject(new NodeError('InputUnavailable', 'no peer'));
  return ipfs(createEmbeddedClient({ blocksDirectory: await temporaryFolder(t) }, { ask }));
});

publisherContract('ipfs, Kubo', async (t) => {
  const kubo = await testKubo(t, 2000);
  return kubo === undefined ? { skip: NO_KUBO } : ipfs(kubo.client);
});

function ipfs(client: IpfsClient): PublisherUnderTest {
  return {
    publisher: createIpfsPublisher({ client }),
    fetch: async (published, into) => {
      await client.get(String(published.Params?.['CID']), into, { signal, maxBytes: 1e9 });
    },
  };
}
