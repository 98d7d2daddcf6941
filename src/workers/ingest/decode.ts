import { parseDocument } from 'yaml';
import { NodeError } from '../../core/errors.ts';
import { limits } from '../../core/limits.ts';
import { describe } from '../checks/faults.ts';
import { decodeJson, decodeText, jsonFault, malformed } from '../checks/json.ts';
import { isObject, type Source } from '../checks/keys.ts';

/** Aliases may stand for this many nodes: room for shared blocks, none for exponential ones. */
const YAML_ALIASES = 100;
/** Lines and indicators of a YAML text. Parsing costs 10 µs each, and other jobs wait; JSON has no such limit. */
const YAML_MARKS = 100_000;
/** Nesting of a whole body: a job needs about ten levels. */
const DEEPEST_BODY = 64;

/**
 * The object that a request body holds. JSON or YAML as the content type says; when it says neither, JSON is
 * tried, then YAML. Messages never repeat the body, which may hold a token.
 * @throws NodeError BodyTooLarge, MalformedBody
 */
export function decodeBody(
  body: Uint8Array,
  contentType: string,
  maxBytes: number = limits.bodyBytes,
): Source {
  if (body.byteLength > maxBytes) {
    throw new NodeError(
      'BodyTooLarge',
      `the body has ${body.byteLength} bytes (the maximum allowed is ${maxBytes})`,
    );
  }
  const text = decodeText(body);
  const value = /yaml/i.test(contentType)
    ? decodeYaml(text)
    : /json/i.test(contentType)
      ? decodeJson(text)
      : decodeEither(text);
  if (value === null || value === undefined) return {};
  if (!isObject(value)) throw malformed(`expected an object that holds a job, got ${describe(value)}`);
  return value;
}

function decodeEither(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (thrown) {
    // What begins like JSON was meant as JSON: its fault is more use than YAML's.
    if (/^\s*[{[]/.test(text)) throw malformed(`it is not JSON: ${jsonFault(thrown)}`);
    return decodeYaml(text);
  }
}

function decodeYaml(text: string): unknown {
  if (countMarks(text) > YAML_MARKS) {
    throw new NodeError(
      'BodyTooLarge',
      `the YAML has more than ${YAML_MARKS} lines and indicators (the maximum allowed; send a job of this size as JSON)`,
    );
  }
  let value: unknown;
  try {
    // Its check for equal keys compares every key with all before it.
    const document = parseDocument(text, { uniqueKeys: false, logLevel: 'silent', merge: true });
    const fault = document.errors[0];
    if (fault !== undefined) throw fault;
    value = document.toJS({ maxAliasCount: YAML_ALIASES });
  } catch (thrown) {
    const first = thrown instanceof Error ? (thrown.message.split('\n', 1)[0] ?? '') : '';
    throw malformed(`it is not YAML: ${first.replace(/:$/, '')}`);
  }
  measure(value, { left: limits.bodyBytes }, 0);
  return value;
}

/** Characters that may open a node. */
function countMarks(text: string): number {
  let marks = 0;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    // "\n", "[", "{", ",", ":", "-", "?", "&", "*"
    if (code === 10 || code === 91 || code === 123 || code === 44 || code === 58) marks += 1;
    else if (code === 45 || code === 63 || code === 38 || code === 42) marks += 1;
  }
  return marks;
}

/** Aliases can make a small body large: counts what it would be written out. */
function measure(value: unknown, budget: { left: number }, depth: number): void {
  if (depth > DEEPEST_BODY) throw malformed(`nested deeper than ${DEEPEST_BODY} levels`);
  budget.left -= typeof value === 'string' ? value.length + 1 : 1;
  if (budget.left < 0) {
    throw new NodeError(
      'BodyTooLarge',
      `the body's aliases make it larger than ${limits.bodyBytes} bytes (the maximum allowed)`,
    );
  }
  if (Array.isArray(value)) for (const element of value) measure(element, budget, depth + 1);
  else if (isObject(value)) {
    for (const key in value) {
      budget.left -= key.length;
      measure(value[key], budget, depth + 1);
    }
  }
}
