/** Source of time and timers. Tests pass a clock they move themselves. */
export interface Clock {
  /** Microseconds since the Unix epoch: a safe integer until the year 2255. */
  nowMicros(): number;
  /** Milliseconds since the Unix epoch. */
  nowMs(): number;
  /** Calls `callback` once, at or after `atMs`. Any distance is allowed. The timer does not keep the process alive. */
  at(atMs: number, callback: () => void): Timer;
}

/** A pending call of `Clock.at`. */
export interface Timer {
  /** Idempotent; after it the callback is never called. */
  cancel(): void;
}

/** `setTimeout` overflows past 2^31-1 ms, so longer waits are made of several. */
const LONGEST_TIMEOUT_MS = 2_147_483_647;

const startedAtMicros = Math.round(performance.timeOrigin * 1000);

/** The machine's clock. */
export const systemClock: Clock = {
  nowMicros: () => startedAtMicros + Math.round(performance.now() * 1000),
  nowMs: () => Date.now(),
  at(atMs, callback) {
    let handle: NodeJS.Timeout;
    const arm = (): void => {
      const left = Math.max(0, atMs - Date.now());
      handle = setTimeout(left > LONGEST_TIMEOUT_MS ? arm : callback, Math.min(left, LONGEST_TIMEOUT_MS));
      handle.unref();
    };
    arm();
    return { cancel: () => clearTimeout(handle) };
  },
};

/** The second that was asked for last: of the events of a busy node, hundreds have the same. */
const lastSecond = { seconds: Number.NaN, text: '' };

/** `micros` as RFC 3339 text with microseconds, in UTC. */
export function rfc3339(micros: number): string {
  const seconds = Math.floor(micros / 1_000_000);
  if (seconds !== lastSecond.seconds) {
    lastSecond.text = new Date(seconds * 1000).toISOString().slice(0, 19);
    lastSecond.seconds = seconds;
  }
  return `${lastSecond.text}.${String(micros % 1_000_000).padStart(6, '0')}Z`;
}

/** `micros` as nanoseconds. Rounds to what a double holds (256 ns); prints without an exponent. */
export function nanoseconds(micros: number): number {
  return micros * 1000;
}
