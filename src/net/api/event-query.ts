import { NodeError } from '../../core/errors.ts';
import { isCompleteId, shortId } from '../../core/ids.ts';
import { nearlySame } from '../../core/nearest.ts';
import { EVENT_ROLES, EVENT_TYPES } from '../../events/event.ts';
import type { EventFilter } from '../../events/filter.ts';
import type { HttpRequest } from './adapter.ts';
import { flag, text, unsigned } from './query.ts';

/** What a subscriber asked for. */
export interface EventQuery {
  readonly filter: EventFilter;
  readonly from?: number;
  readonly since?: number;
  readonly follow: boolean;
}

/** Values of one filter: each costs a look-up an event at most, and memory while its subscriber is there. */
const MAX_VALUES = 100;
const MAX_CHARS = 128;
/** Parameters of the query. docs/EVENTS.md describes them. */
export const EVENT_PARAMETERS = [
  'job',
  'execution',
  'node',
  'type',
  'role',
  'from',
  'since',
  'follow',
] as const;
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/i;
const UNIX_SECONDS = /^\d{1,11}$/;
const NODE_ID = /^[\w-]{8,}$/;

/** `?job=…&type=…` as docs/EVENTS.md describes it. @throws NodeError BadQuery */
export function eventQuery(request: HttpRequest): EventQuery {
  const { query } = request;
  for (const name of query.keys()) {
    if (EVENT_PARAMETERS.some((known) => known === name)) continue;
    const close = nearlySame(name, EVENT_PARAMETERS);
    const meant = close === undefined ? `expected ${EVENT_PARAMETERS.join(', ')}` : `did you mean ${close}?`;
    throw new NodeError(
      'BadQuery',
      `unknown parameter ${JSON.stringify(name.slice(0, MAX_CHARS))} (${meant})`,
    );
  }
  const lastId = request.header('last-event-id');
  const from = unsigned(query, 'from', Number.MAX_SAFE_INTEGER);
  const since = text(query, 'since');
  if (from > 0 && since !== '') {
    throw new NodeError('BadQuery', 'from and since both say where to begin: give one of them');
  }
  return {
    filter: {
      jobs: ids(query, 'job', 'j-'),
      executions: ids(query, 'execution', 'e-'),
      nodes: values(query, 'node').map((value) => {
        if (NODE_ID.test(value)) return value;
        throw invalid('node', value, 'the id of a node, or its last 8 characters');
      }),
      types: values(query, 'type').map((value) => oneOf('type', value, EVENT_TYPES)),
      roles: values(query, 'role').map((value) => oneOf('role', value, EVENT_ROLES)),
    },
    ...begin(lastId, query.has('from') && text(query, 'from') !== '' ? Math.max(1, from) : undefined, since),
    follow: text(query, 'follow') === '' || flag(query, 'follow'),
  };
}

/** A browser that lost its stream goes on with the URL it had: what it has got by then counts more. */
function begin(lastId: string, from: number | undefined, since: string): Pick<EventQuery, 'from' | 'since'> {
  if (lastId !== '') {
    const last = /^\d{1,16}$/.test(lastId) ? Number(lastId) : Number.NaN;
    if (!Number.isSafeInteger(last)) throw invalid('Last-Event-ID', lastId, 'the id of an event');
    return { from: last + 1 };
  }
  if (from !== undefined) return { from };
  return since === '' ? {} : { since: micros(since) };
}

function micros(since: string): number {
  if (UNIX_SECONDS.test(since)) return Number(since) * 1e6;
  const ms = RFC3339.test(since) ? Date.parse(since) : Number.NaN;
  if (Number.isNaN(ms)) {
    throw invalid('since', since, 'a time such as 2026-01-31T12:00:00Z, or seconds since 1970');
  }
  return ms * 1000;
}

/** Repeated, comma separated, or both. */
function values(query: URLSearchParams, name: string): string[] {
  const found = query.getAll(name).flatMap((value) => value.split(',').filter((one) => one !== ''));
  if (found.length > MAX_VALUES) {
    throw new NodeError('BadQuery', `too many values of ${name}: ${found.length} (at most ${MAX_VALUES})`);
  }
  for (const value of found) {
    if (value.length > MAX_CHARS)
      throw invalid(name, `${value.slice(0, 20)}…`, `at most ${MAX_CHARS} characters`);
  }
  return found;
}

function ids(query: URLSearchParams, name: string, prefix: string): string[] {
  return values(query, name).map((value) => {
    const isShort = value.length === prefix.length + 8 && /^[0-9a-f]{8}$/.test(value.slice(prefix.length));
    if (value.startsWith(prefix) && (isShort || isCompleteId(value))) return value;
    const example = `${prefix}0197a1b2-c3d4-7000-8000-000000000001`;
    throw invalid(name, value, `a whole id such as ${example}, or its short form ${shortId(example)}`);
  });
}

function oneOf<T extends string>(name: string, value: string, choices: readonly T[]): T {
  const known = choices.find((one) => one === value.toLowerCase());
  if (known === undefined) throw invalid(name, value, `one of ${choices.join(', ')}`);
  return known;
}

function invalid(name: string, value: string, expected: string): NodeError {
  return new NodeError('BadQuery', `invalid ${name}: ${JSON.stringify(value)} (expected ${expected})`);
}
