import { copyFile, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { run } from './services/service.ts';

/** How this machine's npm reaches its registry. */
export interface NpmSettings {
  readonly cache: string;
  readonly userconfig: string;
  /** Settings that say where the registry is and how it is reached. */
  readonly values: Readonly<Record<string, string>>;
}

const REACHING = ['registry', 'proxy', 'https-proxy', 'noproxy', 'cafile', 'strict-ssl'];
/** Variables of this machine that say how the network is reached. */
const NETWORK = /^(?:https?_proxy|no_proxy|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|SSL_CERT_DIR)$/i;

export async function npmSettings(): Promise<NpmSettings> {
  const listed = await run('npm', ['config', 'list', '--json'], { cwd: tmpdir() });
  const all = JSON.parse(listed.stdout) as Record<string, unknown>;
  const values: Record<string, string> = {};
  for (const name of REACHING) {
    const value = all[name];
    if (value !== null && value !== undefined && value !== '') values[name] = String(value);
  }
  return { cache: String(all['cache']), userconfig: String(all['userconfig']), values };
}

/** Gives a root this machine's way to the network: names, certificates, npm's registry for its user root. */
export async function connectRoot(root: string, { userconfig, values }: NpmSettings): Promise<void> {
  const files = ['/etc/hosts', '/etc/resolv.conf', '/etc/ssl/certs/ca-certificates.crt'];
  for (const path of [...files, values['cafile'], process.env['NODE_EXTRA_CA_CERTS']]) {
    if (path === undefined || path === '') continue;
    await mkdir(join(root, dirname(path)), { recursive: true });
    await copyFile(path, join(root, path)).catch(() => undefined);
  }
  const own = await readFile(userconfig, 'utf8').catch(() => '');
  const lines = Object.entries(values).map(([name, value]) => `${name}=${value}`);
  await mkdir(join(root, 'root'), { recursive: true });
  await writeFile(join(root, 'root/.npmrc'), `${own}\n${lines.join('\n')}\n`, { mode: 0o600 });
}

/** What processes there need in their environment to reach it. */
export function networkVariables(): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (NETWORK.test(name) && value !== undefined) variables[name] = value;
  }
  return variables;
}

/**
 * Puts Node.js and npm into a root as packages of the npm registry: the one place that this project's machines reach
 * anyway. @returns why it can not be done
 */
export async function installNode(
  root: string,
  versions: { readonly node: string; readonly npm: string },
): Promise<string | undefined> {
  const node = `node-linux-${process.arch}`;
  const wanted = [`${node}@${versions.node}`, `npm@${versions.npm}`];
  const flags = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', join(root, 'opt')];
  const installed = await run('npm', ['install', ...flags, ...wanted], { cwd: tmpdir(), timeoutMs: 120_000 });
  if (installed.code !== 0) {
    return `no ${wanted.join(', ')} from the npm registry: ${installed.stderr.trim().slice(-300)}`;
  }
  for (const [name, target] of [
    ['node', `../../../opt/node_modules/${node}/bin/node`],
    ['npm', '../../../opt/node_modules/npm/bin/npm-cli.js'],
    ['npx', '../../../opt/node_modules/npm/bin/npx-cli.js'],
  ] as const) {
    await symlink(target, join(root, 'usr/local/bin', name));
  }
  return undefined;
}
