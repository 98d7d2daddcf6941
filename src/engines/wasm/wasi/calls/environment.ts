import { randomFillSync } from 'node:crypto';
import { Errno } from '../abi.ts';
import { fault } from '../fault.ts';
import type { WasiHost } from '../host.ts';
import type { GuestMemory } from '../memory.ts';
import type { WasiCalls } from './call.ts';

/** Random bytes made at a time: the call blocks, and a guest may ask for all of its memory. */
const RANDOM_CHUNK = 1 << 20;
/** The last signal number that preview 1 defines (`sys`). */
const LAST_SIGNAL = 30;
/** Signals whose default is to go on: none, chld, cont, urg, winch. */
const HARMLESS_SIGNALS: ReadonlySet<number> = new Set([0, 16, 17, 22, 27]);

function putStrings(
  memory: GuestMemory,
  strings: readonly Uint8Array[],
  pointers: number,
  bytes: number,
): Errno {
  let at = bytes >>> 0;
  strings.forEach((text, index) => {
    memory.setU32(pointers + index * 4, at);
    memory.set(at, text);
    at += text.length;
  });
  return Errno.SUCCESS;
}

function putSizes(
  memory: GuestMemory,
  strings: readonly Uint8Array[],
  countPointer: number,
  sizePointer: number,
): Errno {
  memory.setU32(countPointer, strings.length);
  memory.setU32(
    sizePointer,
    strings.reduce((sum, text) => sum + text.length, 0),
  );
  return Errno.SUCCESS;
}

/** Arguments, environment, clocks, random numbers, and the end of the process. */
export const environmentCalls: WasiCalls = {
  args_get: (host: WasiHost, memory: GuestMemory, pointers: number, bytes: number) =>
    putStrings(memory, host.args, pointers, bytes),
  args_sizes_get: (host: WasiHost, memory: GuestMemory, count: number, size: number) =>
    putSizes(memory, host.args, count, size),
  environ_get: (host: WasiHost, memory: GuestMemory, pointers: number, bytes: number) =>
    putStrings(memory, host.environ, pointers, bytes),
  environ_sizes_get: (host: WasiHost, memory: GuestMemory, count: number, size: number) =>
    putSizes(memory, host.environ, count, size),

  clock_res_get(host: WasiHost, memory: GuestMemory, clock: number, pointer: number) {
    memory.setU64(pointer, host.clocks.resolution(clock));
    return Errno.SUCCESS;
  },
  clock_time_get(host: WasiHost, memory: GuestMemory, clock: number, _precision: bigint, pointer: number) {
    memory.setU64(pointer, host.clocks.now(clock));
    return Errno.SUCCESS;
  },

  random_get(_host: WasiHost, memory: GuestMemory, pointer: number, length: number) {
    const bytes = memory.bytes(pointer, length);
    for (let at = 0; at < bytes.length; at += RANDOM_CHUNK) {
      randomFillSync(bytes, at, Math.min(RANDOM_CHUNK, bytes.length - at));
    }
    return Errno.SUCCESS;
  },

  proc_exit: (host: WasiHost, _memory: GuestMemory, code: number) =>
    host.end({ kind: 'exit', code: code >>> 0 }),
  proc_raise(host: WasiHost, _memory: GuestMemory, signal: number) {
    if (signal >>> 0 > LAST_SIGNAL) throw fault(Errno.INVAL);
    if (HARMLESS_SIGNALS.has(signal)) return Errno.SUCCESS;
    // As a shell reports a process that a signal ended.
    return host.end({ kind: 'exit', code: 128 + signal });
  },
  sched_yield: () => Errno.SUCCESS,
};
