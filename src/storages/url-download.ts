import { lookup } from 'node:dns/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { NodeError } from '../core/errors.ts';
import { TreeWriter } from '../files/tree.ts';
import { createAddressGuard, type Resolve } from './address-guard.ts';
import { downloadName } from './download-name.ts';
import { textParam } from './params.ts';
import type { PrepareContext, Storage } from './storage.ts';
import { openUrl, PassingFailure } from './url-request.ts';
import { inNewFolder } from './workspace.ts';

/** Settings of downloads. */
export interface UrlStorageOptions {
  /** Hosts, "host:port" or CIDRs that may be reached although they are not public. */
  readonly allowList: readonly string[];
  /** Longest silence of a server, in milliseconds. The whole download has no limit but the job's. */
  readonly stallMs: number;
  /** Attempts after the first one. */
  readonly retries: number;
}

/** What tests replace. */
export interface UrlStorageModules {
  readonly resolve: Resolve;
  /** Milliseconds before the attempt that follows `failures` failed ones. */
  readonly backoffMs: (failures: number) => number;
}

const defaults: UrlStorageModules = {
  resolve: (hostname) => lookup(hostname, { all: true }),
  backoffMs: (failures) => Math.min(10_000, 250 * 2 ** failures) * (0.5 + Math.random()),
};

/** Files on web servers, by `Params.URL`, http and https only. A file appears at Target/<its name>. */
export function createUrlStorage(options: UrlStorageOptions, modules: UrlStorageModules = defaults): Storage {
  const guard = createAddressGuard(options.allowList, modules.resolve);

  const attempt = async (url: URL, folder: string, context: PrepareContext): Promise<number> => {
    const response = await openUrl(url, { stallMs: options.stallMs, signal: context.signal }, { guard });
    try {
      if (response.length !== undefined && response.length > context.maxBytes) {
        throw new NodeError(
          'InputTooLarge',
          `urlDownload: ${response.shown} has ${response.length} bytes, more than the ${context.maxBytes} that are allowed`,
        );
      }
      const tree = new TreeWriter(folder, {
        maxBytes: context.maxBytes,
        maxEntries: 1,
        signal: context.signal,
      });
      await tree.file(downloadName(response), response.body);
      return tree.bytes;
    } finally {
      await response.close();
    }
  };

  const download = async (url: URL, folder: string, context: PrepareContext): Promise<number> => {
    for (let failures = 0; ; failures += 1) {
      try {
        return await attempt(url, folder, context);
      } catch (thrown) {
        const again = thrown instanceof PassingFailure;
        if (!again || failures >= options.retries || context.signal.aborted) throw thrown;
        await sleep(modules.backoffMs(failures), undefined, { signal: context.signal });
      }
    }
  };

  return {
    type: 'urldownload',
    hasLocally: () => Promise.resolve(false),
    // Telling it would mean asking the server while the node bids.
    size: () => Promise.resolve(undefined),
    prepare: (input, context) =>
      inNewFolder(context, 'url', async (folder) => {
        const url = parseUrl(textParam(input, 'URL'));
        const bytes = await download(url, folder, context);
        return { path: folder, target: input.Target, alias: input.Alias, readOnly: true, bytes };
      }),
  };
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new NodeError(
      'InputInvalid',
      `urlDownload: expected an http or https URL, got ${text.slice(0, 200)}`,
    );
  }
  return url;
}
