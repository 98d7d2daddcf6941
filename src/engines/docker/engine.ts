import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { NodeError } from '../../core/errors.ts';
import type { RunCommandResult } from '../../core/job.ts';
import { formatBytes } from '../../core/resources.ts';
import type { Engine, RunContext, RunRequest, StopReason } from '../engine.ts';
import { toStopError } from '../stop.ts';
import { DockerClient } from './client.ts';
import {
  type ContainerBody,
  type ContainerLink,
  containerBody,
  type DockerParams,
  parseDockerParams,
} from './container-spec.ts';
import { containerDevices } from './devices.ts';
import { parseDockerHost } from './endpoint.ts';
import {
  isImageMissing,
  isNameTaken,
  isSourceMissing,
  mayHaveArrived,
  reasonOf,
  toCreateError,
  toStartError,
} from './errors.ts';
import { attachAndWatch, exitOf } from './exit.ts';
import { containerName } from './labels.ts';
import { dockerLimits } from './limits.ts';
import {
  type ContainerNetwork,
  ensureJobNetwork,
  type NetworkPolicy,
  networkOf,
  writeHosts,
} from './network.ts';
import { RunOutput } from './output.ts';
import { ImagePulls } from './pulls.ts';
import { hubAccount } from './registry-account.ts';
import { checkResultSize, watchResultSize } from './result-size.ts';
import { Semaphore } from './semaphore.ts';

/** Settings of the Docker engine of one thread. */
export interface DockerEngineOptions extends NetworkPolicy {
  readonly nodeId: string;
  /** As `parseDockerHost` reads it. */
  readonly dockerHost: string;
  /** Containers this engine creates or starts at once. */
  readonly createsAtOnce: number;
  /** Docker Hub account; "" for none. */
  readonly dockerUsername: string;
  readonly dockerPassword: string;
}

export interface DockerEngineModules {
  log(level: 'warn' | 'error', text: string, fields: Readonly<Record<string, string | number>>): void;
}

/** How the supervision of a started container ended. */
type RunEnd =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'stopped'; readonly reason: StopReason }
  | { readonly kind: 'failed'; readonly error: NodeError };

/** Everything a connection to Docker carries, made with the first run. */
interface Connection {
  readonly client: DockerClient;
  readonly pulls: ImagePulls;
}

/** A killed process's exit code; who killed it is asked of Docker. */
const SIGKILL_EXIT = 137;
/** Docker hears of a kill for want of memory on another channel than of the exit. */
const OOM_NEWS_MS = 100;
/** Creates that may fail for a reason this engine can remove: the image was missing, the name was taken. */
const CREATE_ATTEMPTS = 3;

/** Runs executions as containers of a Docker Engine. Removes every container it made, but when it is detached. */
export class DockerEngine implements Engine {
  readonly type = 'docker';
  readonly #options: DockerEngineOptions;
  #networks: NetworkPolicy;
  readonly #modules: DockerEngineModules;
  readonly #creates: Semaphore;
  #connection: Connection | undefined;
  #network: Promise<string> | undefined;
  /** False once Docker did not see a file that this node has written. */
  #sharesFiles = true;

  constructor(options: DockerEngineOptions, modules: DockerEngineModules) {
    this.#options = options;
    this.#networks = options;
    this.#modules = modules;
    this.#creates = new Semaphore(options.createsAtOnce);
  }

  /** Holds for runs that begin from now on. */
  setNetworkPolicy(policy: NetworkPolicy): void {
    this.#networks = policy;
  }

