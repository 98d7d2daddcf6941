import { Errno } from '../abi.ts';
import { fault } from '../fault.ts';
import type { WasiHost } from '../host.ts';
import type { GuestMemory } from '../memory.ts';
import type { WasiCall, WasiCalls } from './call.ts';

/** No descriptor of a run is a socket. */
const notSocket: WasiCall = (host: WasiHost, _memory: GuestMemory, fd: number) => {
  host.descriptors.get(fd);
  throw fault(Errno.NOTSOCK);
};

/** Sockets: a run has none. */
export const socketCalls: WasiCalls = {
  sock_accept: notSocket,
  sock_recv: notSocket,
  sock_send: notSocket,
  sock_shutdown: notSocket,
};
