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
  const bytes = await request.body();
  const values = new Map<string, unknown>();
  if (bytes.byteLength === 0) return new Fields(values);
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new NodeError('MalformedBody', `the body is not JSON: ${why}`);
  }
  if (parsed === null) return new Fields(values);
  if (typeof parsed !== 'object' || Array.isArray(parsed)) {
    throw new NodeError('MalformedBody', 'the body must be a JSON object');
  }
  for (const [name, value] of Object.entries(parsed)) values.set(name.toLowerCase(), value);
  return new Fields(values);
}