  async run(request: RunRequest, context: RunContext): Promise<RunCommandResult> {
    const task = request.spec.Tasks[0];
    const params = parseDockerParams(task.Engine.Params);
    const network = networkOf(task.Network, this.#networks);
    throwIfStopped(context.signal);
    const { client, pulls } = this.#connect();
    const output = await RunOutput.create(request.resultsDirectory, request.maxStreamBytes, () =>
      context.report({ kind: 'output' }),
    );
    try {
      const devices = await containerDevices(request.gpus);
      const link = await this.#link(client, network, request);
      const bodyWith = (link: ContainerLink): ContainerBody =>
        containerBody(this.#options.nodeId, params, request, link, devices);
      const create = (name: string): Promise<string> => this.#create(client, name, link, bodyWith);
      return await this.#runContainer(client, pulls, create, params, request, context, output);
    } catch (error) {
      throw context.signal.aborted && error === context.signal.reason
        ? toStopError(context.signal.reason as StopReason)
        : error;
    } finally {
      await output.close();
    }
  }

  /** @throws NodeError ConfigInvalid for a malformed address */
  #connect(): Connection {
    if (this.#connection !== undefined) return this.#connection;
    const { dockerHost, dockerUsername: username, dockerPassword: password } = this.#options;
    const client = new DockerClient(parseDockerHost(dockerHost));
    this.#connection = { client, pulls: new ImagePulls(client, hubAccount(username, password)) };
    return this.#connection;
  }

  async #jobNetwork(client: DockerClient): Promise<string> {
    this.#network ??= ensureJobNetwork(client, this.#options.nodeId).catch((error: unknown) => {
      this.#network = undefined;
      throw error;
    });
    return await this.#network;
  }

  /**
   * A container without network is left alone by Docker's networking, which before Docker 28 runs a second
   * dockerd for each, to set up no more than the loopback that the runtime has set up already: half of all its work.
   */
  async #link(client: DockerClient, network: ContainerNetwork, request: RunRequest): Promise<ContainerLink> {
    if (network === 'bridge') return { mode: await this.#jobNetwork(client) };
    if (network === 'host' || !this.#sharesFiles) return { mode: network };
    return { mode: network, hostsFile: await writeHosts(request) };
  }

  async #create(
    client: DockerClient,
    name: string,
    link: ContainerLink,
    bodyWith: (link: ContainerLink) => ContainerBody,
  ): Promise<string> {
    try {
      return await client.create(name, bodyWith(link));
    } catch (error) {
      if (link.hostsFile === undefined || !isSourceMissing(error, link.hostsFile)) throw error;
      this.#sharesFiles = false;
      return await client.create(name, bodyWith({ mode: link.mode }));
    }
  }

  async #runContainer(
    client: DockerClient,
    pulls: ImagePulls,
    create: (name: string) => Promise<string>,
    params: DockerParams,
    request: RunRequest,
    context: RunContext,
    output: RunOutput,
  ): Promise<RunCommandResult> {
    const name = containerName(this.#options.nodeId, request.header);
    const image = params.image.full;
    for (let attempt = 1; ; attempt++) {
      const release = await this.#creates.acquire(context.signal);
      let id: string;
      try {
        id = await create(name);
      } catch (error) {
        release();
        if (attempt < CREATE_ATTEMPTS && isImageMissing(error)) {
          await pulls.pull(params.image, context.signal, (progress) =>
            context.report({ kind: 'pulling', image, ...progress }),
          );
          continue;
        }
        // No answer: the container may be there all the same. Name taken: a run of before left it behind.
        if (mayHaveArrived(error) || isNameTaken(error)) await this.#remove(client, name);
        if (attempt < CREATE_ATTEMPTS && isNameTaken(error)) continue;
        throw toCreateError(error, image);
      }
      let leave = false;
      try {
        const end = await this.#startAndSupervise(client, id, image, release, request, context, output);
        leave = end.kind === 'stopped' && end.reason.kind === 'detach';
        return await this.#conclude(client, id, end, request, output);
      } finally {
        release();
        if (!leave) await this.#remove(client, id);
      }
    }
  }

  /** Starts the container, gives its permit back, and follows it until it ends or must end. */
  async #startAndSupervise(
    client: DockerClient,
    id: string,
    image: string,
    release: () => void,
    request: RunRequest,
    context: RunContext,
    output: RunOutput,
  ): Promise<RunEnd> {
    // A stop before the start leaves nothing worth keeping, not even when it is a detach.
    throwIfStopped(context.signal);
    const [exit, stream] = await attachAndWatch(client, id);
    const copying = output.copy(stream);
    copying.catch(() => undefined);
    try {
      await client.start(id);
    } catch (error) {
      exit.cancel();
      stream.destroy();
      await copying.catch(() => undefined);
      // It may have been for the network, which an operator can remove.
      this.#network = undefined;
      throw toStartError(error, image);
    }
    release();
    if (!context.signal.aborted) context.report({ kind: 'running' });

    const over = new AbortController();
    const failed = (error: unknown): RunEnd => ({ kind: 'failed', error: asNodeError(error) });
    const never = new Promise<never>(() => undefined);
    const end = await Promise.race([
      stopped(context.signal, over.signal),
      exitOf(client, id, exit, over.signal).then((code): RunEnd => ({ kind: 'exited', code }), failed),
      // Its end without an error is no news: a container may close its streams and go on.
      copying.then(() => never, failed),
      watchResultSize(resultPaths(request), request.maxResultBytes, over.signal).then(() => never, failed),
    ]);
    over.abort();
    const detached = end.kind === 'stopped' && end.reason.kind === 'detach';
    if (end.kind === 'stopped' && !detached) await this.#attempt(id, 'stop', () => client.stop(id));
    if (end.kind === 'failed') await this.#attempt(id, 'kill', () => client.kill(id));
    // What an exited container printed last may still be too much, or may not have come through.
    const broken = detached ? undefined : await failureWithin(copying, dockerLimits.logTailMs);
    stream.destroy();
    exit.cancel();
    await copying.catch(() => undefined);
    return end.kind === 'exited' && broken !== undefined ? failed(broken) : end;
  }

  /** Writes what is left to write and says how the run ended. */
  async #conclude(
    client: DockerClient,
    id: string,
    end: RunEnd,
    request: RunRequest,
    output: RunOutput,
  ): Promise<RunCommandResult> {
    if (end.kind === 'stopped' && end.reason.kind === 'detach') throw toStopError(end.reason);
    let state = isClean(end)
      ? undefined
      : await client.inspect(id).catch((error: unknown) => {
          // A run that has failed already keeps its own reason.
          if (end.kind === 'exited') throw error;
          return undefined;
        });
    if (end.kind === 'exited' && end.code === SIGKILL_EXIT && state?.oomKilled === false) {
      await new Promise((resolve) => setTimeout(resolve, OOM_NEWS_MS));
      state = await client.inspect(id);
    }
    const code = end.kind === 'exited' ? end.code : state?.exitCode;
    if (code !== undefined) await writeFile(join(request.resultsDirectory, 'exitCode'), String(code));
    switch (end.kind) {
      case 'stopped':
        throw toStopError(end.reason);
      case 'failed':
        throw end.error;
      case 'exited': {
        if (state?.oomKilled === true) throw outOfMemory(request);
        await checkResultSize(resultPaths(request), request.maxResultBytes);
        return { ...output.inline(), ExitCode: end.code, ErrorMsg: '' };
      }
    }
  }

  /** For steps on the way to a removal, which is tried in any case. */
  async #attempt(id: string, what: string, step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      this.#modules.log('warn', `could not ${what} a container`, { container: id, error: reasonOf(error) });
    }
  }

  /** A container that cannot be removed is removed at the next start; the run has its end nevertheless. */
  async #remove(client: DockerClient, idOrName: string): Promise<void> {
    try {
      await client.remove(idOrName);
    } catch (error) {
      this.#modules.log('error', 'a container could not be removed', {
        container: idOrName,
        error: reasonOf(error),
      });
    }
  }
}

