import type { Setting, SettingReader } from '../../config/table.ts';

/** The libp2p host. */
export interface P2pConfig {
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  /** Multiaddrs of the nodes to join. */
  readonly peers: readonly string[];
}

export const p2pSettings: readonly Setting[] = [
  {
    key: 'Libp2p.SwarmHost',
    flag: 'swarm-host',
    kind: 'string',
    default: '0.0.0.0',
    doc: 'Address the libp2p swarm listens on.',
  },
  {
    key: 'Libp2p.SwarmPort',
    aliases: ['Node.Libp2p.SwarmPort'],
    flag: 'port',
    flagAliases: ['swarm-port'],
    kind: 'port',
    default: '1235',
    doc: 'Port the libp2p swarm listens on; 0 picks a free one.',
  },
  {
    key: 'Libp2p.Peers',
    aliases: ['Node.Libp2p.PeerConnect', 'Node.BootstrapAddresses'],
    flag: 'peer',
    kind: 'list',
    format: 'multiaddr',
    default: '',
    unset: 'no peers',
    doc: 'Multiaddrs of the nodes to join; "none" means none.',
  },
];

export function readP2p(settings: SettingReader): P2pConfig {
  return {
    host: settings.text('Libp2p.SwarmHost'),
    port: settings.integer('Libp2p.SwarmPort'),
    peers: settings.list('Libp2p.Peers'),
  };
}
