import { NodeError } from '../../core/errors.ts';
import type { HttpRequest } from './adapter.ts';

/**
 * A small JSON object with its keys in any letter case, as Go's decoder takes them.
 * Not for jobs: those go to the ingest stage as bytes.
 */
export class Fields {
  readonly #values: ReadonlyMap<string, unknown>;

  constructor(values: ReadonlyMap<string, unknown>) {
    this.#values = values;
  }

  /** Text of a field; "" when absent or null. @throws NodeError MalformedBody */
  text(name: string): string {
    const value = this.#values.get(name.toLowerCase()) ?? '';
    if (typeof value !== 'string') throw mismatch(name, 'text', value);
    return value;
  }

  /** A whole number that is not negative; 0 when absent or null. @throws NodeError MalformedBody */
  unsigned(name: string): number {
    const value = this.#values.get(name.toLowerCase()) ?? 0;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
      throw mismatch(name, 'a whole number', value);
    }
    return value;
  }
}

function mismatch(name: string, expected: string, value: unknown): NodeError {
  return new NodeError('MalformedBody', `${name}: expected ${expected}, got ${JSON.stringify(value)}`);
}

/** Fields of the request's body; an empty body has none. @throws NodeError MalformedBody, BodyTooLarge */
export async function fieldsOf(request: HttpRequest): Promise<Fields> {
  const members = Object.entries(await objectOf(request));
  return new Fields(new Map(members.map(([name, value]) => [name.toLowerCase(), value])));
}

/**
 * The request's body as a JSON object; an empty body, and null, is one without members.
 * @throws NodeError MalformedBody, BodyTooLarge
 */
export async function objectOf(request: HttpRequest): Promise<Readonly<Record<string, unknown>>> {
  const bytes = await request.body();
  if (bytes.byteLength === 0) return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new NodeError('MalformedBody', `the body is not JSON: ${why}`);
  }
  if (parsed === null) return {};
  if (typeof parsed !== 'object' || Array.isArray(parsed)) {
    throw new NodeError('MalformedBody', 'the body must be a JSON object');
  }
  return parsed as Readonly<Record<string, unknown>>;
}
