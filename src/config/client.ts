import { NodeError } from '../core/errors.ts';
import type { Environment } from './environment.ts';

/** Whom the client commands call. */
export interface ClientConfig {
  /** "http://127.0.0.1:1234", no trailing slash. */
  readonly baseUrl: string;
  /** How the node's certificate is judged, where it is otherwise than by the usual authorities. */
  readonly trust?: Trust;
}

/** A certificate of whom to trust besides the usual authorities, or whether to trust anybody. */
export interface Trust {
  /** PEM file, "" for none. */
  readonly caFile: string;
  readonly insecure: boolean;
}

/** What the flags of a client command say of the node. */
export interface ClientFlags {
  readonly host: string | undefined;
  readonly port: string | undefined;
  readonly tls?: boolean | undefined;
  readonly caCert?: string | undefined;
  readonly insecure?: boolean | undefined;
}

const DEFAULT_HOST = '127.0.0.1';
const DEFAULT_PORT = '1234';

/**
 * Flag over BACALHAU_API_HOST and BACALHAU_API_PORT over http://127.0.0.1:1234. The host may be a whole URL; a port in
 * it wins over the environment's, a port flag wins over it. Whatever is said of TLS means https, unless the host is a
 * URL: that says it itself.
 * @throws NodeError ConfigInvalid
 */
export function clientConfig(flags: ClientFlags, env: Environment): ClientConfig {
  const caFile = flags.caCert || env['BACALHAU_API_CACERT'] || '';
  const insecure = flags.insecure ?? flagOf(env, 'BACALHAU_API_INSECURE');
  const tls = (flags.tls ?? flagOf(env, 'BACALHAU_API_TLS')) || insecure || caFile !== '';
  const baseUrl = baseUrlOf(flags, env, tls ? 'https' : 'http');
  if (caFile === '' && !insecure) return { baseUrl };
  return { baseUrl, trust: { caFile, insecure } };
}

function flagOf(env: Environment, name: string): boolean {
  const text = (env[name] ?? '').toLowerCase();
  if (['', '0', 'f', 'false'].includes(text)) return false;
  if (['1', 't', 'true'].includes(text)) return true;
  throw new NodeError('ConfigInvalid', `${name} is "${text}": expected true or false`);
}

function baseUrlOf(flags: ClientFlags, env: Environment, scheme: 'http' | 'https'): string {
  const host = flags.host || env['BACALHAU_API_HOST'] || DEFAULT_HOST;
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(host);
  const bare =
    host.includes(':') && !host.includes('.') && host.split(':').length > 2 && !host.startsWith('[');
  const text = hasScheme ? host : `${scheme}://${bare ? `[${host}]` : host}`;
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
  return `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, '')}`;
}
