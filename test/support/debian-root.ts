import { access, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  aptInstall,
  cacheDirectory,
  isRootDebian,
  run,
  say,
  servicesForbidden,
  which,
} from './services/service.ts';

const DEBOOTSTRAP_MS = 300_000;

/** A Debian root to make, or to find in the cache folder. */
export interface RootWanted {
  /** Of its folder in the cache. */
  readonly name: string;
  /** "trixie". */
  readonly release: string;
  /** What else belongs into it, done once. @returns why it can not be done */
  readonly prepare?: (root: string) => Promise<string | undefined>;
}

/** Path of an unpacked Debian, made by debootstrap once and kept in the cache folder; or why there can be none here. */
export async function debianRoot(wanted: RootWanted): Promise<string | { readonly skip: string }> {
  if (servicesForbidden()) return { skip: 'TEST_SERVICES=none: no Debian root is made' };
  if (!(await isRootDebian())) return { skip: 'a Debian root is made only as root on Debian' };
  const kept = join(await cacheDirectory('debian'), wanted.name);
  if (await exists(kept)) return kept;
  const mirror = await debianMirror();
  if (mirror === undefined) return { skip: 'apt-get names no Debian archive to make a root of' };
  const missing = await aptInstall(['debootstrap', 'debian-archive-keyring']);
  if (missing !== undefined) return { skip: missing };
  say(`debootstrap ${wanted.release}: half a minute, once`);
  const partial = `${kept}.partial-${process.pid}`;
  try {
    const failed = await debootstrap(wanted.release, partial, mirror);
    if (failed !== undefined) return { skip: failed };
    const unprepared = await wanted.prepare?.(partial);
    if (unprepared !== undefined) return { skip: unprepared };
    // Another test process may have been faster.
    if (!(await exists(kept))) await rename(partial, kept);
    return kept;
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

/** Codename of this machine's release: "bookworm". */
export async function ownRelease(): Promise<string | undefined> {
  return /^VERSION_CODENAME=(\w+)/m.exec(await readFile('/etc/os-release', 'utf8'))?.[1];
}

interface Mirror {
  readonly url: string;
  readonly env: Readonly<Record<string, string>>;
}

async function debootstrap(release: string, target: string, mirror: Mirror): Promise<string | undefined> {
  const command = (await which('debootstrap')) ?? 'debootstrap';
  const flags = ['--variant=minbase', '--include=ca-certificates'];
  const made = await run(command, [...flags, release, target, mirror.url], {
    timeoutMs: DEBOOTSTRAP_MS,
    env: mirror.env,
  });
  return made.code === 0
    ? undefined
    : `debootstrap ${release} failed: ${`${made.stdout}${made.stderr}`.trim().slice(-300)}`;
}

/** The archive this machine's own packages come from. */
async function debianMirror(): Promise<Mirror | undefined> {
  const release = await ownRelease();
  const targets = await run('apt-get', [
    'indextargets',
    '--format',
    '$(ORIGIN) $(RELEASE) $(SITE)',
    'Created-By: Packages',
  ]);
  const lines = targets.stdout.split('\n').map((line) => line.trim().split(' '));
  const url = lines.find(([origin, name]) => origin === 'Debian' && name === release)?.[2];
  if (url === undefined) return undefined;
  const proxy = (await run('apt-config', ['shell', 'proxy', 'Acquire::http::Proxy'])).stdout;
  const address = /^proxy='(.+)'$/m.exec(proxy)?.[1];
  return { url, env: address === undefined ? {} : { http_proxy: address } };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
