import type { Agent, Dispatcher } from 'undici';
import { formatBytes } from '../../../core/resources.ts';
import type { AskedJob, SlowStrategy } from '../strategy.ts';
import type { BidTally } from '../tally.ts';
import { type HttpAnswer, readAnswer } from './answer.ts';
import { bounded, ProbeTrouble, probeStrategy, probeTimedOut } from './probe.ts';

export interface HttpProbeOptions {
  readonly url: string;
  readonly probeTimeoutMs: number;
  readonly probeConcurrency: number;
  readonly probeOnError: 'reject' | 'transient';
}

export interface HttpProbeModules {
  readonly tally: BidTally;
  readonly payload: (job: AskedJob) => Uint8Array;
}

/** A decision is a line; more is no answer of a probe. */
const ANSWER_BYTES = 1_048_576;
const REDIRECTS = 5;
/** Connections are kept this long between two bids; most servers keep them 5 s or longer. */
const KEEP_ALIVE_MS = 4000;
/** A kept connection that its server has just closed: the request was not read, and is sent once more. */
const CLOSED: ReadonlySet<string> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

interface Target {
  readonly url: URL;
  readonly method: 'POST' | 'GET';
}

/** `--job-selection-probe-http`: a web service of the operator decides, by status and, where it gives one, a JSON object. */
export function httpProbe(options: HttpProbeOptions, modules: HttpProbeModules): SlowStrategy {
  const { probeTimeoutMs } = options;
  const start = new URL(options.url);
  const shown = `${start.origin}${start.pathname}`;
  const authorization = authorizationOf(start);
  let opening: Promise<Agent> | undefined;
  // Loaded with the first job: a thread without an HTTP probe stays small.
  const open = async (): Promise<Agent> => {
    const { Agent: Pool } = await import('undici');
    return new Pool({
      connections: options.probeConcurrency,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connect: { timeout: probeTimeoutMs },
    });
  };

  const send = async (
    target: Target,
    body: Uint8Array,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> => {
    const { url, method } = target;
    const agent = await (opening ??= open());
    const request = (): Promise<Dispatcher.ResponseData> =>
      agent.request({
        origin: url.origin,
        path: `${url.pathname}${url.search}`,
        method,
        headers: {
          ...(method === 'POST' ? { 'content-type': 'application/json' } : {}),
          // Only to the server it was meant for.
          ...(authorization !== undefined && url.origin === start.origin ? { authorization } : {}),
        },
        ...(method === 'POST' ? { body } : {}),
        signal,
      });
    try {
      return await request();
    } catch (thrown) {
      if (signal.aborted || !CLOSED.has(codeOf(thrown))) throw thrown;
      return await request();
    }
  };

  const follow = async (body: Uint8Array, signal: AbortSignal): Promise<HttpAnswer> => {
    let target: Target = { url: start, method: 'POST' };
    for (let hops = 0; ; hops += 1) {
      const response = await send(target, body, signal);
      const next = redirect(response, target);
      if (next === undefined) {
        const contentType = response.headers['content-type'];
        return {
          status: response.statusCode,
          contentType: typeof contentType === 'string' ? contentType : '',
          body: await readBody(response.body, response.statusCode),
        };
      }
      await response.body.dump().catch(() => undefined);
      if (hops >= REDIRECTS) throw new ProbeTrouble('answer', `redirects more than ${REDIRECTS} times`);
      target = next;
    }
  };

  return probeStrategy('http_probe', options, modules.tally, async (job, signal) => {
    const expiry = AbortSignal.timeout(probeTimeoutMs);
    try {
      return readAnswer(await follow(modules.payload(job), AbortSignal.any([signal, expiry])), shown);
    } catch (thrown) {
      if (thrown instanceof ProbeTrouble || signal.aborted) throw thrown;
      if (expiry.aborted) throw probeTimedOut(probeTimeoutMs);
      const code = codeOf(thrown);
      const text = thrown instanceof Error ? thrown.message : String(thrown);
      throw new ProbeTrouble('unreachable', `cannot be reached at ${shown}: ${bounded(text || code)}`);
    }
  });
}

/** User and password of the URL, which no request line carries. */
function authorizationOf({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined;
  const text = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return `Basic ${Buffer.from(text).toString('base64')}`;
}

/** Where a redirect leads, as browsers and Go follow it; undefined for any other answer. */
function redirect(response: Dispatcher.ResponseData, from: Target): Target | undefined {
  const { location } = response.headers;
  if (typeof location !== 'string' || !URL.canParse(location, from.url.href)) return undefined;
  const url = new URL(location, from.url);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return undefined;
  switch (response.statusCode) {
    case 301:
    case 302:
    case 303:
      return { url, method: 'GET' };
    case 307:
    case 308:
      return { url, method: from.method };
    default:
      return undefined;
  }
}

async function readBody(body: Dispatcher.ResponseData['body'], status: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    const piece = chunk as Uint8Array;
    bytes += piece.byteLength;
    if (bytes > ANSWER_BYTES) {
      body.destroy();
      // It refuses, whatever it goes on to say.
      if (status >= 400) return new Uint8Array(0);
      throw new ProbeTrouble('answer', `gave an answer of more than ${formatBytes(ANSWER_BYTES)}`);
    }
    chunks.push(piece);
  }
  return Buffer.concat(chunks);
}

function codeOf(thrown: unknown): string {
  const { code, cause } = (thrown ?? {}) as { code?: unknown; cause?: { code?: unknown } };
  if (typeof code === 'string') return code;
  return typeof cause?.code === 'string' ? cause.code : '';
}
