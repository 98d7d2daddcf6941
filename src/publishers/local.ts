import { createWriteStream } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { NodeError } from '../core/errors.ts';
import { PARTIAL_SUFFIX } from '../core/item.ts';
import { packDirectory } from '../files/pack.ts';
import { publishError } from './ipfs.ts';
import type { Publisher } from './publisher.ts';

/** Where archives are kept and served. */
export interface LocalPublisherOptions {
  /** Absolute folder; made when it is not there. */
  readonly directory: string;
  /** What the folder is reached as by HTTP; no trailing slash. */
  readonly url: string;
}

/** Fast rather than small: results are downloaded once or twice. */
const GZIP_LEVEL = 3;
const SAFE_ID = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/**
 * Keeps results on this node, as `<execution id>.tar.gz` in a folder that the API serves. An archive appears
 * whole or not at all, and a second publication of the same execution replaces it.
 */
export function createLocalPublisher(options: LocalPublisherOptions): Publisher {
  return {
    type: 'local',
    async publish({ header, resultsDirectory, signal }) {
      const { executionId } = header;
      if (!SAFE_ID.test(executionId)) {
        throw new NodeError('PublishFailed', `publisher local: ${executionId} cannot be a file name`);
      }
      const name = `${executionId}.tar.gz`;
      const temporary = join(options.directory, `.${name}${PARTIAL_SUFFIX}`);
      try {
        await mkdir(options.directory, { recursive: true });
        await pipeline(
          packDirectory(resultsDirectory, signal),
          createGzip({ level: GZIP_LEVEL }),
          createWriteStream(temporary, { mode: 0o644 }),
          { signal },
        );
        await sync(temporary);
        await rename(temporary, join(options.directory, name));
      } catch (thrown) {
        await rm(temporary, { force: true });
        signal.throwIfAborted();
        throw publishError('local', thrown);
      }
      return { Type: 'urlDownload', Params: { URL: `${options.url}/${name}` } };
    },
  };
}

/** Puts a file's bytes on the disk before its name appears: the job's terminal state will point to it. */
async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.datasync();
  } finally {
    await handle.close();
  }
}
