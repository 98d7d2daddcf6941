import { randomUUID } from 'node:crypto';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { NodeError } from '../../core/errors.ts';
import { shortId } from '../../core/ids.ts';
import type { NetworkConfig } from '../../core/job.ts';
import type { RunRequest } from '../engine.ts';
import type { DockerClient } from './client.ts';
import { NODE_LABEL } from './labels.ts';

/** What a container is connected to. */
export type ContainerNetwork = 'none' | 'bridge' | 'host';

export interface NetworkPolicy {
  readonly acceptNetworked: boolean;
  readonly allowHostNetwork: boolean;
}

/**
 * The network of a job: `Default` is none unless networking is accepted, `Full` is a bridge, `Host` needs the
 * operator's explicit consent.
 * @throws NodeError ValidationFailed
 */
export function networkOf(config: NetworkConfig, policy: NetworkPolicy): ContainerNetwork {
  if ((config.Ports ?? []).length > 0) {
    throw new NodeError(
      'ValidationFailed',
      'Tasks[0].Network.Ports: this node maps no ports (expected none)',
    );
  }
  switch (config.Type) {
    case 'None':
      return 'none';
    case 'Default':
      return policy.acceptNetworked ? 'bridge' : 'none';
    case 'Full':
    case 'Bridge':
      if (policy.acceptNetworked) return 'bridge';
      break;
    case 'Host':
      if (policy.acceptNetworked && policy.allowHostNetwork) return 'host';
      break;
    case 'HTTP':
      throw new NodeError(
        'ValidationFailed',
        'Tasks[0].Network.Type: this node does not filter by domain (expected "None", "Bridge" or "Full", not "HTTP")',
      );
  }
  throw new NodeError(
    'ValidationFailed',
    `Tasks[0].Network.Type: this node accepts no jobs with network ${config.Type} (expected "None")`,
  );
}

/**
 * Id of the node's own bridge for jobs, made when it is not there. Its containers cannot reach each other.
 * @throws NodeError EngineFailed, EngineUnavailable
 */
export async function ensureJobNetwork(client: DockerClient, nodeId: string): Promise<string> {
  const label = `${NODE_LABEL}=${nodeId}`;
  const [found] = await client.findNetworks(label);
  if (found !== undefined) return found;
  // Docker lets two networks have one name and then starts no container in either, so each name is new.
  const own = await client.createNetwork(
    `bacalhau-${shortId(nodeId)}-${randomUUID().slice(0, 8)}`,
    { [NODE_LABEL]: nodeId },
    { 'com.docker.network.bridge.enable_icc': 'false' },
  );
  // Two threads may have made one each at once; both take the older.
  const [oldest = own] = await client.findNetworks(label);
  if (oldest !== own) await client.removeNetwork(own);
  return oldest;
}

/** What Docker writes for a container that has the loopback only. */
const LOOPBACK_HOSTS = `127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
`;

/**
 * Writes the /etc/hosts of a container that Docker's networking leaves alone, into the execution's folder: its own, as
 * Docker would make it, because its processes may write there. Returns its path.
 */
export async function writeHosts({ placement }: RunRequest): Promise<string> {
  const path = join(placement.directory, 'hosts');
  await writeFile(path, LOOPBACK_HOSTS);
  // Any user of the image reads it, whatever the process's umask.
  await chmod(path, 0o644);
  return path;
}
