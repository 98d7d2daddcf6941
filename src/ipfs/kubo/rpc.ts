import { create, type KuboRPCClient } from 'kubo-rpc-client';
import { NodeError } from '../../core/errors.ts';
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

/** One or more calls of the client, all with this signal. */
export type KuboWork<T> = (client: KuboRPCClient, signal: AbortSignal) => T;

const MAX_MESSAGE_LENGTH = 300;

/** What Kubo says where a block is missing and it may not ask the network. */
const NOT_LOCAL = /not found locally|offline|could not find|failed to fetch all nodes/i;

/** The daemon answered, and the answer is an error. */
export class KuboError extends NodeError {
  /** True when a block was missing in an offline call. */
  readonly notLocal: boolean;

  constructor(message: string, notLocal: boolean) {
    super('InputUnavailable', message);
    this.notLocal = notLocal;
  }
}

/**
 * A Kubo daemon through kubo-rpc-client, with what that leaves out: a deadline for every call, since its option
 * `timeout` never ends one; an end to all of them; errors that name the daemon.
 */
export class KuboRpc {
  readonly #client: KuboRPCClient;
  readonly #name: string;
  readonly #callMs: number;
  readonly #closing = new AbortController();

  constructor({ url, authorization, callMs }: KuboRpcOptions) {
    this.#client = create({
      url: new URL(`${url.pathname.replace(/\/+$/, '')}/api/v0`, url),
      headers: authorization === '' ? {} : { authorization },
    });
    this.#name = `IPFS daemon at ${url.origin}`;
    this.#callMs = callMs;
  }

  /** A short call. @throws KuboError, NodeError InputUnavailable */
  async call<T>(work: KuboWork<Promise<T>>, signal: AbortSignal): Promise<T> {
    const deadline = AbortSignal.timeout(this.#callMs);
    try {
      return await this.transfer(work, AbortSignal.any([signal, deadline]));
    } catch (thrown) {
      signal.throwIfAborted();
      if (!deadline.aborted) throw thrown;
      throw new NodeError('InputUnavailable', `${this.#name}: no answer in ${this.#callMs / 1000} s`);
    }
  }

  /** A call of any length, which its caller watches for silence. @throws KuboError, NodeError InputUnavailable */
  async transfer<T>(work: KuboWork<Promise<T>>, signal: AbortSignal): Promise<T> {
    const either = AbortSignal.any([signal, this.#closing.signal]);
    try {
      either.throwIfAborted();
      return await work(this.#client, either);
    } catch (thrown) {
      throw this.#failure(thrown, either);
    }
  }

  /** As `transfer`, for an answer that is a stream. */
  async *stream<T>(work: KuboWork<AsyncIterable<T>>, signal: AbortSignal): AsyncGenerator<T> {
    const either = AbortSignal.any([signal, this.#closing.signal]);
    try {
      either.throwIfAborted();
      yield* work(this.#client, either);
    } catch (thrown) {
      throw this.#failure(thrown, either);
    }
  }

  /** An error that the daemon told inside of an answer. */
  refusal(message: string): KuboError {
    return new KuboError(`${this.#name}: ${message.slice(0, MAX_MESSAGE_LENGTH)}`, NOT_LOCAL.test(message));
  }

  /** Ends all calls. */
  close(): void {
    this.#closing.abort(new NodeError('InputUnavailable', `${this.#name}: the connection was closed`));
  }

  #failure(thrown: unknown, signal: AbortSignal): unknown {
    if (signal.aborted) return signal.reason;
    if (thrown instanceof NodeError) return thrown;
    const status = httpStatus(thrown);
    if (status === 401 || status === 403) {
      return this.refusal(`access is refused (HTTP ${status}); check the RPC authorisation`);
    }
    if (status !== undefined) return this.refusal(messageOf(thrown) || `HTTP ${status}`);
    return new NodeError('InputUnavailable', `${this.#name}: ${reasonOf(thrown)}`, { cause: thrown });
  }
}

/** The status of an answer that kubo-rpc-client has turned into an error. */
function httpStatus(thrown: unknown): number | undefined {
  return thrown instanceof Error && 'response' in thrown && thrown.response instanceof Response
    ? thrown.response.status
    : undefined;
}

/** `fetch` says only that it failed; why is in the cause. */
function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof TypeError) || thrown.cause === undefined) return messageOf(thrown);
  const { cause } = thrown;
  const code = systemCode(cause);
  const text = messageOf(cause);
  if (text === 'bad port') return 'its port is one that HTTP clients refuse to call; give the RPC another';
  if (text === '') return code;
  return code === '' || text.includes(code) ? text : `${text} (${code})`;
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message.trim() : String(thrown);
}
