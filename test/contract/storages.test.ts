import { createServer } from 'node:http';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { NodeError } from '../../src/core/errors.ts';
import { packDirectory } from '../../src/files/pack.ts';
import { createEmbeddedClient } from '../../src/ipfs/embedded/client.ts';
import { createInlineStorage } from '../../src/storages/inline.ts';
import { createIpfsStorage } from '../../src/storages/ipfs.ts';
import { createLocalDirectoryStorage } from '../../src/storages/local-directory.ts';
import { createUrlStorage } from '../../src/storages/url-download.ts';
import { type Tree, temporaryFolder, writeTree } from '../support/folders.ts';
import { NO_KUBO, testKubo } from '../support/kubo.ts';
import { inputSource } from '../support/publishing.ts';
import { storageContract } from './storage.ts';

const MISSING_CID = 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi';

async function written(t: TestContext, tree: Tree): Promise<string> {
  const folder = join(await temporaryFolder(t), 'source');
  await writeTree(folder, tree);
  return folder;
}

storageContract('inline, tar.gz', (t) =>
  Promise.resolve({
    storage: createInlineStorage(),
    offer: async (tree) => {
      const archive = packDirectory(await written(t, tree), new AbortController().signal);
      const tar = await buffer(archive as AsyncIterable<unknown> as AsyncIterable<Uint8Array>);
      return inputSource('inline', {
        URL: `data:application/gzip;base64,${gzipSync(tar).toString('base64')}`,
      });
    },
    missing: inputSource('inline', { URL: 'data:application/gzip;base64,AAAA' }),
    local: true,
    fetches: true,
    folders: true,
  }),
);

storageContract('inline, one file', () =>
  Promise.resolve({
    storage: createInlineStorage(),
    offer: (tree) => {
      const [content = ''] = Object.values(tree);
      const bytes = Buffer.from(content as Uint8Array);
      return Promise.resolve(inputSource('inline', { URL: `data:;base64,${bytes.toString('base64')}` }));
    },
    missing: inputSource('inline', { URL: 'file:///etc/passwd' }),
    local: true,
    fetches: true,
    folders: false,
  }),
);

storageContract('localDirectory', async (t) => {
  const root = await temporaryFolder(t);
  let count = 0;
  return {
    storage: createLocalDirectoryStorage({ allowList: [`${root}/**`] }),
    offer: async (tree) => {
      const folder = join(root, String((count += 1)));
      await writeTree(folder, tree);
      return inputSource('localDirectory', { SourcePath: folder });
    },
    missing: inputSource('localDirectory', { SourcePath: join(root, 'nothing') }),
    local: true,
    fetches: false,
    folders: true,
  };
});

storageContract('urlDownload', async (t) => {
  const files = new Map<string, Uint8Array>();
  const server = createServer((request, response) => {
    const content = files.get(request.url ?? '');
    if (content === undefined) response.writeHead(404).end();
    else response.end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const base = `http://127.0.0.1:${port}`;
  return {
    storage: createUrlStorage({ allowList: [`127.0.0.1:${port}`], stallMs: 5000, retries: 0 }),
    offer: (tree) => {
      const [[name, content] = ['x', '']] = Object.entries(tree);
      files.set(`/${name}`, Buffer.from(content as Uint8Array));
      return Promise.resolve(inputSource('urlDownload', { URL: `${base}/${name}` }));
    },
    missing: inputSource('urlDownload', { URL: `${base}/missing` }),
    local: false,
    fetches: true,
    folders: false,
  };
});

storageContract('ipfs, embedded', async (t) => {
  const ask = (): Promise<never> =>
    Promise.reject(new NodeError('InputUnavailable', 'the embedded IPFS node has no peer'));
  const client = createEmbeddedClient({ blocksDirectory: await temporaryFolder(t) }, { ask });
  return {
    storage: createIpfsStorage({ client }),
    offer: async (tree) => {
      const CID = await client.add(await written(t, tree), { signal: new AbortController().signal });
      return inputSource('ipfs', { CID });
    },
    missing: inputSource('ipfs', { CID: MISSING_CID }),
    local: true,
    fetches: true,
    folders: true,
  };
});

storageContract('ipfs, Kubo', async (t) => {
  const kubo = await testKubo(t, 1000);
  if (kubo === undefined) return { skip: NO_KUBO };
  return {
    storage: createIpfsStorage({ client: kubo.client }),
    offer: async (tree) => {
      const CID = await kubo.client.add(await written(t, tree), { signal: new AbortController().signal });
      return inputSource('ipfs', { CID });
    },
    missing: inputSource('ipfs', { CID: MISSING_CID }),
    local: true,
    fetches: true,
    folders: true,
  };
});
