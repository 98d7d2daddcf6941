/** What the process that fans out events is asked to do, as the JSON text in its only argument. */
export interface FanOutOrder {
  /** The node's API server over node:http and ws or over uWebSockets.js, or `ws` alone with frames made before. */
  readonly server: 'node' | 'uws' | 'raw';
  readonly subscribers: number;
  /** Events sent as fast as they are taken. */
  readonly burst: number;
  /** Events sent one by one afterwards, for their delay. */
  readonly single: number;
}

/** Lines on its standard output. */
export type FanOutWord =
  | { readonly listening: number }
  /** A server that can not be had here: why. */
  | { readonly unavailable: string }
  /** All subscribers have the burst, as far as the server knows. */
  | { readonly cpuMicros: number };

/** Where its server answers. */
export const FAN_OUT_PATH = '/api/v1/events';
/** Events of one commit, more or less: what becomes one frame. */
export const BATCH = 64;
/** Between two events that are sent one by one. */
export const PAUSE_MS = 4;