function stopped(signal: AbortSignal, over: AbortSignal): Promise<RunEnd> {
  return new Promise((resolve) => {
    const stop = (): void => resolve({ kind: 'stopped', reason: signal.reason as StopReason });
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true, signal: over });
  });
}

/** What `promise` rejects with in the next `ms`; undefined when it does not. */
async function failureWithin(promise: Promise<void>, ms: number): Promise<unknown> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  try {
    await Promise.race([promise, late]);
    return undefined;
  } catch (error) {
    return error;
  } finally {
    clearTimeout(timer);
  }
}

/** A job that survives the end of one of its processes for want of memory has a result of its own: nothing is left to ask. */
function isClean(end: RunEnd): boolean {
  return end.kind === 'exited' && end.code === 0;
}

function throwIfStopped(signal: AbortSignal): void {
  if (signal.aborted) throw toStopError(signal.reason as StopReason);
}

function resultPaths(request: RunRequest): string[] {
  const paths = request.spec.Tasks[0].ResultPaths ?? [];
  return paths.map((path) => join(request.resultsDirectory, path.Name));
}

function outOfMemory(request: RunRequest): NodeError {
  const limit = formatBytes(request.header.resources.memory);
  return new NodeError('OutOfMemory', `the job exceeded its memory limit of ${limit} and was ended`);
}

function asNodeError(error: unknown): NodeError {
  if (error instanceof NodeError) return error;
  return new NodeError('EngineFailed', error instanceof Error ? error.message : String(error), {
    cause: error,
  });
}
