import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';

/**
 * Id of the client whose key signed `data`: hex SHA-256 of the key's modulus. Undefined when the signature is not
 * one of that key. RSASSA-PKCS1-v1_5 with SHA-256, key as PKCS #1 DER: Bacalhau's client keys.
 */
export function signingClient(proof: {
  readonly data: Uint8Array;
  readonly signature: Uint8Array;
  readonly publicKey: Uint8Array;
}): string | undefined {
  try {
    const key = createPublicKey({ key: Buffer.from(proof.publicKey), format: 'der', type: 'pkcs1' });
    if (!verify('sha256', proof.data, key, proof.signature)) return undefined;
    return createHash('sha256').update(modulus(key)).digest('hex');
  } catch {
    return undefined;
  }
}

function modulus(key: KeyObject): Buffer {
  return Buffer.from(key.export({ format: 'jwk' }).n ?? '', 'base64url');
}
