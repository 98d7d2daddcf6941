import { access, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { pack } from 'tar-stream';
import {
  aptInstall,
  type Daemon,
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

const SYSTEM_SOCKET = '/var/run/docker.sock';
const START_MS = 60_000;
/** What is tried one after another: the second for roots on an overlay, the third for lack of iptables. */
const VARIANTS = [
  [],
  ['--storage-driver=vfs'],
  ['--storage-driver=vfs', '--iptables=false', '--ip6tables=false'],
] as const;

/**
 * Starts a Docker Engine of its own, as root, with an image made of busybox in it; else takes the system's
 * engine where it answers. With a registry ("127.0.0.1:port") the image lives there too, under its name.
 * Env: BACALHAU_TEST_DOCKER_HOST ("unix:///..."), BACALHAU_TEST_DOCKER_IMAGE.
 */
export async function startDocker(
  registry: string | undefined = process.env['BACALHAU_TEST_REGISTRY'],
): Promise<ServiceStart> {
  if (servicesForbidden()) return { skip: 'no Docker Engine: TEST_SERVICES=none' };
  if (process.getuid?.() !== 0) return await useSystemEngine('not root, so none can be started');
  const refused = await installed();
  if (refused !== undefined) return await useSystemEngine(refused);
  const directory = await mkdtemp(join(tmpdir(), 'bacalhau-docker-'));
  let reason = '';
  for (const variant of VARIANTS) {
    const started = await launch(join(directory, String(VARIANTS.indexOf(variant))), variant, registry);
    if ('env' in started) {
      let stopped: Promise<void> | undefined;
      return {
        env: started.env,
        stop: () => (stopped ??= started.stop().then(() => removeTree(directory))),
      };
    }
    reason = started.skip;
    say(`dockerd ${variant.join(' ')} did not start: ${reason}`);
  }
  await removeTree(directory);
  return { skip: `no Docker Engine: dockerd did not start: ${reason}` };
}

async function installed(): Promise<string | undefined> {
  const [engine, busybox] = await Promise.all([which('dockerd'), which('busybox')]);
  if (engine !== undefined && busybox !== undefined) return undefined;
  return await aptInstall(['docker.io', 'busybox-static', 'iptables', 'ca-certificates']);
}

async function useSystemEngine(why: string): Promise<ServiceStart> {
  const docker = new Docker({ socketPath: SYSTEM_SOCKET });
  const image = 'busybox:1';
  try {
    await access(SYSTEM_SOCKET);
    await docker.ping();
    const have = await docker.listImages({ filters: { reference: [image] } });
    if (have.length === 0) await finished(docker, await docker.pull(image));
  } catch (error) {
    return { skip: `no Docker Engine: ${why}; and the one at ${SYSTEM_SOCKET}: ${(error as Error).message}` };
  }
  say(`using the Docker Engine at ${SYSTEM_SOCKET}`);
  return {
    env: { BACALHAU_TEST_DOCKER_HOST: `unix://${SYSTEM_SOCKET}`, BACALHAU_TEST_DOCKER_IMAGE: image },
    stop: () => Promise.resolve(),
  };
}

async function launch(
  directory: string,
  variant: readonly string[],
  registry: string | undefined,
): Promise<ServiceStart> {
  await run('mkdir', ['-p', directory]);
  const socketPath = join(directory, 'docker.sock');
  const logFile = join(directory, 'dockerd.log');
  const daemon = await startDaemon(
    (await which('dockerd')) ?? 'dockerd',
    [
      `--data-root=${join(directory, 'data')}`,
      `--exec-root=${join(directory, 'exec')}`,
      `--pidfile=${join(directory, 'docker.pid')}`,
      `--host=unix://${socketPath}`,
      // Another engine of this machine may own the names in a shared containerd. docker0 is shared with it:
      // an engine without a bridge would remove that of the other.
      `--containerd-namespace=bacalhau-${process.pid}`,
      `--containerd-plugins-namespace=bacalhau-plugins-${process.pid}`,
      ...variant,
    ],
    // dockerd looks for containerd, runc and iptables on the PATH.
    { logFile, env: { PATH: `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin` } },
  );
  const docker = new Docker({ socketPath });
  const stop = async (): Promise<void> => {
    if (await isAlive(daemon.pid)) await removeEverything(docker).catch(() => undefined);
    await stopByPid(daemon.pid, 30_000);
  };
  try {
    await answering(docker, daemon);
    const image = `${registry ?? 'bacalhau-test'}/busybox:1`;
    await importBusybox(docker, image);
    await tryOut(docker, image);
    if (registry !== undefined) await push(docker, image);
    return {
      env: { BACALHAU_TEST_DOCKER_HOST: `unix://${socketPath}`, BACALHAU_TEST_DOCKER_IMAGE: image },
      stop,
    };
  } catch (error) {
    await stop();
    const log = await readFile(logFile, 'utf8').catch(() => '');
    const last = log.trim().split('\n').at(-1) ?? '';
    return { skip: `${(error as Error).message} (${last.slice(-300)})` };
  }
}

async function answering(docker: Docker, daemon: Daemon): Promise<void> {
  let ended = false;
  void daemon.ended.then(() => {
    ended = true;
  });
  await waitUntil(
    async () => {
      if (ended) throw new Error('dockerd ended');
      return await docker.ping().then(
        () => true,
        () => false,
      );
    },
    { what: 'dockerd', timeoutMs: START_MS },
  );
}

/** An image of one static binary and its names. */
async function importBusybox(docker: Docker, image: string): Promise<void> {
  const busybox = await which('busybox');
  if (busybox === undefined) throw new Error('busybox is missing');
  const names = (await run(busybox, ['--list'])).stdout.split('\n').filter((name) => /^[\w[]/.test(name));
  const tar = pack();
  for (const name of ['bin', 'etc', 'root', 'tmp']) {
    tar.entry({ name: `${name}/`, type: 'directory', mode: name === 'tmp' ? 0o1777 : 0o755 });
  }
  tar.entry({ name: 'bin/busybox', mode: 0o755 }, await readFile(busybox));
  for (const name of names) {
    if (name !== 'busybox') tar.entry({ name: `bin/${name}`, type: 'symlink', linkname: 'busybox' });
  }
  tar.entry({ name: 'etc/passwd' }, 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n');
  tar.entry({ name: 'etc/group' }, 'root:x:0:\nnogroup:x:65534:\n');
  tar.finalize();
  const [repo = '', tag] = image.split(/:(?=[^:]*$)/);
  const changes = ['CMD ["sh"]', 'ENV PATH=/bin'];
  const options = { fromSrc: '-', repo, tag, changes };
  await finished(docker, await docker.importImage(tar as unknown as NodeJS.ReadableStream, options));
}

/** An engine may answer and yet run nothing, for want of cgroups or mounts. */
async function tryOut(docker: Docker, image: string): Promise<void> {
  const container = await docker.createContainer({
    Image: image,
    Cmd: ['true'],
    HostConfig: { NetworkMode: 'none' },
  });
  try {
    await container.start();
    const { StatusCode: code } = (await container.wait()) as { StatusCode: number };
    if (code !== 0) throw new Error(`its first container ended with ${code}`);
  } finally {
    await container.remove({ force: true, v: true });
  }
}

async function push(docker: Docker, image: string): Promise<void> {
  await finished(docker, await docker.getImage(image).push({ authconfig: { username: '', password: '' } }));
}

/** Reads a progress stream to its end; its errors come as lines of it. */
function finished(docker: Docker, stream: NodeJS.ReadableStream): Promise<void> {
  return new Promise((resolve, reject) => {
    docker.modem.followProgress(stream, (error: Error | null, lines: { error?: string }[] | null) => {
      const failed = lines?.find((line) => line.error !== undefined);
      if (error !== null) reject(error);
      else if (failed !== undefined) reject(new Error(failed.error));
      else resolve();
    });
  });
}

/** Containers, and networks, whose bridges would outlive the engine. */
async function removeEverything(docker: Docker): Promise<void> {
  for (const { Id } of await docker.listContainers({ all: true })) {
    await docker
      .getContainer(Id)
      .remove({ force: true, v: true })
      .catch(() => undefined);
  }
  await docker.pruneNetworks();
}

/** What an engine that was killed left mounted would keep its folders. */
async function removeTree(directory: string): Promise<void> {
  const mounts = await readFile('/proc/mounts', 'utf8').catch(() => '');
  const below = mounts
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((path) => path.startsWith(`${directory}/`));
  for (const path of below.toReversed()) await run('umount', ['-l', path]);
  await rm(directory, { recursive: true, force: true });
}
