/** What the process that fans out events is asked to do, as the JSON text in its only argument. */
export interface FanOutOrder {
  /** The node's API server over node:http and ws or over uWebSockets.js, or `ws` alone with frames made before. */
  readonly server: 'node' | 'uws' | 'raw';
  readonly subscribers: number;
  /** Events sent as fast as they are taken. */
  readonly burst: number;
  /** Events sent one by one afterwards, for their delay. */
  readonly single: number;
  /** Events a second sent in the end whatever becomes of them, and for how many of them. */
  readonly steady: { readonly perSecond: number; readonly count: number };
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

/** How many events come at once at a steady rate, and the time from one such commit to the next. */
export function commitsOf({ perSecond }: FanOutOrder['steady']): { events: number; everyMicros: number } {
  const events = Math.max(1, Math.round((perSecond * PAUSE_MS) / 1000));
  return { events, everyMicros: (events * 1e6) / perSecond };
}
