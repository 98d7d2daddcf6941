import { createWriteStream } from 'node:fs';
import { appendFile, lstat, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { NodeError } from '../core/errors.ts';
import { untar } from '../files/untar.ts';
import type { ApiClient } from './client.ts';
import type { CliContext } from './context.ts';
import { size } from './format.ts';
import { Spinner } from './spinner.ts';
import { type Wire, wire, wireText } from './wire.ts';

/** Most that a download may unpack to, and how many files it may hold. */
const MOST_BYTES = 1024 ** 4;
const MOST_ENTRIES = 1_000_000;
/** Streams of several executions are put one after another; other files must not collide. */
const STREAMS = new Set(['stdout', 'stderr', 'exitCode']);

/** One downloadable result of a job. */
export interface ResultSource {
  /** URL, or a path of the node. */
  readonly url: string;
  /** What people call it: the URL without its query, or the CID. */
  readonly label: string;
  readonly archive: boolean;
}

/** Where a result is fetched from; undefined where this program has no way to. */
export function resultSource(result: Wire): ResultSource | undefined {
  const params = wire(result['Params']);
  const param = (name: string): string => {
    const key = Object.keys(params).find((candidate) => candidate.toLowerCase() === name);
    return key === undefined ? '' : wireText(params[key]);
  };
  switch (wireText(result['Type']).toLowerCase()) {
    case 'urldownload':
    case 's3presigned': {
      const url = param('url') || param('presignedurl');
      if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) return undefined;
      const { origin, pathname } = new URL(url);
      return { url, label: `${origin}${pathname}`, archive: /\.(?:tar\.gz|tgz)$/i.test(pathname) };
    }
    case 'ipfs': {
      const cid = param('cid');
      if (cid === '') return undefined;
      return { url: `/ipfs/${encodeURIComponent(cid)}.tar.gz`, label: `ipfs://${cid}`, archive: true };
    }
    default:
      return undefined;
  }
}

/** What a download is made with. */
export interface DownloadModules {
  readonly context: CliContext;
  readonly client: ApiClient;
}

export interface DownloadOptions {
  /** Absolute; exists. */
  readonly directory: string;
  /** Only this file or folder of the results; "" for all. */
  readonly path: string;
  /** Keep the archives as they are. */
  readonly raw: boolean;
  readonly signal: AbortSignal;
}

/** Body of a response with its progress on the terminal. */
async function* counted(response: Response, label: string, context: CliContext): AsyncGenerator<Uint8Array> {
  const spinner = new Spinner(context);
  const total = Number(response.headers.get('content-length') ?? '0');
  let done = 0;
  try {
    for await (const chunk of response.body ?? []) {
      done += chunk.byteLength;
      spinner.show(`${label}: ${size(done)}${total > 0 ? ` of ${size(total)}` : ''}`);
      yield chunk;
    }
  } finally {
    spinner.hide();
  }
  if (total > 0 && done !== total && response.headers.get('content-encoding') === null) {
    throw new NodeError('DownloadFailed', `${label}: ended after ${done} of ${total} bytes`);
  }
  context.stderr.write(`Downloaded ${label} (${size(done)})\n`);
}

function clean(path: string): string {
  return path.replace(/^\.?\/+/, '').replace(/\/+$/, '');
}

async function fetchInto(
  source: ResultSource,
  scratch: string,
  modules: DownloadModules,
  options: DownloadOptions,
): Promise<void> {
  const { context, client } = modules;
  const response = await client.download(source.url, options.signal);
  const body = counted(response, source.label, context);
  if (!source.archive || options.raw) {
    const name = basename(new URL(source.url, 'http://node').pathname) || 'result';
    await pipeline(
      Readable.from(body),
      createWriteStream(join(scratch, decodeURIComponent(name).replaceAll('/', '_'))),
      {
        signal: options.signal,
      },
    );
    return;
  }
  const gunzip = createGunzip();
  const feeding = pipeline(Readable.from(body), gunzip, { signal: options.signal });
  feeding.catch(() => undefined);
  const wanted = clean(options.path);
  const keep = (name: string): string | undefined => {
    const entry = clean(name);
    return wanted === '' || entry === wanted || entry.startsWith(`${wanted}/`) ? name : undefined;
  };
  const limits = { maxBytes: MOST_BYTES, maxEntries: MOST_ENTRIES, signal: options.signal };
  try {
    await untar(gunzip, scratch, limits, keep);
    await feeding;
  } catch (thrown) {
    options.signal.throwIfAborted();
    // A broken transfer shows in both streams; its own error says more than the cut archive's.
    await feeding;
    throw thrown;
  }
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

/** Moves what was fetched to where it belongs. @throws NodeError DownloadFailed when a file is there already */
async function merge(from: string, to: string, top: boolean): Promise<void> {
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const source = join(from, entry.name);
    const target = join(to, entry.name);
    if (!(await exists(target))) await rename(source, target);
    else if (entry.isDirectory() && (await lstat(target)).isDirectory()) await merge(source, target, false);
    else if (top && STREAMS.has(entry.name)) await appendFile(target, await readFile(source));
    else
      throw new NodeError(
        'DownloadFailed',
        `${target} is there already; use --output-dir, or --raw to keep results apart`,
      );
  }
}

/**
 * Downloads results and puts them together in one folder.
 * @returns how many results held something
 * @throws NodeError NodeUnreachable, DownloadFailed, InputInvalid for an archive that is none
 */
export async function downloadResults(
  sources: readonly ResultSource[],
  modules: DownloadModules,
  options: DownloadOptions,
): Promise<number> {
  const scratch = await mkdtemp(join(options.directory, '.raw-'));
  let found = 0;
  try {
    for (const [index, source] of sources.entries()) {
      const own = join(scratch, String(index));
      await mkdir(own);
      await fetchInto(source, own, modules, options);
      if ((await readdir(own)).length > 0) found += 1;
      await merge(own, options.directory, true);
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return found;
}
