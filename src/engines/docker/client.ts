import { Agent } from 'node:http';
import type { Readable } from 'node:stream';
import { inspect } from 'node:util';
import type Docker from 'dockerode';
import { NodeError } from '../../core/errors.ts';
import type { ContainerBody } from './container-spec.ts';
import type { DockerEndpoint } from './endpoint.ts';
import { formatEndpoint } from './endpoint.ts';
import { statusOf, toEngineError } from './errors.ts';
import type { ImageReference } from './image-reference.ts';
import { dockerLimits, removeRetryMs } from './limits.ts';

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

/** The part of docker-modem this file calls; dockerode types it as any. */
interface Modem {
  dial(request: object, done: (error: unknown, data: unknown) => void): void;
}

/** Account of a registry, as the Engine API takes it. */
export interface RegistryAccount {
  readonly username: string;
  readonly password: string;
  readonly serveraddress: string;
}

/**
 * docker-modem prints the options of every call for its debug log, whether anybody reads that or not, and in them the agent
 * with all its open sockets: that took five sixths of the CPU time of a Docker job.
 */
class ShortAgent extends Agent {
  [inspect.custom](): string {
    return 'Agent';
  }
}

const OK = { 200: true, 201: true, 204: true, 304: true } as const;

/** Calls to one Docker Engine, each with a deadline. Errors are NodeErrors, or dockerode's where the caller decides. */
export class DockerClient {
  readonly #docker: Docker;
  readonly #modem: Modem;

  private constructor(docker: Docker) {
    this.#docker = docker;
    this.#modem = docker.modem as Modem;
  }

  /** Makes no connection yet. Loads dockerode, which is why it is not imported at the top. */
  static async open(endpoint: DockerEndpoint): Promise<DockerClient> {
    const { default: Engine } = await import('dockerode');
    const target =
      endpoint.kind === 'socket'
        ? { socketPath: endpoint.path, host: undefined, port: undefined }
        : { socketPath: undefined, host: endpoint.host, port: endpoint.port };
    try {
      // A kept-alive connection that dockerd has just closed would fail a call that cannot be repeated.
      const agent = new ShortAgent({ keepAlive: false });
      // Named although unset: docker-modem takes what is absent from DOCKER_HOST and its relatives.
      const options = { ...target, protocol: 'http' as const, agent, timeout: undefined, ca: undefined };
      return new DockerClient(new Engine(options));
    } catch (error) {
      throw new NodeError(
        'EngineUnavailable',
        `Docker at ${formatEndpoint(endpoint)}: ${(error as Error).message}`,
        { cause: error },
      );
    }
  }

