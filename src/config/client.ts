import { NodeError } from '../core/errors.ts';
import type { Environment } from './environment.ts';

/** Whom the client commands call. */
export interface ClientConfig {
  /** "http://127.0.0.1:1234", no trailing slash. */
  readonly baseUrl: string;
}

const DEFAULT_HOST = '127.0.0.1';
const DEFAULT_PORT = '1234';

/**
 * Flag over BACALHAU_API_HOST and BACALHAU_API_PORT over http://127.0.0.1:1234. The host may be a whole URL; a port in
 * it wins over the environment's, a port flag wins over it.
 * @throws NodeError ConfigInvalid
 */
export function clientConfig(
  flags: { readonly host: string | undefined; readonly port: string | undefined },
  env: Environment,
): ClientConfig {
  const host = flags.host || env['BACALHAU_API_HOST'] || DEFAULT_HOST;
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(host);
  const bare =
    host.includes(':') && !host.includes('.') && host.split(':').length > 2 && !host.startsWith('[');
  const text = hasScheme ? host : `http://${bare ? `[${host}]` : host}`;
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw new NodeError(
      'ConfigInvalid',
      `"${host}" is neither a host nor an http(s) URL (--api-host or BACALHAU_API_HOST)`,
    );
  }
  const url = new URL(text);
  const port = flags.port ?? (url.port !== '' || hasScheme ? '' : (env['BACALHAU_API_PORT'] ?? DEFAULT_PORT));
  if (port !== '') {
    if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535 || Number(port) === 0) {
      throw new NodeError(
        'ConfigInvalid',
        `"${port}" is not a port from 1 to 65535 (--api-port or BACALHAU_API_PORT)`,
      );
    }
    url.port = port;
  }
  // 0.0.0.0 is where a server listens; it is nobody's address.
  if (url.hostname === '0.0.0.0') url.hostname = DEFAULT_HOST;
  return { baseUrl: `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, '')}` };
}
