import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Scope } from './node.ts';
import { run, which } from './services/service.ts';

/** A machine of its own as far as the network goes. */
export interface Site {
  /** Goes in front of a command that runs there. */
  readonly inside: readonly string[];
  /** Its address among the other sites. */
  readonly address: string;
  /** Leads to port API_PORT of its loopback, from outside. */
  readonly socketPath: string;
  /** Pulls its cable. */
  cut(): Promise<void>;
  mend(): Promise<void>;
}

/** Where nodes in a site serve their API. */
export const API_PORT = 1234;

/** Why there can be no sites here; undefined where there can. */
export async function whyNoSites(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'network namespaces are a thing of Linux';
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  if ((await which('ip')) === undefined) return 'network namespaces need iproute2';
  // Root of a container may not be allowed to.
  const probe = `bacprobe${process.pid}`;
  const { code, stderr } = await run('ip', ['netns', 'add', probe]);
  if (code !== 0) return `network namespaces are not allowed here (${stderr.trim()})`;
  await run('ip', ['netns', 'del', probe]);
  return undefined;
}

const FORWARD = `
const net = require('node:net');
net.createServer((near) => {
  const far = net.connect(${API_PORT}, '127.0.0.1');
  for (const [a, b] of [[near, far], [far, near]]) {
    a.on('error', () => b.destroy());
    a.on('close', () => b.destroy());
    a.pipe(b);
  }
}).listen(process.argv[2], () => console.log('ready'));`;

async function ip(...args: readonly string[]): Promise<void> {
  const { code, stderr } = await run('ip', args);
  if (code !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr.trim()}`);
}

/**
 * Namespaces that reach each other through a switch in one more, and nothing else; this machine's own network is
 * not touched. Removed with the scope.
 */
export async function makeSites(scope: Scope, count: number): Promise<Site[]> {
  const name = `bac${process.pid.toString(36)}${Math.floor(Math.random() * 1296).toString(36)}`;
  const folder = await mkdtemp(join(tmpdir(), 'bacalhau-sites-'));
  const spaces = [`${name}-sw`];
  const ends: (() => void)[] = [];
  scope.after(async () => {
    for (const end of ends) end();
    for (const space of spaces) await run('ip', ['netns', 'del', space]);
    await rm(folder, { recursive: true, force: true });
  });
  const [hub = ''] = spaces;
  await ip('netns', 'add', hub);
  await ip('-n', hub, 'link', 'add', 'br0', 'type', 'bridge');
  await ip('-n', hub, 'link', 'set', 'br0', 'up');
  await writeFile(join(folder, 'forward.cjs'), FORWARD);
  const sites: Site[] = [];
  for (let index = 1; index <= count; index += 1) {
    const space = `${name}-${index}`;
    const port = `p${index}`;
    const address = `10.77.0.${index}`;
    spaces.push(space);
    await ip('netns', 'add', space);
    await ip('-n', space, 'link', 'set', 'lo', 'up');
    await ip('-n', hub, 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space);
    await ip('-n', hub, 'link', 'set', port, 'master', 'br0', 'up');
    await ip('-n', space, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
    await ip('-n', space, 'link', 'set', 'eth0', 'up');
    const inside = ['ip', 'netns', 'exec', space];
    const socketPath = join(folder, `${index}.sock`);
    const forward = spawn(
      'ip',
      [...inside.slice(1), process.execPath, join(folder, 'forward.cjs'), socketPath],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    ends.push(() => forward.kill('SIGKILL'));
    // It says one word, once it listens.
    await once(forward.stdout, 'data');
    sites.push({
      inside,
      address,
      socketPath,
      cut: () => ip('-n', hub, 'link', 'set', port, 'down'),
      mend: () => ip('-n', hub, 'link', 'set', port, 'up'),
    });
  }
  return sites;
}
