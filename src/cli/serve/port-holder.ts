import { readdir, readFile, readlink } from 'node:fs/promises';
import { basename } from 'node:path';

const LISTEN = '0A';

/** Inode of the socket that listens on `port`, as Linux tells it. */
async function listeningInode(port: number): Promise<string | undefined> {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    const text = await readFile(table, 'utf8').catch(() => '');
    for (const line of text.split('\n').slice(1)) {
      const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/);
      if (state === LISTEN && local.endsWith(`:${wanted}`)) return inode;
    }
  }
  return undefined;
}

/** " (node main.js)": the program and its script; arguments may hold secrets and are left out. */
async function programOf(pid: string): Promise<string> {
  const [program = '', script = ''] = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split(
    '\0',
  );
  if (program === '') return '';
  return ` (${basename(program)}${/^[^-].*\.[cm]?[jt]s$/.test(script) ? ` ${basename(script)}` : ''})`;
}

/** "pid 4711 (nginx)" of the process that listens on a TCP port; "" where it cannot be told. Linux only. */
export async function portHolder(port: number): Promise<string> {
  const inode = await listeningInode(port);
  if (inode === undefined) return '';
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  for (const pid of pids) {
    const fds = await readdir(`/proc/${pid}/fd`).catch(() => []);
    for (const fd of fds) {
      if ((await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')) === `socket:[${inode}]`) {
        return `pid ${pid}${await programOf(pid)}`;
      }
    }
  }
  return '';
}
