import type { Setting, SettingReader } from '../../config/table.ts';

/** Where the REST API listens and how it guards itself. */
export interface ApiConfig {
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  /** Requests a second that one client address may make; 0 means no limit. The loopback is never limited. */
  readonly rateLimitPerSecond: number;
}

export const apiSettings: readonly Setting[] = [
  {
    key: 'API.Host',
    aliases: ['Node.ServerAPI.Host'],
    flag: 'api-host',
    env: ['BACALHAU_SERVER_HOST'],
    // BACALHAU_API_HOST says whom the client commands call.
    keyEnv: false,
    kind: 'string',
    default: '127.0.0.1',
    doc: 'Address the REST API listens on.',
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
    key: 'API.RateLimit',
    flag: 'api-rate-limit',
    kind: 'integer',
    min: 0,
    default: '1000',
    doc: 'Requests a second from one client address before it is answered 429; 0 means no limit. Clients on this machine are never limited.',
  },
];

export function readApi(settings: SettingReader): ApiConfig {
  return {
    host: settings.text('API.Host'),
    port: settings.integer('API.Port'),
    rateLimitPerSecond: settings.integer('API.RateLimit'),
  };
}
