import { join } from 'node:path';
import { ARCHIVE_TYPES } from '../core/inline.ts';
import type { InputSource } from '../core/job.ts';
import type { PreparedInput } from '../engines/engine.ts';
import { TreeWriter } from '../files/tree.ts';
import { untarGzip } from '../files/untar.ts';
import { type DataUrl, decodeDataUrl, parseDataUrl } from './data-url.ts';
import { textParam } from './params.ts';
import type { Storage } from './storage.ts';
import { inNewFolder } from './workspace.ts';

/** Files and folders one archive may hold: an inline input is at most as large as a job's body. */
const MAX_ENTRIES = 100_000;

/** Inputs that are part of the job itself: a data: URL with a file, or with a tar.gz that becomes a folder. */
export function createInlineStorage(): Storage {
  return {
    type: 'inline',
    hasLocally: () => Promise.resolve(true),
    size: (input) => Promise.resolve().then(() => parseDataUrl(textParam(input, 'URL')).bytes),
    prepare: (input, context) =>
      inNewFolder(context, 'inline', async (folder) => {
        const url = parseDataUrl(textParam(input, 'URL'));
        const limits = { maxBytes: context.maxBytes, maxEntries: MAX_ENTRIES, signal: context.signal };
        const common = { target: input.Target, alias: input.Alias, readOnly: true };
        if (ARCHIVE_TYPES.has(url.mediaType)) {
          const { bytes } = await untarGzip(pieces(url), folder, limits);
          return { ...common, path: folder, bytes };
        }
        const tree = new TreeWriter(folder, limits);
        await tree.file('content', pieces(url));
        return { ...common, path: join(folder, 'content'), bytes: tree.bytes };
      }),
  };
}

/** The content of an input that is one file, which would be at `path`. @throws NodeError InputInvalid */
export function inlineFile(
  input: InputSource,
  path: string,
): PreparedInput & { readonly content: Uint8Array } {
  const content = Buffer.concat([...decodeDataUrl(parseDataUrl(textParam(input, 'URL')))]);
  return { path, target: input.Target, alias: input.Alias, readOnly: true, content };
}

async function* pieces(url: DataUrl): AsyncGenerator<Uint8Array> {
  yield* decodeDataUrl(url);
}
