import { NodeError } from '../../core/errors.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** A value from JSON bytes. @throws NodeError MalformedBody */
export function decodeJsonBytes(bytes: Uint8Array): unknown {
  return decodeJson(decodeText(bytes));
}

/** @throws NodeError MalformedBody */
export function decodeText(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw malformed('it is not UTF-8 text');
  }
}

/** The value of a text; null for an empty one. @throws NodeError MalformedBody */
export function decodeJson(text: string): unknown {
  if (text.trim() === '') return null;
  try {
    return JSON.parse(text);
  } catch (thrown) {
    throw malformed(`it is not JSON: ${jsonFault(thrown)}`);
  }
}

export function malformed(what: string): NodeError {
  return new NodeError('MalformedBody', `malformed body: ${what}`);
}

/** The part of a parser's message that says where and what, without the text around it. */
export function jsonFault(thrown: unknown): string {
  const message = thrown instanceof Error ? thrown.message : '';
  if (message.startsWith('Unexpected end')) return 'unexpected end of the text';
  const where = /\(line \d+ column \d+\)|at position \d+/.exec(message)?.[0];
  const token = /^Unexpected token '(.{1,2})'/u.exec(message)?.[1];
  if (token !== undefined) return `unexpected character '${token}'${where === undefined ? '' : ` ${where}`}`;
  return where === undefined ? 'syntax error' : `syntax error ${where}`;
}
