import { NodeError } from '../../core/errors.ts';
import { DockerApi, type DockerCall } from './docker-api.ts';
import { type DockerEndpoint, formatEndpoint, parseDockerHost } from './endpoint.ts';
import { asEngineError, DockerRefusal, unless } from './errors.ts';
import { NODE_LABEL } from './labels.ts';

/* The few calls the main thread makes: is Docker there, and what did an earlier run leave behind. */

/** What an answering Docker Engine says of itself. */
export interface DockerInfo {
  /** "28.2.2". */
  readonly version: string;
  readonly apiVersion: string;
  /** As image platforms name them: "linux", "amd64". */
  readonly os: string;
  readonly arch: string;
}

const DEFAULT_PING_MS = 2000;
const DEFAULT_REAP_MS = 60_000;
const REMOVALS_AT_ONCE = 4;
/** The API version since which all calls and fields in use exist (Docker 20.10). */
const OLDEST_API = '1.41';

/**
 * Asks a Docker Engine for its version.
 * @throws NodeError EngineUnavailable when it does not answer in `timeoutMs` (default 2 s), or is too old
 */
export async function pingDocker(options: {
  readonly dockerHost: string;
  readonly timeoutMs?: number;
}): Promise<DockerInfo> {
  const endpoint = parseDockerHost(options.dockerHost);
  // By its types, dockerode's own call cannot be aborted.
  const answer = await new DockerApi(endpoint)
    .dial('ask for the version', options.timeoutMs ?? DEFAULT_PING_MS, { method: 'GET', path: '/version' })
    .catch((error: unknown) => {
      if (error instanceof DockerRefusal) throw noDocker(endpoint, error.message);
      throw error;
    });
  const { Version, ApiVersion, Os, Arch } = (answer ?? {}) as Record<string, unknown>;
  if (
    typeof Version !== 'string' ||
    typeof ApiVersion !== 'string' ||
    typeof Os !== 'string' ||
    typeof Arch !== 'string'
  ) {
    throw noDocker(endpoint, 'an answer without one');
  }
  if (isOlder(ApiVersion, OLDEST_API)) {
    throw new NodeError(
      'EngineUnavailable',
      `Docker ${Version} at ${formatEndpoint(endpoint)} speaks API ${ApiVersion} (expected ${OLDEST_API} or later)`,
    );
  }
  return { version: Version, apiVersion: ApiVersion, os: Os, arch: Arch };
}

/**
 * Removes every container, with its volumes, and every network that carries this node's label. Used at start,
 * before anything runs. Returns how many containers were removed.
 * @throws NodeError EngineUnavailable when Docker does not answer in `timeoutMs` (default 60 s, each call);
 * EngineFailed when a container cannot be removed
 */
export async function reapContainers(
  options: { readonly dockerHost: string; readonly timeoutMs?: number },
  nodeId: string,
): Promise<number> {
  const api = new DockerApi(parseDockerHost(options.dockerHost));
  const timeoutMs = options.timeoutMs ?? DEFAULT_REAP_MS;
  const filters = { label: [`${NODE_LABEL}=${nodeId}`] };
  const containers = await api
    .call('list containers', timeoutMs, (docker, abortSignal) =>
      docker.listContainers({ all: true, filters, abortSignal }),
    )
    .catch(asEngineError('list containers'));
  const remove = async (what: string, call: DockerCall<unknown>): Promise<void> => {
    // 404: gone already; 409: its removal is under way.
    await api.call(what, timeoutMs, call).catch(unless(404, 409)).catch(asEngineError(what));
  };
  const left = containers.values();
  const removeSome = async (): Promise<void> => {
    for (const { Id } of left) {
      await remove('remove a container', (docker, abortSignal) =>
        docker.getContainer(Id).remove({ force: true, v: true, abortSignal }),
      );
    }
  };
  await Promise.all(Array.from({ length: REMOVALS_AT_ONCE }, removeSome));
  const networks = await api
    .call('list networks', timeoutMs, (docker, abortSignal) => docker.listNetworks({ filters, abortSignal }))
    .catch(asEngineError('list networks'));
  for (const { Id } of networks) {
    await remove('remove a network', (docker, abortSignal) => docker.getNetwork(Id).remove({ abortSignal }));
  }
  return containers.length;
}

function noDocker(endpoint: DockerEndpoint, instead: string): NodeError {
  return new NodeError(
    'EngineUnavailable',
    `${formatEndpoint(endpoint)} is no Docker Engine (expected a version from GET /version, got ${instead})`,
  );
}

function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [thanMajor = 0, thanMinor = 0] = than.split('.').map(Number);
  return major < thanMajor || (major === thanMajor && minor < thanMinor);
}
