import type { LookupAddress } from 'node:dns';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { NodeError } from '../core/errors.ts';

/** Addresses of a name. `node:dns/promises` lookup with `all`. */
export type Resolve = (hostname: string) => Promise<readonly LookupAddress[]>;

/** Decides which addresses a job's URL may reach. */
export interface AddressGuard {
  /**
   * The addresses of `hostname` that may be connected to, never none.
   * @throws NodeError InputForbidden when it has none, InputUnavailable when the name does not resolve
   */
  addresses(hostname: string, port: number): Promise<readonly LookupAddress[]>;
}

interface HostRule {
  readonly host: string;
  /** Undefined: any port. */
  readonly port: number | undefined;
}

type Cidr = readonly [ipaddr.IPv4 | ipaddr.IPv6, number];

/**
 * A guard that lets only public unicast addresses pass (RFC 6890), and those of the allow-list: hosts,
 * "host:port", or CIDRs.
 * @throws NodeError ConfigInvalid for an entry that is none of these
 */
export function createAddressGuard(allowList: readonly string[], resolve: Resolve): AddressGuard {
  const hosts: HostRule[] = [];
  const networks: Cidr[] = [];
  for (const entry of allowList) {
    if (entry.includes('/')) networks.push(parseNetwork(entry));
    else hosts.push(parseHost(entry));
  }

  return {
    async addresses(hostname, port) {
      const host = hostname.replace(/^\[|\]$/g, '').toLowerCase();
      const listed = hosts.some((rule) => rule.host === host && (rule.port ?? port) === port);
      const found = await lookUp(host, resolve);
      const usable = listed
        ? found
        : found.filter(({ address }) => isPublicAddress(address) || isInside(address, networks));
      if (usable.length > 0) return usable;
      throw new NodeError(
        'InputForbidden',
        `urlDownload: ${host} has no public address (${found.map(({ address }) => address).join(', ')}), and this node downloads from private ones only where its allow-list names them (--url-allow-list)`,
      );
    },
  };
}

async function lookUp(host: string, resolve: Resolve): Promise<readonly LookupAddress[]> {
  if (isIP(host) !== 0) return [{ address: host, family: host.includes(':') ? 6 : 4 }];
  let found: readonly LookupAddress[];
  try {
    found = await resolve(host);
  } catch (thrown) {
    throw new NodeError('InputUnavailable', `urlDownload: the name ${host} does not resolve`, {
      cause: thrown,
    });
  }
  if (found.length === 0) {
    throw new NodeError('InputUnavailable', `urlDownload: the name ${host} has no address`);
  }
  return found;
}

/** The only IPv6 block of global unicast (RFC 4291); everything else is local, reserved or leads to IPv4. */
const GLOBAL_UNICAST: Cidr = ipaddr.parseCIDR('2000::/3');

/** True for an address of the public Internet; false for everything else and for text that is no address. */
export function isPublicAddress(text: string): boolean {
  // A zone ("fe80::1%eth0") names a local interface.
  if (text.includes('%') || isIP(text) === 0) return false;
  const address = ipaddr.parse(text);
  if (address.range() !== 'unicast') return false;
  return address.kind() === 'ipv4' || inNetwork(address, GLOBAL_UNICAST);
}

function isInside(text: string, networks: readonly Cidr[]): boolean {
  if (text.includes('%') || isIP(text) === 0) return false;
  const address = ipaddr.parse(text);
  return networks.some((network) => inNetwork(address, network));
}

function inNetwork(address: ipaddr.IPv4 | ipaddr.IPv6, [base, bits]: Cidr): boolean {
  return address.kind() === base.kind() && address.match(base, bits);
}

function parseNetwork(entry: string): Cidr {
  try {
    return ipaddr.parseCIDR(entry.trim());
  } catch {
    throw new NodeError(
      'ConfigInvalid',
      `URL allow-list: ${entry} is no network (expected CIDR such as 10.0.0.0/8 or fd00::/8)`,
    );
  }
}

function parseHost(entry: string): HostRule {
  const text = entry.trim().toLowerCase();
  const bare = text.replace(/^\[|\]$/g, '');
  if (isIP(bare) !== 0) return { host: bare, port: undefined };
  const match = /^(?:\[([0-9a-f:.]+)\]|([^\s:/[\]@]+))(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined) {
    throw new NodeError(
      'ConfigInvalid',
      `URL allow-list: ${entry} is neither a host, a "host:port" nor a CIDR`,
    );
  }
  return { host, port: match?.[3] === undefined ? undefined : Number(match[3]) };
}
