import type { ClientConfig } from '../config/client.ts';
import { NodeError } from '../core/errors.ts';
import type { LogChunk } from '../core/ports.ts';
import { packageVersion } from '../version.ts';
import { formatJson, parseJson } from './json.ts';
import { type FrameOptions, SocketClosed, socketFrames, UpgradeRefused } from './socket-frames.ts';
import { type TlsOptions, type Transport, transportOf } from './transport.ts';
import { type Wire, wire, wireNumber, wireText } from './wire.ts';

/** Query parameters; undefined, false, 0 and "" are left out, arrays are repeated. */
export type Query = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

/** Which log is read, and how. */
export interface LogQuery {
  readonly follow?: boolean;
  readonly tail?: boolean;
  readonly executionId?: string;
  readonly jobVersion?: number;
}

/** Longer than the server's own deadline for a request. */
const REQUEST_MS = 60_000;
const CONNECT_CODES = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
  'ETIMEDOUT',
]);

function queryText(query: Query): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (Array.isArray(value)) for (const item of value) search.append(name, String(item));
    else if (value !== undefined && value !== '' && value !== false && value !== 0)
      search.append(name, String(value));
  }
  const text = search.toString();
  return text === '' ? '' : `?${text}`;
}

/** `code` of an error, or of what caused it. */
function causeCode(thrown: unknown): string {
  const cause = thrown instanceof Error ? (thrown.cause ?? thrown) : thrown;
  return typeof cause === 'object' && cause !== null && 'code' in cause ? String(cause.code) : '';
}

/** Says that this client knows the present keys: a server that serves old ones too answers with half as much. */
const IDENTITY = { 'x-bacalhau-git-version': `v${packageVersion()}` } as const;

/** The REST API of a node. Requests have a deadline; errors are NodeErrors with the server's words. */
export class ApiClient {
  readonly #baseUrl: string;
  readonly #signal: AbortSignal;
  readonly #transport: Transport;

  /** @param modules `fetch` is replaced in tests; `signal` ends everything that is under way */
  constructor(
    options: ClientConfig,
    modules: { readonly signal: AbortSignal; readonly fetch?: typeof fetch },
  ) {
    this.#baseUrl = options.baseUrl;
    this.#signal = modules.signal;
    const transport = transportOf(options.trust);
    this.#transport = modules.fetch === undefined ? transport : { ...transport, fetch: modules.fetch };
  }

  get baseUrl(): string {
    return this.#baseUrl;
  }

  /** Whom to trust, for those who connect to the node in a way of their own. */
  get tls(): TlsOptions {
    return this.#transport.socketOptions;
  }

  /** @throws NodeError NodeUnreachable, RequestFailed */
  async get(path: string, query: Query = {}): Promise<Wire> {
    return this.#call('GET', `${path}${queryText(query)}`);
  }

  /** @throws NodeError NodeUnreachable, RequestFailed */
  async put(path: string, body: unknown): Promise<Wire> {
    return this.#call('PUT', path, formatJson(body, false));
  }

  /** Sends a file as it is. @throws NodeError NodeUnreachable, RequestFailed */
  async putText(path: string, body: string, contentType: string): Promise<Wire> {
    return this.#call('PUT', path, body, contentType);
  }

  /** @throws NodeError NodeUnreachable, RequestFailed */
  async post(path: string, body: unknown): Promise<Wire> {
    return this.#call('POST', path, formatJson(body, false));
  }

  /** Sends a file as it is. @throws NodeError NodeUnreachable, RequestFailed */
  async postText(path: string, body: string, contentType: string): Promise<Wire> {
    return this.#call('POST', path, body, contentType);
  }

  /** @throws NodeError NodeUnreachable, RequestFailed */
  async delete(path: string, body: unknown): Promise<Wire> {
    return this.#call('DELETE', path, formatJson(body, false));
  }

  /** Any http(s) URL, or a path of the node. The caller reads the body. @throws NodeError NodeUnreachable, DownloadFailed */
  async download(urlOrPath: string, signal: AbortSignal): Promise<Response> {
    const url = urlOrPath.startsWith('/') ? `${this.#baseUrl}${urlOrPath}` : urlOrPath;
    let response: Response;
    try {
      response = await this.#transport.fetch(url, { signal: AbortSignal.any([signal, this.#signal]) });
    } catch (thrown) {
      signal.throwIfAborted();
      throw this.#unreachable(thrown, url);
    }
    if (!response.ok) {
      const text = await response.text().catch(() => '');
      throw new NodeError(
        'DownloadFailed',
        `${url}: ${envelope(text)?.message ?? `HTTP status ${response.status}`}`,
      );
    }
    return response;
  }

