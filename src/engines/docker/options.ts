import type { Setting, SettingReader } from '../../config/table.ts';

/** The Docker Engine and the registry account. */
export interface DockerConfig {
  /** Socket path or URL ("unix:///…", "tcp://…"); "" means the engine's standard socket. */
  readonly host: string;
  /** Registry account for private images; "" for none. */
  readonly username: string;
  readonly password: string;
}

export const dockerSettings: readonly Setting[] = [
  {
    key: 'Engines.Types.Docker.Host',
    flag: 'docker-host',
    env: ['DOCKER_HOST'],
    kind: 'string',
    default: '',
    unset: '/var/run/docker.sock',
    doc: 'Address of the Docker Engine: unix:///path or tcp://host:port.',
  },
  {
    key: 'Engines.Types.Docker.Username',
    env: ['DOCKER_USERNAME'],
    kind: 'string',
    default: '',
    unset: 'none',
    doc: 'Registry account for private images.',
  },
  {
    key: 'Engines.Types.Docker.Password',
    env: ['DOCKER_PASSWORD'],
    kind: 'string',
    default: '',
    secret: true,
    doc: 'Password or token of that account.',
  },
];

const HOST = /^(?:\/|unix:\/\/\/|tcp:\/\/|http:\/\/)/;

export function readDocker(settings: SettingReader): DockerConfig {
  const host = settings.text('Engines.Types.Docker.Host');
  const username = settings.text('Engines.Types.Docker.Username');
  const password = settings.text('Engines.Types.Docker.Password');
  if (host !== '' && !HOST.test(host)) {
    settings.fault(
      'Engines.Types.Docker.Host',
      `"${host}" is neither a socket path, nor unix:///path, nor tcp://host:port`,
    );
  }
  if ((username === '') !== (password === '')) {
    settings.fault(
      username === '' ? 'Engines.Types.Docker.Password' : 'Engines.Types.Docker.Username',
      'a registry account needs both DOCKER_USERNAME and DOCKER_PASSWORD',
    );
  }
  return { host, username, password };
}
