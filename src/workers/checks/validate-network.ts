import { isIP } from 'node:net';
import type { NetworkConfig, PortMapping } from '../../core/job.ts';
import type { Faults } from './faults.ts';

/** A host name, with an optional leading dot that stands for all its sub-domains. */
const DOMAIN = /^\.?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const PORT_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const LOWEST_STATIC = 1024;
const HIGHEST = 65_535;

/** Bacalhau v1.9's `NetworkConfig.Validate`: domains belong to HTTP, ports to Host, Full and Bridge. */
export function validateNetwork(network: NetworkConfig, path: string, faults: Faults): void {
  const domains = network.Domains ?? [];
  if (domains.length > 0 && network.Type !== 'HTTP') {
    faults.add(`${path}.Domains`, `only a network of type HTTP has domains (this one is ${network.Type})`);
  }
  for (const [index, domain] of domains.entries()) {
    if (isIP(domain) === 0 && (domain.length > 253 || !DOMAIN.test(domain))) {
      faults.add(
        `${path}.Domains[${index}]`,
        `${JSON.stringify(domain)} is neither a domain nor an IP address`,
      );
    }
  }
  const ports = network.Ports ?? [];
  if (ports.length === 0) return;
  if (network.Type !== 'Host' && network.Type !== 'Full' && network.Type !== 'Bridge') {
    faults.add(
      `${path}.Ports`,
      `only networks of type Host, Full and Bridge have ports (this one is ${network.Type})`,
    );
  }
  validatePorts(ports, network, `${path}.Ports`, faults);
}

function validatePorts(
  ports: readonly PortMapping[],
  network: NetworkConfig,
  path: string,
  faults: Faults,
): void {
  const seen = { names: new Set<string>(), fixed: new Set<number>(), targets: new Set<number>() };
  for (const [index, port] of ports.entries()) {
    const at = `${path}[${index}]`;
    const { Static: fixed = 0, Target: target = 0, HostNetwork: host = '' } = port;
    if (!PORT_NAME.test(port.Name)) {
      faults.add(`${at}.Name`, 'expected a letter or underscore, then letters, digits and underscores');
    } else once(seen.names, port.Name.toUpperCase(), `${at}.Name`, faults);
    if (fixed !== 0 && (fixed < LOWEST_STATIC || fixed > HIGHEST)) {
      faults.add(`${at}.Static`, `expected 0 or a port from ${LOWEST_STATIC} to ${HIGHEST} (got ${fixed})`);
    } else if (fixed !== 0) once(seen.fixed, fixed, `${at}.Static`, faults);
    if (target < 0 || target > HIGHEST) {
      faults.add(`${at}.Target`, `expected a port from 0 to ${HIGHEST} (got ${target})`);
    } else if (target !== 0 && network.Type === 'Host') {
      faults.add(`${at}.Target`, 'a network of type Host maps no ports (expected Bridge or Full)');
    } else if (target !== 0) once(seen.targets, target, `${at}.Target`, faults);
    if (host !== '' && isIP(host) === 0) faults.add(`${at}.HostNetwork`, 'expected an IP address');
  }
}

function once<T>(seen: Set<T>, value: T, path: string, faults: Faults): void {
  if (seen.has(value)) faults.add(path, `duplicate (${String(value)} is used by another port)`);
  seen.add(value);
}
