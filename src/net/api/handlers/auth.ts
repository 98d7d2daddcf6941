import { createHmac, randomBytes } from 'node:crypto';
import { NodeError } from '../../../core/errors.ts';
import type { NodePort } from '../../../core/ports.ts';
import type { HttpReply, HttpRequest, Route } from '../adapter.ts';
import { fieldsOf } from '../body.ts';
import { signingClient } from '../client-key.ts';
import { JSON_HEADERS, json } from '../reply.ts';

const METHOD = 'clientkey';
const TOKEN_SECONDS = 365 * 24 * 3600;
/** Read, write, download and cancel, in every namespace. */
const ALL_PERMISSIONS = { '*': 15 };

/**
 * The handshake of v1.9's default configuration: a client proves that it has the key it names, and gets a token.
 * Tokens are not asked for later, so an old one, or one of another node, does no harm.
 */
export function authRoutes(node: NodePort): Route[] {
  const secret = randomBytes(32);
  const requirement = {
    type: 'challenge',
    params: { InputPhrase: Buffer.from(node.nodeId).toString('base64') },
  };

  const authenticate = async (request: HttpRequest): Promise<HttpReply> => {
    knownMethod(request);
    const data = (await fieldsOf(request)).text('MethodData');
    const clientId = provenClient(data, node.nodeId);
    if (clientId === undefined) {
      const reason = 'the signature is not one of the given public key over the phrase of this node';
      return {
        status: 401,
        headers: JSON_HEADERS,
        body: JSON.stringify({ Authentication: { success: false, reason } }),
      };
    }
    return json({ Authentication: { success: true, token: token(node.nodeId, clientId, secret) } });
  };

  return [
    {
      method: 'GET',
      path: '/api/v1/auth',
      role: 'requester',
      handle: () => json({ NextToken: '', Methods: { [METHOD]: requirement } }),
    },
    {
      method: 'GET',
      path: '/api/v1/auth/:method',
      role: 'requester',
      handle: (request) => {
        knownMethod(request);
        return json(requirement);
      },
    },
    { method: 'POST', path: '/api/v1/auth/:method', role: 'requester', handle: authenticate },
  ];
}

function knownMethod(request: HttpRequest): void {
  const name = request.params['method'] ?? '';
  if (name.toLowerCase() !== METHOD) {
    throw new NodeError(
      'RouteNotFound',
      `unknown authentication method "${name}" (this node has "${METHOD}")`,
    );
  }
}

/**
 * Id of the client whose key signed the phrase: hex SHA-256 of its modulus.
 * `data` is base64 of `{PhraseSignature, PublicKey}`, both base64: RSASSA-PKCS1-v1_5 with SHA-256, and PKCS #1 DER.
 */
function provenClient(data: string, phrase: string): string | undefined {
  const proof = decodeProof(data);
  if (proof === undefined) return undefined;
  return signingClient({ data: Buffer.from(phrase), ...proof });
}

function decodeProof(data: string): { publicKey: Buffer; signature: Buffer } | undefined {
  let proof: unknown;
  try {
    proof = JSON.parse(Buffer.from(data, 'base64').toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof proof !== 'object' || proof === null) return undefined;
  if (!('PhraseSignature' in proof) || !('PublicKey' in proof)) return undefined;
  const { PhraseSignature: signature, PublicKey: publicKey } = proof;
  if (typeof signature !== 'string' || typeof publicKey !== 'string') return undefined;
  return { publicKey: Buffer.from(publicKey, 'base64'), signature: Buffer.from(signature, 'base64') };
}

function token(nodeId: string, clientId: string, secret: Buffer): string {
  const issuedAt = Math.floor(Date.now() / 1000);
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = {
    iss: nodeId,
    aud: [nodeId],
    sub: clientId,
    iat: issuedAt,
    exp: issuedAt + TOKEN_SECONDS,
    ns: ALL_PERMISSIONS,
  };
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}
