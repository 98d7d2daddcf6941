import { stat } from 'node:fs/promises';
import type { HealthCheck } from '../capacity/health.ts';
import type { NodeConfig } from '../config/load.ts';
import { pingDocker } from '../engines/docker/health.ts';
import type { IpfsClient } from '../ipfs/client.ts';

/** A Docker Engine that comes or goes is noticed in this time; a check costs one request. */
const DOCKER_EVERY_MS = 5000;
const IPFS_EVERY_MS = 10_000;
/** What is built in does not go away: checked once an hour for form's sake. */
const BUILT_IN_EVERY_MS = 3_600_000;

export interface CheckModules {
  readonly ipfs: () => Promise<IpfsClient>;
  readonly archivesDirectory: string;
}

/** Everything the node can offer, as far as the config does not switch it off. */
export function offerChecks(config: NodeConfig, modules: CheckModules): readonly HealthCheck[] {
  const { disabledEngines, disabledStorages, allowListedLocalPaths } = config.execute;
  const { disabledPublishers } = config.publish;
  const ipfs = async (signal: AbortSignal): Promise<boolean> => {
    const client = await modules.ipfs();
    await client.ping(signal);
    return true;
  };
  const docker = async (): Promise<boolean> => {
    await pingDocker({ dockerHost: config.docker.host });
    return true;
  };
  const archives = async (): Promise<boolean> => (await stat(modules.archivesDirectory)).isDirectory();
  const checks: HealthCheck[] = [
    builtIn('engine', 'wasm'),
    builtIn('engine', 'mock'),
    { kind: 'engine', name: 'docker', everyMs: DOCKER_EVERY_MS, check: docker },
    builtIn('storage', 'inline'),
    builtIn('storage', 'urldownload'),
    { kind: 'storage', name: 'ipfs', everyMs: IPFS_EVERY_MS, check: ipfs },
    builtIn('publisher', 'noop'),
    { kind: 'publisher', name: 'local', everyMs: BUILT_IN_EVERY_MS, check: archives },
    { kind: 'publisher', name: 'ipfs', everyMs: IPFS_EVERY_MS, check: ipfs },
  ];
  if (allowListedLocalPaths.length > 0) {
    checks.push(builtIn('storage', 'localdirectory'), builtIn('storage', 'local'));
  }
  const disabled = { engine: disabledEngines, storage: disabledStorages, publisher: disabledPublishers };
  return checks.filter((check) => !disabled[check.kind].includes(check.name));
}

function builtIn(kind: HealthCheck['kind'], name: string): HealthCheck {
  return { kind, name, everyMs: BUILT_IN_EVERY_MS, check: () => Promise.resolve(true) };
}
