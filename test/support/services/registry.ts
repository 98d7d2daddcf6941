import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  aptInstall,
  freePort,
  type RunningService,
  type ServiceStart,
  servicesForbidden,
  startDaemon,
  stopByPid,
  waitUntil,
  which,
} from './service.ts';

const PROGRAM = 'docker-registry';

/**
 * Starts an image registry on the loopback, which Docker takes as insecure-allowed.
 * Env: BACALHAU_TEST_REGISTRY ("127.0.0.1:port"), BACALHAU_TEST_REGISTRY_LOG (a file with its requests).
 */
export async function startRegistry(): Promise<ServiceStart> {
  if (servicesForbidden()) return { skip: 'no image registry: TEST_SERVICES=none' };
  if ((await which(PROGRAM)) === undefined) {
    const refused = await aptInstall([PROGRAM]);
    if (refused !== undefined) return { skip: `no image registry (Debian's ${PROGRAM}): ${refused}` };
  }
  const program = await which(PROGRAM);
  if (program === undefined) return { skip: `no image registry: ${PROGRAM} is not on the PATH` };
  const directory = await mkdtemp(join(tmpdir(), 'bacalhau-registry-'));
  const logFile = join(directory, 'registry.log');
  try {
    return await launch(program, directory, logFile);
  } catch (error) {
    const log = await readFile(logFile, 'utf8').catch(() => '');
    await rm(directory, { recursive: true, force: true });
    return { skip: `the image registry did not start: ${(error as Error).message} ${log.slice(-300)}` };
  }
}

async function launch(program: string, directory: string, logFile: string): Promise<RunningService> {
  const address = `127.0.0.1:${await freePort()}`;
  const configFile = join(directory, 'config.json');
  // YAML is a superset of JSON.
  const config = {
    version: '0.1',
    log: { level: 'warn', accesslog: { disabled: false } },
    storage: { filesystem: { rootdirectory: join(directory, 'data') }, delete: { enabled: true } },
    http: { addr: address },
  };
  await writeFile(configFile, JSON.stringify(config));
  const daemon = await startDaemon(program, ['serve', configFile], { logFile });
  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    await stopByPid(daemon.pid);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await waitUntil(() => answers(`http://${address}/v2/`), { what: 'the registry', timeoutMs: 20_000 });
  } catch (error) {
    await stopByPid(daemon.pid);
    throw error;
  }
  return {
    env: { BACALHAU_TEST_REGISTRY: address, BACALHAU_TEST_REGISTRY_LOG: logFile },
    stop: () => (stopped ??= stop()),
  };
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(2000) })).ok;
  } catch {
    return false;
  }
}
