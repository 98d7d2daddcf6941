import type { Readable } from 'node:stream';
import type { ContainerCreateOptions } from 'dockerode';
import { NodeError } from '../../core/errors.ts';
import type { ContainerBody } from './container-spec.ts';
import { DockerApi, type DockerRequest } from './docker-api.ts';
import type { DockerEndpoint } from './endpoint.ts';
import { asEngineError, statusOf, toEngineError, unless } from './errors.ts';
import type { ImageReference } from './image-reference.ts';
import { dockerLimits, removeRetryMs } from './limits.ts';
import type { RegistryAccount } from './registry-account.ts';

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

const { quickCallMs, slowCallMs } = dockerLimits;

/** Calls to one Docker Engine, each with a deadline. Errors are NodeErrors, or a DockerRefusal where the caller decides. */
export class DockerClient {
  readonly #api: DockerApi;

  /** Makes no connection yet. */
  constructor(endpoint: DockerEndpoint) {
    this.#api = new DockerApi(endpoint);
  }

  /** Id of a new container. Rejects with DockerRefusal or EngineUnavailable. */
  async create(name: string, body: ContainerBody): Promise<string> {
    const container = await this.#api.call('create the container', slowCallMs, (docker, abortSignal) => {
      // docker-modem repeats what it is given in the URL unless query and body are told apart.
      const options = { _query: { name }, _body: body, abortSignal };
      return docker.createContainer(options as ContainerCreateOptions);
    });
    return idOf(container.id, 'create');
  }

  /** The container's multiplexed output, from its first byte when called before start. */
  async attach(id: string): Promise<Readable> {
    return await this.#stream('attach to the container', `/containers/${id}/attach?`, {
      stream: true,
      stdout: true,
      stderr: true,
    });
  }

  /** Call before start: resolves when dockerd has noted it, so that the fastest exit is not missed. */
  async watchExit(id: string): Promise<ExitWatch> {
    // dockerode's own wait tells of the end alone.
    const stream = await this.#stream('wait for the container', `/containers/${id}/wait?`, {
      condition: 'next-exit',
    });
    const code = readExitCode(stream);
    // Nobody may be waiting yet when the connection fails.
    code.catch(() => undefined);
    return { code, cancel: () => stream.destroy() };
  }

  /** Rejects with DockerRefusal or EngineUnavailable. */
  async start(id: string): Promise<void> {
    await this.#api
      .call('start the container', slowCallMs, (docker, abortSignal) =>
        docker.getContainer(id).start({ abortSignal }),
      )
      .catch(unless(304));
  }

  /** SIGTERM, then SIGKILL after the grace time. Nothing to do is success. */
  async stop(id: string): Promise<void> {
    await this.#api
      .call('stop the container', slowCallMs, (docker, abortSignal) =>
        docker.getContainer(id).stop({ t: dockerLimits.stopGraceSeconds, abortSignal }),
      )
      .catch(unless(304, 404))
      .catch(asEngineError('stop the container'));
  }

  /** SIGKILL. Nothing to kill is success. */
  async kill(id: string): Promise<void> {
    await this.#api
      .call('kill the container', slowCallMs, (docker, abortSignal) =>
        docker.getContainer(id).kill({ abortSignal }),
      )
      .catch(unless(404, 409))
      .catch(asEngineError('kill the container'));
  }

  /** What is known of a container; undefined when there is none. */
  async inspect(id: string): Promise<ContainerState | undefined> {
    const found = await this.#api
      .call('inspect the container', quickCallMs, (docker, abortSignal) =>
        docker.getContainer(id).inspect({ abortSignal }),
      )
      .catch(unless(404))
      .catch(asEngineError('inspect the container'));
    if (found === undefined) return undefined;
    const { Running, ExitCode, OOMKilled } = ((found as { State?: unknown }).State ?? {}) as Record<
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
        await this.#api.call('remove the container', slowCallMs, (docker, abortSignal) =>
          docker.getContainer(idOrName).remove({ force: true, v: true, abortSignal }),
        );
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
    const what = 'inspect the image';
    // dockerode's own call cannot be aborted.
    const found = await this.#api
      .dial(what, quickCallMs, { method: 'GET', path: `/images/${reference.full}/json` })
      .catch(unless(404))
      .catch(asEngineError(what));
    return found !== undefined;
  }

  /** The progress stream of a pull, which ends when `signal` aborts. Rejects with DockerRefusal or EngineUnavailable. */
  async pull(
    reference: ImageReference,
    account: RegistryAccount | undefined,
    signal: AbortSignal,
  ): Promise<Readable> {
    const image = { fromImage: reference.repository, tag: reference.version };
    // Who follows the pull gives up sooner.
    const timeoutMs = 2 * dockerLimits.pullSilenceMs;
    const stream = await this.#api.call('pull the image', timeoutMs, (docker, deadline) => {
      const options = { _query: image, _body: {}, abortSignal: AbortSignal.any([signal, deadline]) };
      return account === undefined ? docker.createImage(options) : docker.createImage(account, options);
    });
    return stream as Readable;
  }

  /** Ids of the networks with this label ("name=value"), oldest first. */
  async findNetworks(label: string): Promise<string[]> {
    const found = await this.#api
      .call('list networks', quickCallMs, (docker, abortSignal) =>
        docker.listNetworks({ filters: { label: [label] }, abortSignal }),
      )
      .catch(asEngineError('list networks'));
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
    const network = await this.#api
      .call('create the network', slowCallMs, (docker, abortSignal) =>
        docker.createNetwork({ ...body, abortSignal }),
      )
      .catch(asEngineError('create the network'));
    return idOf(network.id, 'create of a network');
  }

  /** A network that cannot be removed now is removed at the next start. */
  async removeNetwork(id: string): Promise<void> {
    await this.#api
      .call('remove the network', slowCallMs, (docker, abortSignal) =>
        docker.getNetwork(id).remove({ abortSignal }),
      )
      .catch(() => undefined);
  }

  async #stream(what: string, path: string, query: object): Promise<Readable> {
    const options = { _query: query, _body: {} };
    const request: DockerRequest = { method: 'POST', path, isStream: true, options };
    return (await this.#api.dial(what, quickCallMs, request)) as Readable;
  }
}

function idOf(id: unknown, what: string): string {
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
