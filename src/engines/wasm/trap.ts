import { formatBytes } from '../../core/resources.ts';
import { webAssembly } from './webassembly.ts';

const FRAMES_TOLD = 8;
const WASM_FRAME = /^\s*at (.*wasm:\/\/.*)$/;

/** Frames of the guest in a stack trace; those of the node are left out, they name paths of this machine. */
function guestFrames(error: Error): string[] {
  return (error.stack ?? '')
    .split('\n')
    .map((line) => WASM_FRAME.exec(line)?.[1])
    .filter((frame) => frame !== undefined)
    .slice(0, FRAMES_TOLD);
}

function cause(thrown: unknown): string {
  if (thrown instanceof webAssembly.RuntimeError) return thrown.message;
  if (thrown instanceof webAssembly.Exception) return 'an exception of the program was not caught';
  if (thrown instanceof RangeError && thrown.message.includes('call stack')) return 'call stack exhausted';
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/**
 * What a result says of a run that the guest's own fault ended. `memory` tells how much it had, because a
 * program that cannot get more often ends so.
 */
export function trapMessage(thrown: unknown, memory: { bytes: number; limit: string }): string {
  const frames = thrown instanceof Error ? guestFrames(thrown) : [];
  return [
    `wasm trap: ${cause(thrown)} (memory in use ${formatBytes(memory.bytes)}, limit ${memory.limit})`,
    ...frames.map((frame) => `    at ${frame}`),
  ].join('\n');
}
