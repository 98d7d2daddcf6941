import { open, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { NodeError } from '../core/errors.ts';
import type { InputSource } from '../core/job.ts';

/** Name under which the engine finds the module among the inputs. */
export const ENTRY_MODULE = 'main.wasm';

/** Files up to this size travel as they are, larger ones as a compressed archive. */
const PLAIN_BYTES = 512;
/** Larger ones cannot fit into a request, compressed or not. */
const MOST_BYTES = 256 * 1024 * 1024;

async function archive(name: string, content: Buffer): Promise<Buffer> {
  const { pack } = await import('tar-stream');
  const tar = pack();
  // A fixed time makes equal modules equal archives, so that nodes compile them once.
  tar.entry({ name, mtime: new Date(0) }, content);
  tar.finalize();
  const pieces: Buffer[] = [];
  for await (const piece of tar) pieces.push(piece as Buffer);
  return promisify(gzip)(Buffer.concat(pieces));
}

/**
 * A local file as an inline input of the job.
 * @throws NodeError CommandInvalid
 */
export async function inlineModule(path: string, target: string): Promise<InputSource> {
  let content: Buffer;
  try {
    await using file = await open(path);
    const { size } = await file.stat();
    if (size > MOST_BYTES) throw new NodeError('CommandInvalid', `${path}: larger than ${MOST_BYTES} bytes`);
    content = await readFile(file);
  } catch (cause) {
    if (cause instanceof NodeError) throw cause;
    throw new NodeError(
      'CommandInvalid',
      `cannot read the module ${path}: ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        cause,
      },
    );
  }
  const text = content.subarray(0, 4).toString('latin1');
  if (text !== '\0asm') {
    throw new NodeError(
      'CommandInvalid',
      `${path}: not a WebAssembly module (it does not begin with "\\0asm")`,
    );
  }
  const url =
    content.length <= PLAIN_BYTES
      ? `data:application/wasm;base64,${content.toString('base64')}`
      : `data:application/gzip;base64,${(await archive(basename(path), content)).toString('base64')}`;
  return { Source: { Type: 'inline', Params: { URL: url } }, Alias: '', Target: target };
}
