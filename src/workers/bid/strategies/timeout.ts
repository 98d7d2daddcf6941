import { formatDuration, NO_TIMEOUT_SECONDS } from '../../../core/duration.ts';
import { no, type QuickStrategy, YES } from '../strategy.ts';

export interface TimeoutOptions {
  readonly minExecutionTimeoutMs: number;
  /** Infinity means none. */
  readonly maxExecutionTimeoutMs: number;
  /** Namespaces that minimum and maximum do not hold for. */
  readonly timeoutBypass: readonly string[];
}

const LONGEST_MS = NO_TIMEOUT_SECONDS * 1000;

/** A job's own execution timeout within the node's bounds; a job without one gets the node's and fits. */
export function timeout(options: TimeoutOptions): QuickStrategy {
  const { minExecutionTimeoutMs: min, maxExecutionTimeoutMs: max } = options;
  const bypass = new Set(options.timeoutBypass);
  const refuse = (asked: number, what: string, bound: number) =>
    no(`accept jobs with timeout ${formatDuration(asked)} (the ${what} allowed is ${formatDuration(bound)})`);
  return {
    speed: 'quick',
    code: 'timeout',
    decide: ({ header }) => {
      const asked = header.executionTimeoutMs;
      if (asked <= 0) return YES;
      if (asked > LONGEST_MS) return refuse(asked, 'maximum', Math.min(max, LONGEST_MS));
      if (bypass.has(header.namespace)) return YES;
      if (asked < min) return refuse(asked, 'minimum', min);
      return asked <= max ? YES : refuse(asked, 'maximum', max);
    },
  };
}
