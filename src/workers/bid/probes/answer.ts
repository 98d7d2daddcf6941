import type { Verdict } from '../strategy.ts';
import { YES } from '../strategy.ts';
import { bounded } from './probe.ts';

/** An HTTP probe's whole answer. */
export interface HttpAnswer {
  readonly status: number;
  /** Content-Type as it came; "" for none. */
  readonly contentType: string;
  readonly body: Uint8Array;
}

/** Keys of the answer's schema; any of them in an object makes it a decision. */
const KEYS = ['shouldBid', 'shouldWait', 'reason'] as const;
type Key = (typeof KEYS)[number];
const NO_CONTENT = 204;

/**
 * What an answer means. A status of 400 and more refuses, whatever else it says. Below that a JSON object with any
 * key of the schema decides, whatever its content type; what calls itself JSON and is none, or breaks the schema,
 * refuses and names the fault; anything else accepts.
 * @param url for people, without secrets
 */
export function readAnswer(answer: HttpAnswer, url: string): Verdict {
  const isJson = mediaType(answer.contentType) === 'application/json';
  const parsed = parse(answer.body);
  const fields = parsed.ok ? fieldsOf(parsed.value) : undefined;
  if (answer.status >= 400) {
    const words = typeof fields?.reason === 'string' ? bounded(fields.reason) : '';
    if (words !== '') return { kind: 'no', reason: words, verbatim: true };
    return { kind: 'no', reason: `accept jobs where url "${url}" returns HTTP status code ${answer.status}` };
  }
  if (fields !== undefined) return decide(fields, url);
  if (!isJson || answer.status === NO_CONTENT) return YES;
  if (!parsed.ok) return broken(url, `it is no valid JSON: ${parsed.fault}`);
  const expected = 'expected an object with shouldBid and reason';
  return broken(url, isObject(parsed.value) ? `it has none of ${KEYS.join(', ')} (${expected})` : expected);
}

type Fields = Partial<Record<Key, unknown>>;

function decide(fields: Fields, url: string): Verdict {
  const { shouldBid, shouldWait = false, reason } = fields;
  if (typeof shouldWait !== 'boolean') return broken(url, wrong('shouldWait', 'true or false', shouldWait));
  if (shouldBid !== undefined && typeof shouldBid !== 'boolean') {
    return broken(url, wrong('shouldBid', 'true or false', shouldBid));
  }
  if (typeof reason !== 'string') return broken(url, wrong('reason', 'text', reason));
  if (shouldWait) return { kind: 'wait', reason: bounded(reason) };
  if (shouldBid === undefined) return broken(url, wrong('shouldBid', 'true or false', shouldBid));
  if (shouldBid) return YES;
  const words = bounded(reason);
  return words === ''
    ? { kind: 'no', reason: `accept jobs that url "${url}" refuses` }
    : { kind: 'no', reason: words, verbatim: true };
}

function wrong(key: Key, expected: string, value: unknown): string {
  return value === undefined
    ? `${key} is missing`
    : `${key} is ${bounded(JSON.stringify(value)).slice(0, 80)}, expected ${expected}`;
}

function broken(url: string, fault: string): Verdict {
  return {
    kind: 'no',
    reason: `accept jobs where url "${url}" returns JSON that breaks the schema of decisions: ${fault}`,
  };
}

function parse(
  body: Uint8Array,
): { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly fault: string } {
  try {
    return { ok: true, value: JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body)) };
  } catch (error) {
    return { ok: false, fault: body.byteLength === 0 ? 'it is empty' : bounded(String(error)) };
  }
}

/** The keys of the schema, in any letter case as Go reads them, the exact one first; undefined without any. */
function fieldsOf(value: unknown): Fields | undefined {
  if (!isObject(value)) return undefined;
  const fields: Fields = {};
  for (const key of KEYS) {
    const name = Object.hasOwn(value, key)
      ? key
      : Object.keys(value).find((candidate) => candidate.toLowerCase() === key.toLowerCase());
    if (name !== undefined) fields[key] = value[name];
  }
  return Object.keys(fields).length === 0 ? undefined : fields;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** "application/json" of "Application/JSON; charset=utf-8". */
function mediaType(contentType: string): string {
  return (contentType.split(';')[0] ?? '').trim().toLowerCase();
}
