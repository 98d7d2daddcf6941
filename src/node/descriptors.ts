import { readFile } from 'node:fs/promises';
import type { Limits } from '../core/limits.ts';

/** Stores, threads, listening sockets: an idle node has some fifty. */
const OWN = 128;
/** Clients of the API, peers and downloads at once on a busy day. */
const CONNECTIONS = 512;
/** A running container has a stream of its output, a wait for its end, and two files. */
const PER_CONTAINER = 4;
/** Containers of a tenth of a core each. */
const CONTAINERS_PER_CPU = 10;

/**
 * Why the limit of open files is too low for what this node lets in; undefined where it suffices, or the system does not
 * tell (only Linux does). Node.js has raised it as far as it may already (`ulimit -Hn`).
 */
export async function descriptorWarning(limits: Limits, cpus: number): Promise<string | undefined> {
  const text = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  const allowed = /^Max open files\s+(\d+)/m.exec(text)?.[1];
  const needed =
    OWN +
    CONNECTIONS +
    limits.eventSubscribers +
    limits.logReaders +
    PER_CONTAINER * CONTAINERS_PER_CPU * Math.ceil(cpus);
  if (allowed === undefined || Number(allowed) >= needed) return undefined;
  return `this process may open ${allowed} files and connections at once, and a busy node of this size needs ${needed}: jobs and clients will fail (raise it with ulimit -n, or LimitNOFILE of a systemd unit)`;
}
