import { readdir, readFile, readlink } from 'node:fs/promises';

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

/** "pid 4711 (nginx)" of the process that listens on a TCP port; "" where it cannot be told. Linux only. */
export async function portHolder(port: number): Promise<string> {
  const inode = await listeningInode(port);
  if (inode === undefined) return '';
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  for (const pid of pids) {
    const fds = await readdir(`/proc/${pid}/fd`).catch(() => []);
    for (const fd of fds) {
      if ((await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')) === `socket:[${inode}]`) {
        const name = (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim();
        return `pid ${pid}${name === '' ? '' : ` (${name})`}`;
      }
    }
  }
  return '';
}
