import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Scope } from './node.ts';

/** A way between two nodes that a test can break. */
export interface BreakableLink {
  /** What the dialling node's --peer says in place of the other's own address. */
  readonly address: string;
  /** From now on nothing gets through, and nobody is told: as when a cable is pulled. */
  cut(): Promise<void>;
  mend(): Promise<void>;
}

/** A TCP proxy on the loopback in front of a node's swarm address. */
export async function linkTo(scope: Scope, swarmAddress: string): Promise<BreakableLink> {
  const [, , host = '', , port = '', , peerId = ''] = swarmAddress.split('/');
  const sockets = new Set<Socket>();
  let isCut = false;
  const hold = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    if (isCut) socket.pause();
  };
  const server = createServer((near) => {
    hold(near);
    const far = connect(Number(port), host);
    hold(far);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (chunk) => {
        if (to.destroyed || to.write(chunk)) return;
        from.pause();
        to.once('drain', () => {
          if (!isCut) from.resume();
        });
      });
      from.on('close', () => {
        // The end of one half crosses the link like anything else.
        if (!isCut) to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scope.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    address: `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}/p2p/${peerId}`,
    async cut() {
      isCut = true;
      for (const socket of sockets) socket.pause();
    },
    async mend() {
      isCut = false;
      // Whoever has given up meanwhile has closed its half.
      for (const socket of sockets) {
        if (socket.destroyed) sockets.delete(socket);
        else socket.resume();
      }
    },
  };
}
