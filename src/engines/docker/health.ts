import { NodeError } from '../../core/errors.ts';
import { type DockerAnswer as Answer, callDocker } from './api-call.ts';
import { type DockerEndpoint, formatEndpoint, parseDockerHost } from './endpoint.ts';
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
  const answer = await callDocker(endpoint, {
    method: 'GET',
    path: '/version',
    timeoutMs: options.timeoutMs ?? DEFAULT_PING_MS,
  });
  const { Version, ApiVersion, Os, Arch } = (answer.body ?? {}) as Record<string, unknown>;
  if (
    answer.status !== 200 ||
    typeof Version !== 'string' ||
    typeof ApiVersion !== 'string' ||
    typeof Os !== 'string' ||
    typeof Arch !== 'string'
  ) {
    throw new NodeError(
      'EngineUnavailable',
      `${formatEndpoint(endpoint)} is no Docker Engine (expected a version from GET /version, got status ${answer.status})`,
    );
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
  const endpoint = parseDockerHost(options.dockerHost);
  const timeoutMs = options.timeoutMs ?? DEFAULT_REAP_MS;
  const filters = encodeURIComponent(JSON.stringify({ label: [`${NODE_LABEL}=${nodeId}`] }));
  const containers = await listIds(endpoint, `/containers/json?all=true&filters=${filters}`, timeoutMs);
  const left = containers.values();
  const removeSome = async (): Promise<void> => {
    for (const id of left) await remove(endpoint, `/containers/${id}?force=true&v=true`, timeoutMs);
  };
  await Promise.all(Array.from({ length: REMOVALS_AT_ONCE }, removeSome));
  for (const id of await listIds(endpoint, `/networks?filters=${filters}`, timeoutMs)) {
    await remove(endpoint, `/networks/${id}`, timeoutMs);
  }
  return containers.length;
}

async function listIds(endpoint: DockerEndpoint, path: string, timeoutMs: number): Promise<string[]> {
  const answer = await callDocker(endpoint, { method: 'GET', path, timeoutMs });
  if (answer.status !== 200 || !Array.isArray(answer.body)) throw refused('GET', path, answer);
  return (answer.body as { Id?: unknown }[]).map(({ Id }) => {
    if (typeof Id !== 'string' || !/^[0-9a-zA-Z]+$/.test(Id)) throw refused('GET', path, answer);
    return Id;
  });
}

async function remove(endpoint: DockerEndpoint, path: string, timeoutMs: number): Promise<void> {
  const answer = await callDocker(endpoint, { method: 'DELETE', path, timeoutMs });
  // 404: gone already; 409: its removal is under way.
  if (answer.status >= 300 && answer.status !== 404 && answer.status !== 409) {
    throw refused('DELETE', path, answer);
  }
}

function refused(method: string, path: string, answer: Answer): NodeError {
  const { message } = (answer.body ?? {}) as { message?: unknown };
  const reason = typeof message === 'string' ? message : 'no reason given';
  return new NodeError(
    'EngineFailed',
    `Docker answered ${method} ${path.split('?')[0]} with status ${answer.status}: ${reason}`,
  );
}

function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [thanMajor = 0, thanMinor = 0] = than.split('.').map(Number);
  return major < thanMajor || (major === thanMajor && minor < thanMinor);
}
