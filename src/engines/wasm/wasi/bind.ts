import { NodeError } from '../../../core/errors.ts';
import type { WasiCall, WasiCalls } from './calls/call.ts';
import { descriptorCalls } from './calls/descriptor.ts';
import { environmentCalls } from './calls/environment.ts';
import { ioCalls } from './calls/io.ts';
import { openCalls } from './calls/open.ts';
import { pathCalls } from './calls/path.ts';
import { pollCalls } from './calls/poll.ts';
import { socketCalls } from './calls/sockets.ts';
import { errnoOf } from './fault.ts';
import type { WasiHost } from './host.ts';
import type { GuestMemory } from './memory.ts';

/** Import module name of WASI preview 1. */
export const WASI_MODULE = 'wasi_snapshot_preview1';

const calls: WasiCalls = {
  ...environmentCalls,
  ...descriptorCalls,
  ...ioCalls,
  ...openCalls,
  ...pathCalls,
  ...pollCalls,
  ...socketCalls,
};

/** Names of all functions of WASI preview 1. */
export const wasiFunctions: ReadonlySet<string> = new Set(Object.keys(calls));

/** The import function `name` for a module with this memory; undefined where WASI has none of that name. */
export function bindWasi(
  host: WasiHost,
  memory: GuestMemory,
  name: string,
): ((...args: unknown[]) => unknown) | undefined {
  const call: WasiCall | undefined = Object.hasOwn(calls, name) ? calls[name] : undefined;
  if (call === undefined) return undefined;
  // CPU time counts from the start of the run, for runs that can ask for it.
  if (name === 'clock_time_get') void host.clocks;
  return (...args) => {
    host.checkEnded();
    // Set back by plain assignments only: where the stack is used up, no function could be called to do it.
    host.inCall = true;
    try {
      const errno = call(host, memory, ...(args as never[]));
      host.inCall = false;
      return errno;
    } catch (thrown) {
      const errno = errnoOf(thrown);
      if (errno !== undefined) {
        host.inCall = false;
        return errno;
      }
      if (thrown instanceof NodeError) host.end({ kind: 'failed', error: thrown });
      throw thrown;
    }
  };
}
