import { NodeError } from './errors.ts';

const PART = /(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g;
const WHOLE = /^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+$/;
const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** "No timeout" of Bacalhau, in seconds. */
export const NO_TIMEOUT_SECONDS = 9_223_372_036;

/**
 * Milliseconds from Go's duration text ("10m", "1h30m", "500ms"). "0" is 0.
 * @throws NodeError ConfigInvalid
 */
export function parseDurationMs(text: string): number {
  const value = text.trim().toLowerCase();
  if (value === '0') return 0;
  if (!WHOLE.test(value)) {
    throw new NodeError(
      'ConfigInvalid',
      `invalid duration: ${text} (expected text such as "500ms", "10s" or "1h30m")`,
    );
  }
  let total = 0;
  for (const [, amount, unit] of value.matchAll(PART)) total += Number(amount) * (UNIT_MS[unit ?? ''] ?? 0);
  return total;
}

/** Go's way to print a duration: "1h30m0s", "10m0s", "500ms". */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${ms}ms`;
  const seconds = ms / 1000;
  const h = Math.floor(seconds / 3600);
  const m = Math.floor((seconds % 3600) / 60);
  const s = Math.round((seconds % 60) * 1000) / 1000;
  if (h > 0) return `${h}h${m}m${s}s`;
  return m > 0 ? `${m}m${s}s` : `${s}s`;
}
