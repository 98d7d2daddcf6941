import { NodeError } from '../../core/errors.ts';
import { signingClient } from './client-key.ts';

/** A body whose signature is good. */
export interface SignedBody {
  /** Hex SHA-256 of the signing key's modulus. */
  readonly clientId: string;
  readonly payload: unknown;
}

/**
 * Reads Bacalhau v1.2's signed requests, `{payload, signature, client_public_key}`: base64, over the bytes of the
 * payload exactly as they stand in the body.
 * @throws NodeError MalformedBody for a body of another form, SignatureInvalid
 */
export function readSignedBody(body: Uint8Array): SignedBody {
  let text: string;
  let envelope: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body);
    envelope = JSON.parse(text);
  } catch (error) {
    throw new NodeError('MalformedBody', `the body is not JSON: ${String(error)}`);
  }
  if (typeof envelope !== 'object' || envelope === null || Array.isArray(envelope)) throw malformed();
  const { payload, signature, client_public_key: key } = envelope as Record<string, unknown>;
  const raw = memberText(text, 'payload');
  if (raw === undefined || typeof signature !== 'string' || typeof key !== 'string') throw malformed();
  const clientId = signingClient({
    data: Buffer.from(raw),
    signature: Buffer.from(signature, 'base64'),
    publicKey: Buffer.from(key, 'base64'),
  });
  if (clientId === undefined) {
    throw new NodeError('SignatureInvalid', 'the signature is not one of client_public_key over the payload');
  }
  return { clientId, payload };
}

function malformed(): NodeError {
  return new NodeError(
    'MalformedBody',
    'the body must be an object with payload, signature and client_public_key',
  );
}

/** The text of a member of the outermost object, as it stands there. `json` is valid; of two the last counts. */
function memberText(json: string, name: string): string | undefined {
  let depth = 0;
  let key = '';
  let start = -1;
  let found: string | undefined;
  for (let at = 0; at < json.length; at += 1) {
    const char = json[at];
    if (char === '"') {
      const end = stringEnd(json, at);
      if (depth === 1 && start < 0) key = JSON.parse(json.slice(at, end)) as string;
      at = end - 1;
    } else if (char === ':' && depth === 1 && start < 0) {
      start = at + 1;
    } else if ((char === ',' || char === '}') && depth === 1) {
      if (key === name && start >= 0) found = json.slice(start, at).trim();
      start = -1;
      if (char === '}') depth -= 1;
    } else if (char === '{' || char === '[') {
      depth += 1;
    } else if (char === '}' || char === ']') {
      depth -= 1;
    }
  }
  return found;
}

/** Behind the closing quote of the string that begins at `at`. */
function stringEnd(json: string, at: number): number {
  let end = at + 1;
  while (json[end] !== '"') end += json[end] === '\\' ? 2 : 1;
  return end + 1;
}
