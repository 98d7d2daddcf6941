import { NodeError } from '../../core/errors.ts';

/** Where a Docker Engine listens. */
export type DockerEndpoint =
  | { readonly kind: 'socket'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

const DEFAULT_SOCKET = '/var/run/docker.sock';
const DEFAULT_TCP_PORT = 2375;

/**
 * Reads a Docker host: a socket path, "unix:///path", "tcp://host:port" or "http://host:port";
 * "" is the system's socket.
 * @throws NodeError ConfigInvalid
 */
export function parseDockerHost(text: string): DockerEndpoint {
  const value = text.trim();
  if (value === '') return { kind: 'socket', path: DEFAULT_SOCKET };
  if (value.startsWith('/')) return { kind: 'socket', path: value };
  if (value.startsWith('unix://')) return { kind: 'socket', path: value.slice(7) || DEFAULT_SOCKET };
  if (/^(tcp|http):\/\//.test(value) && URL.canParse(value.replace(/^tcp:/, 'http:'))) {
    const url = new URL(value.replace(/^tcp:/, 'http:'));
    const port = /:(\d+)\/?$/.exec(value)?.[1];
    return {
      kind: 'tcp',
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: port === undefined ? DEFAULT_TCP_PORT : Number(port),
    };
  }
  throw new NodeError(
    'ConfigInvalid',
    `Docker host ${text} is not supported (expected a socket path, unix:///path or tcp://host:port)`,
  );
}

/** For messages: what an operator would write. */
export function formatEndpoint(endpoint: DockerEndpoint): string {
  return endpoint.kind === 'socket' ? endpoint.path : `tcp://${endpoint.host}:${endpoint.port}`;
}