  /** Id of a new container. Rejects with Docker's own error, or EngineUnavailable. */
  async create(name: string, body: ContainerBody): Promise<string> {
    // docker-modem repeats what it is given in the URL unless query and body are told apart.
    const created = await this.#dial('create the container', dockerLimits.slowCallMs, {
      path: '/containers/create?',
      method: 'POST',
      options: { _query: { name }, _body: body },
    });
    const id = (created as { Id?: unknown } | null)?.Id;
    if (typeof id !== 'string') {
      throw new NodeError('EngineFailed', 'Docker answered a create without an id (expected {"Id": ...})');
    }
    return id;
  }

  /** The container's multiplexed output, from its first byte when called before start. */
  async attach(id: string): Promise<Readable> {
    const stream = await this.#dial('attach to the container', dockerLimits.quickCallMs, {
      path: `/containers/${id}/attach?`,
      method: 'POST',
      isStream: true,
      options: { _query: { stream: true, stdout: true, stderr: true }, _body: {} },
    });
    return stream as Readable;
  }

  /** Call before start: resolves when dockerd has noted it, so that the fastest exit is not missed. */
  async watchExit(id: string): Promise<ExitWatch> {
    const stream = (await this.#dial('wait for the container', dockerLimits.quickCallMs, {
      path: `/containers/${id}/wait?`,
      method: 'POST',
      isStream: true,
      options: { _query: { condition: 'next-exit' }, _body: {} },
    })) as Readable;
    const code = readExitCode(stream);
    // Nobody may be waiting yet when the connection fails.
    code.catch(() => undefined);
    return { code, cancel: () => stream.destroy() };
  }

  /** Rejects with Docker's own error, or EngineUnavailable. */
  async start(id: string): Promise<void> {
    await this.#dial('start the container', dockerLimits.slowCallMs, {
      path: `/containers/${id}/start?`,
      method: 'POST',
      options: {},
    });
  }

  /** SIGTERM, then SIGKILL after the grace time. Nothing to do is success. */
  async stop(id: string): Promise<void> {
    await this.#within('stop the container', dockerLimits.slowCallMs, (abortSignal) =>
      this.#docker.getContainer(id).stop({ t: dockerLimits.stopGraceSeconds, abortSignal }),
    ).catch((error: unknown) => {
      const status = statusOf(error);
      if (status !== 304 && status !== 404) throw toEngineError('stop the container', error);
    });
  }

  /** SIGKILL. Nothing to kill is success. */
  async kill(id: string): Promise<void> {
    await this.#within('kill the container', dockerLimits.slowCallMs, (abortSignal) =>
      this.#docker.getContainer(id).kill({ abortSignal }),
    ).catch((error: unknown) => {
      const status = statusOf(error);
      if (status !== 404 && status !== 409) throw toEngineError('kill the container', error);
    });
  }

  /** What is known of a container; undefined when there is none. */
  async inspect(id: string): Promise<ContainerState | undefined> {
    try {
      const { State: state } = await this.#within(
        'inspect the container',
        dockerLimits.quickCallMs,
        (abortSignal) => this.#docker.getContainer(id).inspect({ abortSignal }),
      );
      return { running: state.Running, exitCode: state.ExitCode, oomKilled: state.OOMKilled };
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw toEngineError('inspect the container', error);
    }
  }

  /**
   * Kills and removes a container with its volumes; resolves when dockerd knows it no more. Tries again.
   * @throws NodeError EngineFailed, EngineUnavailable when it is still there after the last attempt
   */
  async remove(idOrName: string): Promise<void> {
    for (const waitMs of [...removeRetryMs, undefined]) {
      try {
        await this.#dial('remove the container', dockerLimits.slowCallMs, {
          path: `/containers/${idOrName}?`,
          method: 'DELETE',
          options: { _query: { force: true, v: true } },
        });
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
    try {
      // dockerode's own call cannot be aborted.
      await this.#dial('inspect the image', dockerLimits.quickCallMs, {
        path: `/images/${reference.full}/json`,
        method: 'GET',
        options: {},
      });
      return true;
    } catch (error) {
      if (statusOf(error) === 404) return false;
      throw toEngineError('inspect the image', error);
    }
  }

  /** The progress stream of a pull, which ends when `signal` aborts. Rejects with Docker's own error. */
  async pull(
    reference: ImageReference,
    account: RegistryAccount | undefined,
    signal: AbortSignal,
  ): Promise<Readable> {
    const options = {
      _query: { fromImage: reference.repository, tag: reference.version },
      _body: {},
      abortSignal: signal,
    };
    const stream: unknown = await (account === undefined
      ? this.#docker.createImage(options)
      : this.#docker.createImage(account, options));
    return stream as Readable;
  }

  /** Ids of the networks with this label ("name=value"), oldest first. */
  async findNetworks(label: string): Promise<string[]> {
    const found = await this.#within('list networks', dockerLimits.quickCallMs, (abortSignal) =>
      this.#docker.listNetworks({ filters: { label: [label] }, abortSignal }),
    ).catch((error: unknown) => {
      throw toEngineError('list networks', error);
    });
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
    const network = await this.#within('create the network', dockerLimits.slowCallMs, (abortSignal) =>
      this.#docker.createNetwork({ ...body, abortSignal }),
    ).catch((error: unknown) => {
      throw toEngineError('create the network', error);
    });
    return network.id;
  }

  /** A network that cannot be removed now is removed at the next start. */
  async removeNetwork(id: string): Promise<void> {
    await this.#within('remove the network', dockerLimits.slowCallMs, (abortSignal) =>
      this.#docker.getNetwork(id).remove({ abortSignal }),
    ).catch(() => undefined);
  }

  #dial(what: string, deadlineMs: number, request: object): Promise<unknown> {
    return this.#within(
      what,
      deadlineMs,
      (abortSignal) =>
        new Promise((resolve, reject) => {
          this.#modem.dial({ statusCodes: OK, abortSignal, ...request }, (error, data) => {
            if (error === null || error === undefined) resolve(data);
            else reject(error as Error);
          });
        }),
    );
  }

  /** A call of its own deadline, which also holds where the library forgets to settle after an abort. */
  async #within<T>(what: string, deadlineMs: number, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    const { promise: expired, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      reject(new NodeError('EngineUnavailable', `Docker did not answer in ${deadlineMs} ms (${what})`));
      controller.abort();
    }, deadlineMs);
    try {
      return await Promise.race([call(controller.signal), expired]);
    } catch (error) {
      throw statusOf(error) === undefined ? toEngineError(what, error) : error;
    } finally {
      clearTimeout(timer);
    }
  }
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