  /**
   * Output of an execution, as it comes.
   * @throws NodeError NodeUnreachable, RequestFailed with the server's words
   */
  async *logs(jobId: string, query: LogQuery): AsyncGenerator<LogChunk> {
    const path = `/api/v1/orchestrator/jobs/${encodeURIComponent(jobId)}/logs`;
    const search = {
      execution_id: query.executionId,
      follow: query.follow,
      job_version: query.jobVersion,
      tail: query.tail,
    };
    try {
      for await (const frame of this.frames(path, search)) {
        const message = wire(parseJson(frame));
        const error = wireText(message['error']);
        if (error !== '') {
          throw new NodeError(
            'RequestFailed',
            `error reading log output: error received from server: ${error}`,
          );
        }
        const value = wire(message['value']);
        const stream = wireNumber(value['Type']) === 2 ? 'stderr' : 'stdout';
        yield { stream, text: wireText(value['Line']) };
      }
    } catch (thrown) {
      if (!(thrown instanceof SocketClosed)) throw thrown;
      throw new NodeError('RequestFailed', `the node closed the log stream early (code ${thrown.code})`);
    }
  }

  /**
   * Text frames of a WebSocket, as they come.
   * @throws SocketClosed when the node closes it with another code than 1000; NodeError NodeUnreachable, RequestFailed
   */
  async *frames(
    path: string,
    query: Query,
    options: Pick<FrameOptions, 'protocols' | 'silenceMs'> = {},
  ): AsyncGenerator<string> {
    const url = `${this.#baseUrl.replace(/^http/, 'ws')}${path}${queryText(query)}`;
    try {
      const { socketOptions: tls } = this.#transport;
      yield* socketFrames(url, { ...options, tls, handshakeMs: REQUEST_MS, signal: this.#signal });
    } catch (thrown) {
      if (thrown instanceof UpgradeRefused)
        throw requestFailed(thrown.status, thrown.body, `WebSocket ${url}`);
      throw thrown instanceof SocketClosed ? thrown : this.#unreachable(thrown, this.#baseUrl);
    }
  }

  async #call(method: string, path: string, body?: string, contentType = 'application/json'): Promise<Wire> {
    const url = `${this.#baseUrl}${path}`;
    let status: number;
    let text: string;
    try {
      const response = await this.#transport.fetch(url, {
        method,
        ...(body === undefined ? {} : { body }),
        headers: { ...IDENTITY, ...(body === undefined ? {} : { 'content-type': contentType }) },
        signal: AbortSignal.any([this.#signal, AbortSignal.timeout(REQUEST_MS)]),
      });
      status = response.status;
      text = await response.text();
    } catch (thrown) {
      this.#signal.throwIfAborted();
      throw this.#unreachable(thrown, this.#baseUrl);
    }
    if (status !== 200) {
      throw requestFailed(status, text, `${method} ${url}`);
    }
    try {
      return wire(parseJson(text));
    } catch (thrown) {
      throw new NodeError(
        'RequestFailed',
        `${method} ${url}: the answer is not JSON; is a Bacalhau node listening there?`,
        {
          cause: thrown,
        },
      );
    }
  }

  #unreachable(thrown: unknown, url: string): NodeError {
    const code = causeCode(thrown);
    const cause = thrown instanceof Error ? (thrown.cause ?? thrown) : thrown;
    const text = cause instanceof Error ? cause.message : String(cause);
    if (CONNECT_CODES.has(code) || code.startsWith('UND_ERR')) {
      return new NodeError('NodeUnreachable', `no node answers at ${url} (${text || code})`, {
        cause: thrown,
      });
    }
    const timedOut = thrown instanceof Error && thrown.name === 'TimeoutError';
    return new NodeError(
      'NodeUnreachable',
      timedOut ? `${url} has not answered in ${REQUEST_MS / 1000} s` : `cannot call ${url}: ${text}`,
      { cause: thrown },
    );
  }
}

function requestFailed(status: number, body: string, what: string): NodeError {
  const error = envelope(body);
  const details = {
    status: String(status),
    ...(error === undefined ? {} : { code: error.code }),
    ...(error === undefined || error.hint === '' ? {} : { hint: error.hint }),
  };
  const message = error?.message ?? `${what}: HTTP status ${status}, and no error in Bacalhau's form`;
  return new NodeError('RequestFailed', message, { details });
}

/** The REST error envelope in a body; undefined where there is none. */
function envelope(text: string): { message: string; code: string; hint: string } | undefined {
  try {
    const body = wire(parseJson(text));
    const message = wireText(body['Message']) || wireText(body['message']);
    if (message === '') return undefined;
    return { message, code: wireText(body['Code']), hint: wireText(body['Hint']) };
  } catch {
    return undefined;
  }
}
