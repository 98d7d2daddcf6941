import type { LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { Agent, type Dispatcher, request } from 'undici';
import { NodeError } from '../core/errors.ts';
import { systemCode } from '../files/tree.ts';
import type { AddressGuard } from './address-guard.ts';

const MAX_REDIRECTS = 10;
const CONNECT_TIMEOUT_MS = 10_000;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** A web server's answer, its body not read yet. */
export interface UrlResponse {
  readonly url: URL;
  readonly redirected: boolean;
  readonly disposition: string;
  /** Content-Length where there is one. */
  readonly length: number | undefined;
  /** The URL for people: without credentials and query. */
  readonly shown: string;
  /** @throws NodeError InputUnavailable when it breaks off or falls silent */
  readonly body: AsyncIterable<Uint8Array>;
  /** Must be called, whether or not the body was read. */
  close(): Promise<void>;
}

/** A failure that another attempt may not meet. */
export class PassingFailure extends NodeError {
  constructor(message: string, cause?: unknown) {
    super('InputUnavailable', message, { cause });
  }
}

/** How long to wait. */
export interface UrlRequestOptions {
  readonly stallMs: number;
  readonly signal: AbortSignal;
}

/**
 * GETs `url`, following redirects. Every hop's addresses are checked by the guard, and the connection is made
 * to the very addresses that were checked, so that a name whose answer changes in between gains nothing.
 * @throws NodeError InputForbidden, InputInvalid, InputUnavailable, PassingFailure
 */
export async function openUrl(
  url: URL,
  options: UrlRequestOptions,
  modules: { readonly guard: AddressGuard },
): Promise<UrlResponse> {
  let current = url;
  let authorization = basicAuthorization(url);
  for (let hops = 0; hops <= MAX_REDIRECTS; hops += 1) {
    const hop = await openHop(current, authorization, options, modules.guard);
    const location = hop.response.headers['location'];
    if (!REDIRECTS.has(hop.response.statusCode) || typeof location !== 'string') {
      return answer(current, hops > 0, hop, options);
    }
    await hop.close();
    const next = URL.canParse(location, current.href) ? new URL(location, current) : undefined;
    if (next === undefined || (next.protocol !== 'http:' && next.protocol !== 'https:')) {
      throw new NodeError(
        'InputForbidden',
        `urlDownload: ${show(current)} redirects to what is not http or https`,
      );
    }
    // Credentials are for the host they were given for, and for it only.
    authorization = basicAuthorization(next) ?? (next.origin === current.origin ? authorization : undefined);
    current = next;
  }
  throw new NodeError(
    'InputUnavailable',
    `urlDownload: ${show(url)} redirects more than ${MAX_REDIRECTS} times`,
  );
}

interface Hop {
  readonly response: Dispatcher.ResponseData;
  close(): Promise<void>;
}

async function openHop(
  url: URL,
  authorization: string | undefined,
  options: UrlRequestOptions,
  guard: AddressGuard,
): Promise<Hop> {
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
  const addresses = await guard.addresses(url.hostname, port);
  const agent = new Agent({
    connections: 1,
    connectTimeout: Math.min(CONNECT_TIMEOUT_MS, options.stallMs),
    headersTimeout: options.stallMs,
    bodyTimeout: options.stallMs,
    connect: { lookup: pinned(addresses) },
  });
  const close = (): Promise<void> => agent.destroy();
  try {
    const response = await request(url, {
      dispatcher: agent,
      signal: options.signal,
      headers: {
        accept: '*/*',
        'accept-encoding': 'identity',
        'user-agent': 'bacalhau',
        ...(authorization === undefined ? {} : { authorization }),
      },
    });
    return { response, close };
  } catch (thrown) {
    await close();
    options.signal.throwIfAborted();
    throw transferError(url, thrown);
  }
}

/** A lookup that answers with addresses that have been checked, whatever name it is asked for. */
function pinned(addresses: readonly LookupAddress[]): LookupFunction {
  return (_hostname, options, callback) => {
    const wanted = addresses.filter(({ family }) => options.family === family || !options.family);
    const [first] = wanted.length > 0 ? wanted : addresses;
    if (options.all === true) callback(null, [...(wanted.length > 0 ? wanted : addresses)]);
    else callback(null, first?.address ?? '', first?.family);
  };
}

async function answer(
  url: URL,
  redirected: boolean,
  hop: Hop,
  options: UrlRequestOptions,
): Promise<UrlResponse> {
  const { statusCode, headers } = hop.response;
  if (statusCode < 200 || statusCode > 299) {
    await hop.close();
    const text = `urlDownload: ${show(url)} answered ${statusCode}`;
    const passing = statusCode >= 500 || statusCode === 408 || statusCode === 429;
    throw passing ? new PassingFailure(text) : new NodeError('InputUnavailable', text);
  }
  const length = headers['content-length'];
  const disposition = headers['content-disposition'];
  return {
    url,
    redirected,
    disposition: typeof disposition === 'string' ? disposition : '',
    length: typeof length === 'string' && /^\d+$/.test(length) ? Number(length) : undefined,
    shown: show(url),
    body: readBody(url, hop.response.body, options.signal),
    close: () => hop.close(),
  };
}

async function* readBody(
  url: URL,
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of body) yield chunk;
  } catch (thrown) {
    signal.throwIfAborted();
    throw transferError(url, thrown);
  }
}

function transferError(url: URL, thrown: unknown): NodeError {
  if (thrown instanceof NodeError) return thrown;
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  const code = systemCode(thrown);
  const reason = code === '' || text.includes(code) ? text : `${text} (${code})`;
  return new PassingFailure(`urlDownload: ${show(url)} failed: ${reason}`, thrown);
}

function basicAuthorization(url: URL): string | undefined {
  if (url.username === '' && url.password === '') return undefined;
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}

function show(url: URL): string {
  return `${url.origin}${url.pathname}`;
}
