import type { HttpRequest } from './adapter.ts';

/** What an older client needs besides the v1.9 wire. */
export interface ClientNeeds {
  /** Lists under their old names (`Jobs`, `History`, ...) too. */
  readonly oldKeys: boolean;
  /** State changes in history rows: clients before v1.5 follow them without a look. */
  readonly stateChanges: boolean;
}

const MODERN: ClientNeeds = { oldKeys: false, stateChanges: false };
const UNKNOWN: ClientNeeds = { oldKeys: true, stateChanges: false };

/** By X-Bacalhau-Git-Version. v1.2 and v1.3 send it with some requests only, so its absence says nothing. */
export function clientNeeds(request: HttpRequest): ClientNeeds {
  const match = /^v?(\d{1,4})\.(\d{1,4})\.\d/.exec(request.header('x-bacalhau-git-version'));
  if (match === null) return UNKNOWN;
  const version = Number(match[1]) * 10_000 + Number(match[2]);
  // v0.0.0 is a build that a developer made.
  if (version === 0 || version >= 10_005) return MODERN;
  return { oldKeys: version < 10_004, stateChanges: true };
}
