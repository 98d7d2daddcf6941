import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { NodeConfig } from '../config/load.ts';
import { parseIpfsConnect } from '../ipfs/connect.ts';
import { createAddressGuard } from '../storages/address-guard.ts';

const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', '::1', 'localhost']);
const EVERYWHERE: ReadonlySet<string> = new Set(['0.0.0.0', '::', '']);

/** Addresses of the config that only their users can judge. @throws NodeError ConfigInvalid */
export function checkAddresses(config: NodeConfig): void {
  if (config.ipfs.connect !== '') parseIpfsConnect(config.ipfs.connect);
  createAddressGuard(config.execute.urlAllowList, () => Promise.resolve([]));
}

/** A port of `host` that is free now: for links that must name it before the server listens. */
export function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, host, () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** What clients reach this node at: as configured, else where the API listens. */
export function advertisedUrl(config: NodeConfig, apiPort: number): string {
  if (config.publish.advertisedUrl !== '') return config.publish.advertisedUrl;
  const { host } = config.api;
  const name = EVERYWHERE.has(host) ? (firstPublicAddress() ?? '127.0.0.1') : host;
  return urlOf(config.api.tlsFiles.certFile === '' ? 'http' : 'https', name, apiPort);
}

/** Base URL of a listener, without a slash at its end. */
export function urlOf(scheme: 'http' | 'https', host: string, port: number): string {
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** What a listener that others reach exposes, one sentence each. */
export function exposureWarnings(config: NodeConfig): string[] {
  const { host, port } = config.api;
  const swarm = swarmWarning(config);
  if (LOOPBACK.has(host)) return swarm;
  const reach = `the REST API listens on ${host} without authentication: whoever reaches port ${port} can run jobs here, stop them and read their results (--api-host 127.0.0.1 keeps it to this machine)`;
  if (!config.bid.acceptNetworked) return [...swarm, reach];
  return [
    ...swarm,
    reach,
    `networked jobs are accepted, and their containers reach port ${port} at the address of their gateway: keep them from it as docs/DOCKER.md says`,
  ];
}

function swarmWarning({ node, bid, p2p }: NodeConfig): string[] {
  if (!node.roles.compute || bid.acceptBidsFrom !== 'any' || LOOPBACK.has(p2p.host)) return [];
  const how = '--accept-bids-from <peer ids> or none, or --swarm-host 127.0.0.1';
  return [
    `the swarm listens on ${p2p.host}: any node that reaches port ${p2p.port} may offer jobs to this one (${how} narrows that)`,
  ];
}

function firstPublicAddress(): string | undefined {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const address of addresses ?? []) {
      if (!address.internal && address.family === 'IPv4') return address.address;
    }
  }
  return undefined;
}
