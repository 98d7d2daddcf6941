import { rfc3339 } from '../../../core/clock.ts';

/** RFC 3339 text of `micros`; Go's zero time where it is 0. */
export function wireTime(micros: number): string {
  return micros === 0 ? '0001-01-01T00:00:00Z' : rfc3339(micros);
}
