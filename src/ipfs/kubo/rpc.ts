import { Readable } from 'node:stream';
import { Agent, type Dispatcher, request } from 'undici';
import { type ErrorCode, NodeError } from '../../core/errors.ts';
import { systemCode } from '../../files/tree.ts';

/** Where the RPC is, and how long to wait. */
export interface KuboRpcOptions {
  /** Base URL, without "api/v0". */
  readonly url: URL;
  /** "" for none. */
  readonly authorization: string;
  /** Longest time a short call may take, in milliseconds. */
  readonly callMs: number;
}

/** Arguments of a command; `arg` is its positional one. */
export type RpcArguments = Readonly<Record<string, string>>;

/** A call whose answer, and maybe body, is a stream. */
export interface RpcStreamOptions {
  readonly signal: AbortSignal;
  readonly body?: AsyncIterable<Uint8Array>;
  readonly contentType?: string;
}

const CONNECT_TIMEOUT_MS = 10_000;
/** Connections for short calls and for transfers, so that neither waits for the other. */
const CALL_CONNECTIONS = 4;
const STREAM_CONNECTIONS = 16;
const MAX_ANSWER_BYTES = 4 * 1_048_576;

/** What Kubo says where a block is missing and it may not ask the network. */
const NOT_LOCAL = /not found locally|offline|could not find/i;

/** The daemon answered, and the answer is an error. */
export class KuboError extends NodeError {
  /** True when a block was missing in an offline call. */
  readonly notLocal: boolean;

  constructor(code: ErrorCode, message: string, notLocal: boolean) {
    super(code, message);
    this.notLocal = notLocal;
  }
}

/**
 * Kubo's RPC over HTTP, as far as this node uses it. Written on undici and not on kubo-rpc-client, which offers
 * no way in for a dispatcher or a deadline of its own: a silent daemon would hold a call for undici's 300 s, and
 * a transfer that pauses that long would be cut.
 */
export class KuboRpc {
  readonly #options: KuboRpcOptions;
  readonly #calls: Agent;
  readonly #streams: Agent;

  constructor(options: KuboRpcOptions) {
    this.#options = options;
    const connectTimeout = Math.min(CONNECT_TIMEOUT_MS, options.callMs);
    this.#calls = new Agent({ connections: CALL_CONNECTIONS, connectTimeout, allowH2: false });
    // Transfers have no timeouts here: who starts one watches it for silence.
    this.#streams = new Agent({
      connections: STREAM_CONNECTIONS,
      connectTimeout,
      headersTimeout: 0,
      bodyTimeout: 0,
      allowH2: false,
    });
  }

  /** A short call: its last JSON value. @throws KuboError, NodeError InputUnavailable */
  async call(command: string, args: RpcArguments, signal: AbortSignal): Promise<unknown> {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(this.#options.callMs)]);
    try {
      const response = await this.#send(this.#calls, command, args, { signal: deadline });
      const text = await readText(response.body);
      return JSON.parse(text.trimEnd().split('\n').at(-1) ?? '');
    } catch (thrown) {
      signal.throwIfAborted();
      throw this.#failure(thrown);
    }
  }

  /** A call whose answer is a stream. @throws KuboError, NodeError InputUnavailable */
  async stream(
    command: string,
    args: RpcArguments,
    options: RpcStreamOptions,
  ): Promise<AsyncIterable<Uint8Array>> {
    try {
      const response = await this.#send(this.#streams, command, args, options);
      return this.#read(response, options.signal);
    } catch (thrown) {
      options.signal.throwIfAborted();
      throw this.#failure(thrown);
    }
  }

  /** Ends all calls and closes all connections. */
  async close(): Promise<void> {
    await Promise.all([this.#calls.destroy(), this.#streams.destroy()]);
  }

  async #send(
    dispatcher: Agent,
    command: string,
    args: RpcArguments,
    options: RpcStreamOptions,
  ): Promise<Dispatcher.ResponseData> {
    const base = this.#options.url;
    const url = new URL(`${base.pathname.replace(/\/+$/, '')}/api/v0/${command}`, base);
    for (const [name, value] of Object.entries(args)) url.searchParams.set(name, value);
    const response = await request(url, {
      method: 'POST',
      dispatcher,
      signal: options.signal,
      body: options.body === undefined ? null : Readable.from(options.body),
      headers: {
        ...(options.contentType === undefined ? {} : { 'content-type': options.contentType }),
        ...(this.#options.authorization === '' ? {} : { authorization: this.#options.authorization }),
      },
    });
    if (response.statusCode === 200) return response;
    throw await this.#refusal(response);
  }

  async #refusal(response: Dispatcher.ResponseData): Promise<KuboError> {
    const text = (await readText(response.body)).trim();
    const message = errorMessage(text) ?? text.slice(0, 300);
    const { statusCode } = response;
    const refused = statusCode === 401 || statusCode === 403;
    const reason = refused
      ? `access is refused (HTTP ${statusCode}); check the RPC authorisation`
      : message === ''
        ? `HTTP ${statusCode}`
        : message;
    return new KuboError('InputUnavailable', `${this.#name}: ${reason}`, NOT_LOCAL.test(message));
  }

  async *#read(response: Dispatcher.ResponseData, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of response.body) yield chunk as Uint8Array;
    } catch (thrown) {
      signal.throwIfAborted();
      throw this.#failure(thrown);
    }
    const trailer = (response.trailers as Record<string, string>)['x-stream-error'];
    if (trailer !== undefined && trailer !== '') {
      throw new KuboError('InputUnavailable', `${this.#name}: ${trailer}`, NOT_LOCAL.test(trailer));
    }
  }

  #failure(thrown: unknown): NodeError {
    if (thrown instanceof NodeError) return thrown;
    const code = systemCode(thrown);
    const text = thrown instanceof Error ? thrown.message || thrown.name : String(thrown);
    const reason =
      thrown instanceof Error && thrown.name === 'TimeoutError'
        ? `no answer in ${this.#options.callMs / 1000} s`
        : code === '' || text.includes(code)
          ? text
          : `${text} (${code})`;
    return new NodeError('InputUnavailable', `${this.#name}: ${reason}`, { cause: thrown });
  }

  get #name(): string {
    return `IPFS daemon at ${this.#options.url.origin}`;
  }
}

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`an answer of more than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function errorMessage(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && 'Message' in value) return String(value.Message);
  } catch {
    // Kubo answers some errors in plain text.
  }
  return undefined;
}
