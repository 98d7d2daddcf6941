import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readlink } from 'node:fs/promises';
import { walk } from '../../files/pack.ts';

/** A folder as the multipart body of Kubo's `add`. */
export interface FolderUpload {
  readonly contentType: string;
  readonly body: AsyncIterable<Uint8Array>;
  /** Name of the folder in Kubo's answer. */
  readonly root: string;
}

const ROOT = 'results';
const READ_BYTES = 1 << 18;

/**
 * Streams a folder, depth first, in the form of Kubo's `add`: one part each, named by its percent-encoded path,
 * its kind told by the content type.
 */
export function uploadFolder(directory: string): FolderUpload {
  const boundary = randomUUID();
  return {
    contentType: `multipart/form-data; boundary=${boundary}`,
    body: parts(directory, boundary),
    root: ROOT,
  };
}

async function* parts(directory: string, boundary: string): AsyncGenerator<Uint8Array> {
  yield head(boundary, ROOT, 'application/x-directory');
  for await (const entry of walk(directory)) {
    const name = `${ROOT}/${entry.name}`;
    switch (entry.kind) {
      case 'directory':
        yield head(boundary, name, 'application/x-directory');
        break;
      case 'symlink':
        yield head(boundary, name, 'application/symlink');
        yield Buffer.from(await readlink(entry.path));
        break;
      case 'file':
        yield head(boundary, name, 'application/octet-stream');
        yield* createReadStream(entry.path, { highWaterMark: READ_BYTES }) as AsyncIterable<Uint8Array>;
        break;
    }
    yield Buffer.from('\r\n');
  }
  yield Buffer.from(`--${boundary}--\r\n`);
}

function head(boundary: string, path: string, type: string): Uint8Array {
  const name = encodeURIComponent(path);
  const end = path === ROOT ? '\r\n' : '';
  return Buffer.from(
    `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\nContent-Type: ${type}\r\n\r\n${end}`,
  );
}
