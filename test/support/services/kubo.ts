import { access, copyFile, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  cacheDirectory,
  freePort,
  isAlive,
  run,
  type ServiceStart,
  say,
  servicesForbidden,
  startDaemon,
  stopByPid,
  waitUntil,
  which,
} from './service.ts';

const KUBO_VERSION = 'v0.42.0';
const GO_MINIMUM = [1, 26] as const;
const BUILD_MS = 15 * 60_000;
const START_MS = 30_000;
/** Kubo would report usage to its makers otherwise. */
const QUIET = { IPFS_TELEMETRY: 'off' };

/**
 * A Kubo daemon of its own, with an empty repository and no routing, for the tests:
 * BACALHAU_TEST_KUBO is the multiaddr of its RPC. Uses `ipfs` of the PATH, or one built with Go and kept in the
 * cache folder.
 */
export async function startKubo(): Promise<ServiceStart> {
  const given = process.env['BACALHAU_TEST_KUBO'];
  if (given !== undefined && given !== '') {
    return { env: { BACALHAU_TEST_KUBO: given }, stop: () => Promise.resolve() };
  }
  if (servicesForbidden()) return { skip: 'TEST_SERVICES=none: no Kubo daemon is started' };
  const found = await findIpfs();
  if (typeof found !== 'string') return found;
  const folder = await mkdtemp(join(tmpdir(), 'bacalhau-kubo-'));
  try {
    return await startIn(folder, found);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    return { skip: `Kubo did not start: ${error instanceof Error ? error.message : String(error)}` };
  }
}

async function startIn(folder: string, ipfs: string): Promise<ServiceStart> {
  const env = { ...QUIET, IPFS_PATH: join(folder, 'repo') };
  const api = `/ip4/127.0.0.1/tcp/${await freePort()}`;
  const swarm = `/ip4/127.0.0.1/tcp/${await freePort()}`;
  const steps = [
    // The profile `server` would refuse to dial 127.0.0.0/8.
    ['init', '--profile', 'test'],
    ['config', 'Routing.Type', 'none'],
    ['config', '--json', 'AutoConf.Enabled', 'false'],
    ['config', '--json', 'Bootstrap', '[]'],
    ['config', '--json', 'Discovery.MDNS.Enabled', 'false'],
    ['config', '--json', 'Swarm.DisableNatPortMap', 'true'],
    ['config', 'Addresses.API', api],
    ['config', '--json', 'Addresses.Gateway', '[]'],
    ['config', '--json', 'Addresses.Swarm', JSON.stringify([swarm])],
  ];
  for (const args of steps) {
    const result = await run(ipfs, args, { env });
    if (result.code !== 0) throw new Error(`ipfs ${args.join(' ')}: ${result.stderr.trim().slice(-300)}`);
  }
  const logFile = join(folder, 'daemon.log');
  const daemon = await startDaemon(ipfs, ['daemon'], { logFile, env });
  const stop = async (): Promise<void> => {
    await stopByPid(daemon.pid);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await waitUntil(
      async () => {
        if (!(await isAlive(daemon.pid))) throw new Error((await readFile(logFile, 'utf8')).slice(-300));
        return (await readFile(logFile, 'utf8')).includes('Daemon is ready');
      },
      { what: 'the Kubo daemon', timeoutMs: START_MS },
    );
  } catch (error) {
    await stop();
    throw error;
  }
  say(`Kubo at ${api}`);
  return { env: { BACALHAU_TEST_KUBO: api }, stop };
}

/** Path of an `ipfs` executable, or why there is none. */
async function findIpfs(): Promise<string | { readonly skip: string }> {
  const installed = await which('ipfs');
  if (installed !== undefined) return installed;
  const cached = join(await cacheDirectory('kubo'), `ipfs-${KUBO_VERSION}`);
  try {
    await access(cached);
    return cached;
  } catch {
    return build(cached);
  }
}

async function build(target: string): Promise<string | { readonly skip: string }> {
  const go = await which('go');
  if (go === undefined)
    return { skip: `no \`ipfs\` on the PATH, and no Go to build Kubo ${KUBO_VERSION} with` };
  const version = /go(\d+)\.(\d+)/.exec((await run(go, ['version'])).stdout);
  const [major, minor] = [Number(version?.[1]), Number(version?.[2])];
  if (!(major > GO_MINIMUM[0] || (major === GO_MINIMUM[0] && minor >= GO_MINIMUM[1]))) {
    return {
      skip: `Kubo ${KUBO_VERSION} needs Go ${GO_MINIMUM.join('.')} or later, found ${version?.[0] ?? 'none'}`,
    };
  }
  say(`building Kubo ${KUBO_VERSION} with Go: two to three minutes, once`);
  const folder = await mkdtemp(join(tmpdir(), 'bacalhau-kubo-build-'));
  try {
    const module = `module kubobuild\n\ngo ${GO_MINIMUM.join('.')}\n\nrequire github.com/ipfs/kubo ${KUBO_VERSION}\n`;
    await writeFile(join(folder, 'go.mod'), module);
    const result = await run(go, ['build', '-o', 'ipfs', 'github.com/ipfs/kubo/cmd/ipfs'], {
      cwd: folder,
      env: { CGO_ENABLED: '0', GOFLAGS: '-mod=mod' },
      timeoutMs: BUILD_MS,
    });
    if (result.code !== 0) return { skip: `Kubo could not be built: ${result.stderr.trim().slice(-300)}` };
    // Renamed into place, so that a cache entry is whole.
    await copyFile(join(folder, 'ipfs'), `${target}.partial`);
    await rename(`${target}.partial`, target);
    return target;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
