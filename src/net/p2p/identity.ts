import {
  createECDH,
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  randomUUID,
} from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { base58btc } from 'multiformats/bases/base58';
import { NodeError } from '../../core/errors.ts';
import type { NodeId } from '../../core/ids.ts';

/** Who this node is: its key, and the peer id that follows from it. */
export interface Identity {
  /** The node id. */
  readonly peerId: NodeId;
  /** The private key as libp2p's protobuf. */
  readonly privateKey: Uint8Array;
}

const FILE = 'libp2p_private_key';

/** Key types of libp2p's `crypto.proto`. */
const RSA = 0;
const ED25519 = 1;
const SECP256K1 = 2;

/** Public keys up to this length are the peer id, longer ones are hashed into it (libp2p peer-ids specification). */
const MAX_INLINE_BYTES = 42;

/**
 * The node's key in its data directory, as base64 of libp2p's protobuf, readable by its owner only; made (Ed25519)
 * where there is none. Needs nothing of libp2p, so that the node id is known before anything is loaded.
 * @throws NodeError ConfigInvalid for a file that holds no key
 */
export async function loadIdentity(dataDir: string): Promise<Identity> {
  const path = join(dataDir, FILE);
  const existing = await readKey(path);
  if (existing !== undefined) return identityOf(existing, path);
  const created = await createKey();
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const temporary = `${path}.${randomUUID()}`;
  try {
    await writeFile(temporary, Buffer.from(created).toString('base64'), { mode: 0o600, flag: 'wx' });
    // A link never replaces a key that another process has made meanwhile.
    await link(temporary, path);
    return identityOf(created, path);
  } catch (thrown) {
    const other = await readKey(path);
    if (other === undefined) throw thrown;
    return identityOf(other, path);
  } finally {
    await rm(temporary, { force: true });
  }
}

/** One that is kept nowhere, for a peer that comes and goes. */
export async function newIdentity(): Promise<Identity> {
  return identityOf(await createKey(), 'new key');
}

/** The peer id of a private key in libp2p's protobuf. @throws NodeError ConfigInvalid that names `origin` */
export function identityOf(privateKey: Uint8Array, origin: string): Identity {
  try {
    return { peerId: peerIdOf(publicKeyOf(privateKey)), privateKey };
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new NodeError(
      'ConfigInvalid',
      `${origin}: expected a libp2p private key as base64 of its protobuf (${reason})`,
      { cause: thrown },
    );
  }
}

async function readKey(path: string): Promise<Uint8Array | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new NodeError('ConfigInvalid', `${path}: the node's key cannot be read`, { cause: thrown });
  }
  return Buffer.from(text.trim(), 'base64');
}

async function createKey(): Promise<Uint8Array> {
  const { privateKey } = await promisify(generateKeyPair)('ed25519');
  const { d, x } = privateKey.export({ format: 'jwk' });
  const raw = Buffer.concat([Buffer.from(d ?? '', 'base64url'), Buffer.from(x ?? '', 'base64url')]);
  return message(ED25519, raw);
}

/** The public key's protobuf. */
function publicKeyOf(privateKey: Uint8Array): Uint8Array {
  const { type, data } = parseMessage(privateKey);
  switch (type) {
    case ED25519: {
      // Seed and public key; old keys carry the public key twice.
      if (data.length !== 64 && data.length !== 96) throw new Error(`an Ed25519 key of ${data.length} bytes`);
      return message(ED25519, data.subarray(32, 64));
    }
    case RSA:
      return message(RSA, spki(createPrivateKey({ key: data, format: 'der', type: 'pkcs1' })));
    case SECP256K1: {
      const curve = createECDH('secp256k1');
      curve.setPrivateKey(data);
      return message(SECP256K1, curve.getPublicKey(null, 'compressed'));
    }
    default:
      throw new Error(`key type ${type} is not supported; Ed25519, RSA and secp256k1 are`);
  }
}

function spki(key: KeyObject): Buffer {
  return createPublicKey(key).export({ format: 'der', type: 'spki' });
}

function peerIdOf(publicKey: Uint8Array): string {
  const multihash =
    publicKey.length <= MAX_INLINE_BYTES
      ? Buffer.concat([Buffer.from([0x00, publicKey.length]), publicKey])
      : Buffer.concat([Buffer.from([0x12, 0x20]), createHash('sha256').update(publicKey).digest()]);
  return base58btc.baseEncode(multihash);
}

/** `{Type = 1; Data = 2}` of crypto.proto, both for private and for public keys. */
function message(type: number, data: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from([0x08, type, 0x12, ...varint(data.length)]), data]);
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  bytes.push(rest);
  return bytes;
}

function parseMessage(bytes: Uint8Array): { type: number; data: Buffer } {
  const buffer = Buffer.from(bytes);
  let at = 0;
  const readVarint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = buffer[at];
      if (byte === undefined) break;
      at += 1;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new Error('its protobuf is malformed');
  };
  let type: number | undefined;
  let data: Buffer | undefined;
  while (at < buffer.length) {
    const tag = readVarint();
    if (tag === 0x08) type = readVarint();
    else if (tag === 0x12) {
      const length = readVarint();
      data = buffer.subarray(at, at + length);
      at += length;
      if (data.length !== length) throw new Error('its protobuf is cut off');
    } else throw new Error('its protobuf is malformed');
  }
  if (type === undefined || data === undefined) throw new Error('its protobuf is incomplete');
  return { type, data };
}
