import { once } from 'node:events';
import { createServer } from 'node:net';
import { NodeError } from '../../core/errors.ts';

/** The error of a server that can not listen. */
export function listenFault(host: string, port: number, cause: NodeJS.ErrnoException): NodeError {
  const why =
    cause.code === 'EADDRINUSE' ? 'another process listens there already' : `${cause.code ?? cause.message}`;
  return new NodeError('PortInUse', `cannot serve the API on ${host}:${port}: ${why}`, { cause });
}

/** The same for a server that does not say why: asks the system once more. */
export async function findListenFault(host: string, port: number): Promise<NodeError> {
  const probe = createServer();
  try {
    probe.listen({ host, port, exclusive: true });
    await once(probe, 'listening');
    probe.close();
    return listenFault(host, port, new Error('the address was taken at that moment'));
  } catch (error) {
    return listenFault(host, port, error instanceof Error ? error : new Error(String(error)));
  }
}
