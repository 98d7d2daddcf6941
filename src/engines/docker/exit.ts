import type { Readable } from 'node:stream';
import { NodeError } from '../../core/errors.ts';
import type { DockerClient, ExitWatch } from './client.ts';
import { toEngineError } from './errors.ts';
import { dockerLimits } from './limits.ts';

/** Both before the start: nothing of the fastest container is missed. */
export async function attachAndWatch(client: DockerClient, id: string): Promise<[ExitWatch, Readable]> {
  const [exit, stream] = await Promise.allSettled([client.watchExit(id), client.attach(id)]);
  if (exit.status === 'fulfilled' && stream.status === 'fulfilled') return [exit.value, stream.value];
  if (exit.status === 'fulfilled') exit.value.cancel();
  if (stream.status === 'fulfilled') stream.value.destroy();
  const why: unknown = exit.status === 'rejected' ? exit.reason : (stream as PromiseRejectedResult).reason;
  throw toEngineError('follow the container', why);
}

/** Exit code as dockerd announces it, or as it is found by looking, where the announcement is lost. */
export async function exitOf(
  client: DockerClient,
  id: string,
  exit: ExitWatch,
  over: AbortSignal,
): Promise<number> {
  const { promise: found, resolve, reject } = Promise.withResolvers<number>();
  let looking = false;
  const look = async (): Promise<void> => {
    if (looking) return;
    looking = true;
    try {
      const state = await client.inspect(id);
      if (state === undefined) {
        reject(new NodeError('ExecutionLost', 'the container was removed by someone else while it ran'));
      } else if (!state.running) resolve(state.exitCode);
    } catch {
      // Docker is slow or away: the wait itself tells when the connection ends.
    } finally {
      looking = false;
    }
  };
  const timer = setInterval(() => void look(), dockerLimits.exitCheckMs);
  over.addEventListener('abort', () => clearInterval(timer), { once: true });
  try {
    return await Promise.race([exit.code, found]);
  } finally {
    clearInterval(timer);
  }
}
