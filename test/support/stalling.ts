import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Scope } from './node.ts';

/** A server that takes requests and lets them wait. */
export interface StallingServer {
  /** "127.0.0.1:port". */
  readonly address: string;
  /** Requests that wait now; those whose sender went away are not among them. */
  readonly waiting: number;
  /** Requests that have waited so far. */
  readonly taken: number;
  /** Answers what waits, and from now on everything at once. */
  release(): void;
}

async function listen(scope: Scope, handle: RequestListener): Promise<{ server: Server; address: string }> {
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scope.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, address: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

async function stalling(
  scope: Scope,
  stalls: (request: IncomingMessage) => boolean,
  answer: RequestListener,
): Promise<StallingServer> {
  const waiting = new Map<IncomingMessage, () => void>();
  let taken = 0;
  let isOpen = false;
  const { address } = await listen(scope, (request, response) => {
    if (isOpen || !stalls(request)) {
      request.resume();
      answer(request, response);
      return;
    }
    taken += 1;
    request.resume();
    waiting.set(request, () => answer(request, response));
    response.on('close', () => waiting.delete(request));
  });
  return {
    address,
    get waiting() {
      return waiting.size;
    },
    get taken() {
      return taken;
    },
    release() {
      isOpen = true;
      for (const go of waiting.values()) go();
      waiting.clear();
    },
  };
}

/** Every request waits; released ones get `text`. As a registry, it never delivers an image. */
export function stallingHttp(scope: Scope, text = 'released\n'): Promise<StallingServer> {
  return stalling(
    scope,
    () => true,
    (_, response) => void response.end(text),
  );
}

const CID = 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi';

/** As much of a Kubo daemon's RPC as publishing takes. What is sent to be added waits. */
export function stallingKubo(scope: Scope): Promise<StallingServer> {
  return stalling(
    scope,
    ({ url = '' }) => url.startsWith('/api/v0/dag/import'),
    ({ url = '' }, response) => {
      if (url.startsWith('/api/v0/version')) {
        response.end(
          JSON.stringify({ Version: '0.42.0', Commit: '', Repo: '18', System: 'amd64/linux', Golang: 'go' }),
        );
      } else if (url.startsWith('/api/v0/dag/import')) {
        response.end();
      } else {
        response.end(JSON.stringify({ Pins: [CID] }));
      }
    },
  );
}
