import type { Errno } from '../abi.ts';
import type { WasiHost } from '../host.ts';
import type { GuestMemory } from '../memory.ts';

/**
 * One WASI function: the host of the run, the memory of the module that calls, then the wire's arguments
 * (i32 as numbers that may be negative, i64 as bigint). Faults are thrown.
 */
export type WasiCall = (host: WasiHost, memory: GuestMemory, ...args: never[]) => Errno;

/** WASI functions by name. */
export type WasiCalls = Readonly<Record<string, WasiCall>>;
