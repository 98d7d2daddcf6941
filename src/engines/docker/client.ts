import { Agent } from 'node:http';
import type { Readable } from 'node:stream';
import { NodeError } from '../../core/errors.ts';
import { callDocker, type DockerCall, isSuccess, openDocker } from './api-call.ts';
import type { ContainerBody } from './container-spec.ts';
import type { DockerEndpoint } from './endpoint.ts';
import { DockerRefusal, statusOf, toEngineError } from './errors.ts';
import type { ImageReference } from './image-reference.ts';
import { dockerLimits, removeRetryMs } from './limits.ts';
import { accountHeaders, type RegistryAccount } from './registry-account.ts';

/** What the node looks at of an inspected container. */
export interface ContainerState {
  readonly running: boolean;
  readonly exitCode: number;
  readonly oomKilled: boolean;
}

/** A wait for a container's end that dockerd has registered. */
export interface ExitWatch {
  /** Exit code. Rejects with EngineUnavailable when the connection ends first. */
  readonly code: Promise<number>;
  cancel(): void;
}

type Method = DockerCall['method'];

/** Calls to one Docker Engine, each with a deadline. Errors are NodeErrors, or a DockerRefusal where the caller decides. */
export class DockerClient {
  readonly #endpoint: DockerEndpoint;
  readonly #agent = new Agent({
    keepAlive: true,
    maxFreeSockets: dockerLimits.keptConnections,
    timeout: dockerLimits.keptConnectionMs,
  });

  /** Makes no connection yet. */
  constructor(endpoint: DockerEndpoint) {
    this.#endpoint = endpoint;
  }

  /** Id of a new container. Rejects with DockerRefusal or EngineUnavailable. */
  async create(name: string, body: ContainerBody): Promise<string> {
    const path = `/containers/create?${query({ name })}`;
    return idOf(await this.#slow('create the container', 'POST', path, body), 'create');
  }

  /** The container's multiplexed output, from its first byte when called before start. */
  async attach(id: string): Promise<Readable> {
    return await this.#stream(
      'attach to the container',
      `/containers/${id}/attach?stream=1&stdout=1&stderr=1`,
    );
  }

  /** Call before start: resolves when dockerd has noted it, so that the fastest exit is not missed. */
  async watchExit(id: string): Promise<ExitWatch> {
    const stream = await this.#stream('wait for the container', `/containers/${id}/wait?condition=next-exit`);
    const code = readExitCode(stream);
    // Nobody may be waiting yet when the connection fails.
    code.catch(() => undefined);
    return { code, cancel: () => stream.destroy() };
  }

  /** Rejects with DockerRefusal or EngineUnavailable. */
  async start(id: string): Promise<void> {
    await this.#slow('start the container', 'POST', `/containers/${id}/start`);
  }

  /** SIGTERM, then SIGKILL after the grace time. Nothing to do is success. */
  async stop(id: string): Promise<void> {
    const path = `/containers/${id}/stop?t=${dockerLimits.stopGraceSeconds}`;
    await this.#slow('stop the container', 'POST', path).catch((error: unknown) => {
      if (statusOf(error) !== 404) throw toEngineError('stop the container', error);
    });
  }

  /** SIGKILL. Nothing to kill is success. */
  async kill(id: string): Promise<void> {
    await this.#slow('kill the container', 'POST', `/containers/${id}/kill`).catch((error: unknown) => {
      const status = statusOf(error);
      if (status !== 404 && status !== 409) throw toEngineError('kill the container', error);
    });
  }

  /** What is known of a container; undefined when there is none. */
  async inspect(id: string): Promise<ContainerState | undefined> {
    const found = await this.#find('inspect the container', `/containers/${id}/json`);
    if (found === undefined) return undefined;
    const { Running, ExitCode, OOMKilled } = ((found as { State?: unknown } | null)?.State ?? {}) as Record<
      string,
      unknown
    >;
    if (typeof Running !== 'boolean' || typeof ExitCode !== 'number') {
      throw new NodeError('EngineFailed', 'Docker described a container without its state');
    }
    return { running: Running, exitCode: ExitCode, oomKilled: OOMKilled === true };
  }

  /**
   * Kills and removes a container with its volumes; resolves when dockerd knows it no more. Tries again.
   * @throws NodeError EngineFailed, EngineUnavailable when it is still there after the last attempt
   */
  async remove(idOrName: string): Promise<void> {
    for (const waitMs of [...removeRetryMs, undefined]) {
      try {
        await this.#slow('remove the container', 'DELETE', `/containers/${idOrName}?force=true&v=true`);
        return;
      } catch (error) {
        if (statusOf(error) === 404) return;
        if (waitMs === undefined) throw toEngineError('remove the container', error);
        await new Promise((resolve) => setTimeout(resolve, waitMs));
      }
    }
  }

  /** True when the image is on this machine. */
  async hasImage(reference: ImageReference): Promise<boolean> {
    return (await this.#find('inspect the image', `/images/${reference.full}/json`)) !== undefined;
  }

  /** The progress stream of a pull, which ends when `signal` aborts. Rejects with DockerRefusal or EngineUnavailable. */
  async pull(
    reference: ImageReference,
    account: RegistryAccount | undefined,
    signal: AbortSignal,
  ): Promise<Readable> {
    const image = query({ fromImage: reference.repository, tag: reference.version });
    return await this.#stream('pull the image', `/images/create?${image}`, {
      signal,
      // Who follows the pull gives up sooner.
      timeoutMs: 2 * dockerLimits.pullSilenceMs,
      headers: accountHeaders(account),
    });
  }

  /** Ids of the networks with this label ("name=value"), oldest first. */
  async findNetworks(label: string): Promise<string[]> {
    const path = `/networks?${query({ filters: JSON.stringify({ label: [label] }) })}`;
    const found = (await this.#quick('list networks', 'GET', path).catch((error: unknown) => {
      throw toEngineError('list networks', error);
    })) as { Id: string; Created: string }[];
    return found
      .toSorted((a, b) => a.Created.localeCompare(b.Created) || a.Id.localeCompare(b.Id))
      .map((network) => network.Id);
  }

  /** Id of a new bridge network. */
  async createNetwork(
    name: string,
    labels: Record<string, string>,
    options: Record<string, string>,
  ): Promise<string> {
    const body = { Name: name, Driver: 'bridge', Labels: labels, Options: options };
    const made = await this.#slow('create the network', 'POST', '/networks/create', body).catch(
      (error: unknown) => {
        throw toEngineError('create the network', error);
      },
    );
    return idOf(made, 'create of a network');
  }

  /** A network that cannot be removed now is removed at the next start. */
  async removeNetwork(id: string): Promise<void> {
    await this.#slow('remove the network', 'DELETE', `/networks/${id}`).catch(() => undefined);
  }

  /** undefined for what is not there. @throws NodeError EngineFailed, EngineUnavailable */
  async #find(what: string, path: string): Promise<unknown> {
    try {
      return await this.#quick(what, 'GET', path);
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw toEngineError(what, error);
    }
  }

  #quick(what: string, method: Method, path: string): Promise<unknown> {
    return this.#call({ what, method, path, timeoutMs: dockerLimits.quickCallMs });
  }

  #slow(what: string, method: Method, path: string, body?: object): Promise<unknown> {
    return this.#call({ what, method, path, timeoutMs: dockerLimits.slowCallMs, ...(body && { body }) });
  }

  async #call(call: DockerCall): Promise<unknown> {
    const { status, body } = await callDocker(this.#endpoint, { ...call, agent: this.#agent });
    if (!isSuccess(status)) throw new DockerRefusal(status, body);
    return body;
  }

  #stream(what: string, path: string, more: Partial<DockerCall> = {}): Promise<Readable> {
    const timeoutMs = dockerLimits.quickCallMs;
    return openDocker(this.#endpoint, { what, method: 'POST', path, timeoutMs, agent: this.#agent, ...more });
  }
}

function query(parameters: Record<string, string>): string {
  return new URLSearchParams(parameters).toString();
}

function idOf(answer: unknown, what: string): string {
  const id = (answer as { Id?: unknown } | null)?.Id;
  if (typeof id === 'string') return id;
  throw new NodeError('EngineFailed', `Docker answered a ${what} without an id (expected {"Id": ...})`);
}

const LONGEST_EXIT_ANSWER = 65_536;

async function readExitCode(stream: Readable): Promise<number> {
  let text = '';
  try {
    for await (const chunk of stream) {
      text += String(chunk);
      if (text.length > LONGEST_EXIT_ANSWER) throw new Error('the answer is too long');
    }
    const { StatusCode: code } = JSON.parse(text) as { StatusCode?: unknown };
    if (typeof code !== 'number') throw new Error('no StatusCode in the answer');
    return code;
  } catch (error) {
    throw toEngineError('wait for the container', error);
  }
}
