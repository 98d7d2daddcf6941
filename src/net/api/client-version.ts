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
  // Below v1 are this program's own releases and builds that a developer made (v0.0.0): Bacalhau's own speak no such API.
  if (version < 10_000 || version >= 10_005) return MODERN;
  return { oldKeys: version < 10_004, stateChanges: true };
}
