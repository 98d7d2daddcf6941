import { join } from 'node:path';
import type { IpfsClient } from '../ipfs/client.ts';
import { textParam } from './params.ts';
import type { Storage } from './storage.ts';
import { inNewFolder } from './workspace.ts';

/** Inputs on IPFS, files and folders, by `Params.CID`. */
export function createIpfsStorage(modules: { readonly client: IpfsClient }): Storage {
  const { client } = modules;
  return {
    type: 'ipfs',
    hasLocally: async (input, signal) => client.has(textParam(input, 'CID'), signal),
    size: async (input, signal) => client.size(textParam(input, 'CID'), signal),
    prepare: (input, context) =>
      inNewFolder(context, 'ipfs', async (folder) => {
        const path = join(folder, 'content');
        const { bytes } = await client.get(textParam(input, 'CID'), path, {
          signal: context.signal,
          maxBytes: context.maxBytes,
        });
        return { path, target: input.Target, alias: input.Alias, readOnly: true, bytes };
      }),
  };
}
