import { NodeError } from '../../core/errors.ts';

const TRUE_TEXTS: readonly string[] = ['1', 't', 'T', 'TRUE', 'true', 'True'];
const FALSE_TEXTS: readonly string[] = ['0', 'f', 'F', 'FALSE', 'false', 'False'];
const MAX_UINT32 = 4_294_967_295;

/** Text of a query parameter; "" when it is absent or empty: both mean unset. */
export function text(query: URLSearchParams, name: string): string {
  return query.get(name) ?? '';
}

/** Go's ParseBool. Unset is false. @throws NodeError BadQuery */
export function flag(query: URLSearchParams, name: string): boolean {
  const value = text(query, name);
  if (value === '' || FALSE_TEXTS.includes(value)) return false;
  if (TRUE_TEXTS.includes(value)) return true;
  throw invalid(name, value, 'true or false');
}

/** A whole number up to `max`. Unset is 0. @throws NodeError BadQuery */
export function unsigned(query: URLSearchParams, name: string, max: number = MAX_UINT32): number {
  const value = text(query, name);
  if (value === '') return 0;
  const number = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (!(number <= max)) throw invalid(name, value, `a whole number from 0 to ${max}`);
  return number;
}

/** One of `choices`; unset is "". @throws NodeError BadQuery */
export function choice<T extends string>(
  query: URLSearchParams,
  name: string,
  choices: readonly T[],
): T | '' {
  const value = text(query, name);
  if (value === '') return '';
  const known = choices.find((one) => one === value);
  if (known === undefined) throw invalid(name, value, `one of ${choices.join(', ')}`);
  return known;
}

function invalid(name: string, value: string, expected: string): NodeError {
  return new NodeError('BadQuery', `invalid ${name}: ${JSON.stringify(value)} (expected ${expected})`);
}

/** What a page goes on from. */
export interface PagingToken {
  readonly orderBy: string;
  readonly reverse: boolean;
  readonly limit: number;
  readonly offset: number;
}

/** Base64url of "orderBy:Y|N:limit:offset", as Bacalhau v1.9 makes it. */
export function encodeToken(token: PagingToken): string {
  const { orderBy, reverse, limit, offset } = token;
  return Buffer.from(`${orderBy}:${reverse ? 'Y' : 'N'}:${limit}:${offset}`).toString('base64url');
}

/** The token of `next_token`, or undefined where none was sent. @throws NodeError BadQuery */
export function pagingToken(query: URLSearchParams): PagingToken | undefined {
  const value = text(query, 'next_token');
  if (value === '') return undefined;
  const match = /^([^:]*):([YN]):(\d{1,10}):(\d{1,10})$/.exec(
    Buffer.from(value, 'base64url').toString('utf8'),
  );
  if (match === null) throw invalid('next_token', value, 'the NextToken of an answer');
  return {
    orderBy: match[1] ?? '',
    reverse: match[2] === 'Y',
    limit: Number(match[3]),
    offset: Number(match[4]),
  };
}
