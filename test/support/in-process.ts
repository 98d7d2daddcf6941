import { join } from 'node:path';
import { loadConfig } from '../../src/config/load.ts';
import type { Clock } from '../../src/core/clock.ts';
import { startNode } from '../../src/node.ts';
import type { Wire } from './node.ts';
import { silentLogger } from './pipeline.ts';

/** A whole node in this process, on a clock that the test moves. */
export interface InProcessNode {
  readonly nodeId: string;
  readonly swarmAddresses: readonly string[];
  api(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<{ status: number; body: Wire }>;
  /** Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts one with its data in `<folder>/data` unless a flag says otherwise.
 * @param flags by name, without dashes
 */
export async function startInProcess(
  folder: string,
  clock: Clock,
  flags: Readonly<Record<string, string>>,
): Promise<InProcessNode> {
  const given = {
    'data-dir': join(folder, 'data'),
    'api-port': '0',
    port: '0',
    'swarm-host': '127.0.0.1',
    ...flags,
  };
  const config = loadConfig({
    argvFlags: Object.fromEntries(Object.entries(given).map(([name, value]) => [name, [value]])),
    env: { PATH: process.env['PATH'], DOCKER_HOST: `unix://${join(folder, 'no-docker')}` },
    cwd: folder,
  });
  const { apiUrl, nodeId, swarmAddresses, stop } = await startNode(config, { logger: silentLogger, clock });
  let stopped: Promise<void> | undefined;
  return {
    nodeId,
    swarmAddresses,
    async api(method, path, body, headers = {}) {
      const reply = await fetch(`${apiUrl}${path}`, {
        method,
        headers: { 'content-type': 'application/json', connection: 'close', ...headers },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      return { status: reply.status, body: (await reply.json()) as Wire };
    },
    stop: () => (stopped ??= stop(Date.now() + 5000)),
  };
}
