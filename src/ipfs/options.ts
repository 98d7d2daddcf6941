import type { Setting, SettingReader } from '../config/table.ts';

/** Which IPFS node is used. */
export interface IpfsConfig {
  /** Multiaddr or URL of a Kubo daemon's RPC; "" means the embedded node. */
  readonly connect: string;
  /** Authorization header for it; "" for none. */
  readonly authorization: string;
  /** Multiaddrs the embedded node keeps connections to. */
  readonly peers: readonly string[];
}

export const ipfsSettings: readonly Setting[] = [
  {
    key: 'IPFS.Connect',
    aliases: ['Node.IPFS.Connect', 'InputSources.Types.IPFS.Endpoint', 'Publishers.Types.IPFS.Endpoint'],
    flag: 'ipfs-connect',
    kind: 'string',
    format: 'rpc-address',
    default: '',
    unset: 'the embedded IPFS node',
    doc: 'Multiaddr (or URL) of the RPC address of a running IPFS daemon.',
  },
  {
    key: 'IPFS.Authorization',
    env: ['BACALHAU_IPFS_AUTHORIZATION'],
    kind: 'string',
    default: '',
    secret: true,
    doc: 'Authorization header for the IPFS daemon, for example "Basic dXNlcjpwYXNz".',
  },
  {
    key: 'IPFS.SwarmAddresses',
    aliases: ['Node.IPFS.SwarmAddresses'],
    flag: 'ipfs-swarm-addrs',
    env: ['BACALHAU_IPFS_SWARM_ADDRESSES'],
    kind: 'list',
    format: 'multiaddr',
    default: '',
    unset: 'no IPFS peers',
    doc: 'Multiaddrs of IPFS nodes that the embedded node exchanges blocks with.',
  },
];

export function readIpfs(settings: SettingReader): IpfsConfig {
  if (settings.isSet('IPFS.Connect') && settings.isSet('IPFS.SwarmAddresses')) {
    settings.fault(
      'IPFS.SwarmAddresses',
      'the embedded IPFS node is not started when an IPFS daemon is named (--ipfs-connect); connect that daemon to its peers instead',
    );
  }
  if (settings.isSet('IPFS.Authorization') && !settings.isSet('IPFS.Connect')) {
    settings.fault(
      'IPFS.Authorization',
      'needs the IPFS daemon it is for: set IPFS.Connect (--ipfs-connect)',
    );
  }
  return {
    connect: settings.text('IPFS.Connect'),
    authorization: settings.text('IPFS.Authorization'),
    peers: settings.list('IPFS.SwarmAddresses'),
  };
}
