import type { Setting, SettingReader } from '../../config/table.ts';
import type { Limits } from '../../core/limits.ts';
import type { TlsIdentity } from './tls.ts';
import type { BuildInfo } from './wire/node.ts';

/** Which server the API runs on; `auto` is uWebSockets.js where it loads. */
export type ServerKind = 'auto' | 'uws' | 'node';

const SERVER_KINDS: readonly ServerKind[] = ['auto', 'uws', 'node'];

/** The REST API, as it is configured. */
export interface ApiConfig {
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  readonly server: ServerKind;
  /** PEM files; "" where the API is served in the clear. */
  readonly tlsFiles: { readonly certFile: string; readonly keyFile: string };
  /** Requests a second of one remote address; the loopback has none. 0 means no limit. */
  readonly requestsPerSecond: number;
  readonly maxConnections: number;
  /** Time a request may take from its headers to its answer; streams have none. */
  readonly requestTimeoutMs: number;
  /** Origins of web pages that may read events, beside those of the node's own machine. */
  readonly allowedOrigins: readonly string[];
}

/** What the API needs to know besides where to listen. */
export interface ApiOptions extends Omit<ApiConfig, 'host' | 'port' | 'server' | 'tlsFiles'> {
  readonly tls?: TlsIdentity;
  readonly build: BuildInfo;
  readonly limits: Pick<
    Limits,
    'bodyBytes' | 'logReaders' | 'logBufferBytes' | 'eventSubscribers' | 'eventBufferBytes'
  >;
}

/** Rows of the config table. */
export const apiSettings: readonly Setting[] = [
  {
    key: 'API.Host',
    aliases: ['Node.ServerAPI.Host'],
    flag: 'api-host',
    env: ['BACALHAU_SERVER_HOST'],
    // BACALHAU_API_HOST says whom clients call.
    keyEnv: false,
    kind: 'string',
    default: '127.0.0.1',
    doc: 'Address the REST API listens on. There is no authentication: listen wider only on networks you trust.',
  },
  {
    key: 'API.Port',
    aliases: ['Node.ServerAPI.Port'],
    flag: 'api-port',
    env: ['BACALHAU_SERVER_PORT'],
    keyEnv: false,
    kind: 'port',
    default: '1234',
    doc: 'Port the REST API listens on; 0 picks a free one.',
  },
  {
    key: 'API.Server',
    flag: 'api-server',
    kind: 'string',
    choices: SERVER_KINDS,
    default: 'auto',
    doc: 'What serves the API: `uws` is uWebSockets.js, `node` is node:http with ws; `auto` takes uWebSockets.js where its binary loads (Linux with glibc 2.38 or newer) and says at start which it is.',
  },
  {
    key: 'API.TLS.CertFile',
    aliases: ['Node.ServerAPI.TLS.ServerCertificate'],
    flag: 'tlscert',
    env: ['BACALHAU_TLS_CERT'],
    kind: 'string',
    default: '',
    unset: 'no TLS: http and ws',
    doc: 'PEM file with the certificate of the API, the chain behind it included: https and wss, TLS 1.2 or newer. Needs API.TLS.KeyFile.',
  },
  {
    key: 'API.TLS.KeyFile',
    aliases: ['Node.ServerAPI.TLS.ServerKey'],
    flag: 'tlskey',
    env: ['BACALHAU_TLS_KEY'],
    kind: 'string',
    default: '',
    unset: 'no TLS: http and ws',
    doc: 'PEM file with the private key of API.TLS.CertFile, without a passphrase.',
  },
  {
    key: 'API.RateLimit',
    flag: 'api-rate-limit',
    kind: 'integer',
    min: 0,
    default: '1000',
    doc: 'Requests a second of one remote address; 0 means no limit. Requests from this machine are never limited.',
  },
  {
    key: 'API.MaxConnections',
    flag: 'api-max-connections',
    kind: 'integer',
    min: 1,
    default: '4096',
    doc: 'Connections of the REST API that may be open at once.',
  },
  {
    key: 'API.RequestTimeout',
    flag: 'api-request-timeout',
    kind: 'duration',
    default: '30s',
    doc: 'Time a request may take before it is answered with 503. Log streams and downloads have none.',
  },
  {
    key: 'API.AllowedOrigins',
    flag: 'api-allowed-origins',
    kind: 'list',
    format: 'origin',
    default: '',
    unset: 'pages of this machine only',
    doc: 'Origins of web pages that may read the event stream, such as `https://status.example.org`. `*` lets every page that a user of this machine visits read it, and so does `null` (pages opened as files send it, but any page can).',
  },
];

/** The API's slice of the configuration. */
export function readApi(settings: SettingReader): ApiConfig {
  return {
    host: settings.text('API.Host'),
    port: settings.integer('API.Port'),
    server: SERVER_KINDS.find((kind) => kind === settings.text('API.Server')) ?? 'auto',
    tlsFiles: {
      certFile: settings.text('API.TLS.CertFile'),
      keyFile: settings.text('API.TLS.KeyFile'),
    },
    requestsPerSecond: settings.integer('API.RateLimit'),
    maxConnections: settings.integer('API.MaxConnections'),
    requestTimeoutMs: settings.durationMs('API.RequestTimeout'),
    allowedOrigins: settings.list('API.AllowedOrigins'),
  };
}
