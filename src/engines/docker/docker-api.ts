import { access } from 'node:fs/promises';
import { Agent, type ClientRequest } from 'node:http';
import type { Duplex } from 'node:stream';
import { inspect } from 'node:util';
import type Docker from 'dockerode';
import { NodeError } from '../../core/errors.ts';
import { type DockerEndpoint, formatEndpoint } from './endpoint.ts';
import { refusalOf } from './errors.ts';
import { dockerLimits } from './limits.ts';
import type { RegistryAccount } from './registry-account.ts';

/** One call by dockerode; made anew each time it is called. */
export type DockerCall<T> = (docker: Docker, abortSignal: AbortSignal) => Promise<T>;

/** A request that dockerode has no method for, or none that can be aborted, as docker-modem takes it. */
export interface DockerRequest {
  readonly method: 'GET' | 'POST';
  /** Ends with "?" where `options` has a query. */
  readonly path: string;
  /** The answer is its stream, as soon as Docker begins to answer. */
  readonly isStream?: boolean;
  readonly options?: { readonly _query: object; readonly _body: object };
  readonly authconfig?: RegistryAccount;
}

/** The part of docker-modem in use; its types take and give any. */
interface Modem {
  dial(request: object, done: (error: unknown, data: unknown) => void): void;
}

const STATUS_CODES = { 200: true, 201: true, 204: true } as const;

/** Connections to a Docker Engine, kept for the next calls. */
class KeptConnections extends Agent {
  readonly #failures = new WeakSet<Error>();

  constructor() {
    super({
      keepAlive: true,
      maxFreeSockets: dockerLimits.keptConnections,
      timeout: dockerLimits.keptConnectionMs,
    });
  }

  /** True for the error of a request on a connection that Docker closed while it was kept: it has not seen the request. */
  failed(error: unknown): boolean {
    return error instanceof Error && this.#failures.has(error);
  }

  override reuseSocket(socket: Duplex, request: ClientRequest): void {
    super.reuseSocket(socket, request);
    let answered = false;
    request.once('response', () => {
      answered = true;
    });
    request.once('error', (error: NodeJS.ErrnoException) => {
      if (!answered && (error.code === 'ECONNRESET' || error.code === 'EPIPE')) this.#failures.add(error);
    });
  }

  /**
   * Short: docker-modem prints the options of every call for its debug log, whether anybody reads that or not, and in them
   * the agent with all its sockets.
   */
  [inspect.custom](): string {
    return 'KeptConnections';
  }
}

/** dockerode at one Docker Engine, on connections kept, each call with a deadline. */
export class DockerApi {
  readonly #endpoint: DockerEndpoint;
  readonly #connections = new KeptConnections();
  #docker: Promise<Docker> | undefined;

  /** Makes no connection yet. */
  constructor(endpoint: DockerEndpoint) {
    this.#endpoint = endpoint;
  }

  /**
   * `what` is for messages: "create the container". A call that met a connection closed while it was kept is repeated.
   * @throws NodeError EngineUnavailable without an answer in `timeoutMs`; DockerRefusal
   */
  async call<T>(what: string, timeoutMs: number, call: DockerCall<T>): Promise<T> {
    const docker = await this.#load(what);
    const controller = new AbortController();
    // docker-modem forgets to settle where an answer ends half-way.
    const { promise: expired, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      reject(this.#unavailable(what, `did not answer in ${timeoutMs} ms`));
      controller.abort();
    }, timeoutMs);
    try {
      return await Promise.race([this.#attempt(() => call(docker, controller.signal)), expired]);
    } catch (error) {
      if (error instanceof NodeError) throw error;
      const { message } = error as Error;
      throw refusalOf(error) ?? this.#unavailable(what, `did not answer: ${message}`, error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** As `call`: what docker-modem makes of the answer, JSON or a stream. */
  dial(what: string, timeoutMs: number, request: DockerRequest): Promise<unknown> {
    return this.call(
      what,
      timeoutMs,
      (docker, abortSignal) =>
        new Promise((resolve, reject) => {
          // A copy: docker-modem writes into what it is given.
          const dialled = { statusCodes: STATUS_CODES, abortSignal, ...request };
          (docker.modem as Modem).dial(dialled, (error, data) => {
            if (error === null || error === undefined) resolve(data);
            else reject(error as Error);
          });
        }),
    );
  }

  async #attempt<T>(call: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await call();
      } catch (error) {
        if (!this.#connections.failed(error)) throw error;
      }
    }
  }

  #load(what: string): Promise<Docker> {
    this.#docker ??= open(this.#endpoint, this.#connections).catch((error: unknown) => {
      this.#docker = undefined;
      throw this.#unavailable(what, `did not answer: ${(error as Error).message}`, error);
    });
    return this.#docker;
  }

  #unavailable(what: string, why: string, cause?: unknown): NodeError {
    const message = `Docker at ${formatEndpoint(this.#endpoint)} ${why} (${what})`;
    return new NodeError('EngineUnavailable', message, { cause });
  }
}

async function open(endpoint: DockerEndpoint, agent: KeptConnections): Promise<Docker> {
  // A machine without Docker does without the library's 9 MB.
  if (endpoint.kind === 'socket') await access(endpoint.path);
  const { default: Engine } = await import('dockerode');
  const target =
    endpoint.kind === 'socket'
      ? { socketPath: endpoint.path, host: undefined, port: undefined }
      : { socketPath: undefined, host: urlOf(endpoint.host), port: endpoint.port };
  // Named although unset: docker-modem takes what is absent from DOCKER_HOST and its relatives.
  const options = { ...target, protocol: 'http' as const, agent, timeout: undefined, ca: undefined };
  return new Engine(options);
}

/** As a URL: docker-modem would take the first group of an IPv6 address for a protocol. */
function urlOf(host: string): string {
  return `http://${host.includes(':') ? `[${host}]` : host}`;
}
