import { Packr } from 'msgpackr';
import { WireFault } from './fault.ts';

/** Nesting of what a peer may send: a node's information needs five. */
const MAX_DEPTH = 12;
/** Values of one payload. */
const MAX_VALUES = 65_536;

const packr = new Packr({
  useRecords: false,
  variableMapSize: true,
  encodeUndefinedAsNil: true,
  int64AsType: 'number',
});

/** A payload's bytes. Undefined becomes nil. */
export function pack(value: unknown): Uint8Array {
  return packr.pack(value);
}

/**
 * A payload's value. Its form is checked before anything is built of it, so that neither a claimed length nor
 * nesting costs more than the bytes that came.
 * @throws WireFault malformed
 */
export function unpack(bytes: Uint8Array): unknown {
  const reader = new MsgpackReader(bytes);
  reader.skip();
  if (reader.left !== 0) throw new WireFault('malformed', `${reader.left} bytes follow the payload`);
  try {
    return packr.unpack(bytes);
  } catch (thrown) {
    const text = thrown instanceof Error ? thrown.message : String(thrown);
    throw new WireFault('malformed', `payload: ${text}`);
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true });

/** Reads msgpack value by value, without building more than is asked for. Every method throws WireFault malformed. */
export class MsgpackReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Bytes not read yet. */
  get left(): number {
    return this.#bytes.length - this.#at;
  }

  /** Items of the array that begins here. No more than bytes are left. */
  array(what: string): number {
    const token = this.#byte(what);
    let length: number;
    if ((token & 0xf0) === 0x90) length = token & 0x0f;
    else if (token === 0xdc) length = this.#uint16(what);
    else if (token === 0xdd) length = this.#uint32(what);
    else throw expected('an array', what, token);
    if (length > this.left) throw cut(what);
    return length;
  }

  /** A whole number from 0 to 2^53 - 1. */
  uint(what: string): number {
    const token = this.#byte(what);
    if (token < 0x80) return token;
    switch (token) {
      case 0xcc:
        return this.#byte(what);
      case 0xcd:
        return this.#uint16(what);
      case 0xce:
        return this.#uint32(what);
      case 0xcf:
        return whole(this.#uint32(what) * 0x1_0000_0000 + this.#uint32(what), what);
      case 0xcb: {
        // What is beyond 32 bits is written so by encoders that have doubles only.
        const bytes = this.#take(8, what);
        return whole(new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0), what);
      }
      default:
        throw expected('a whole number', what, token);
    }
  }

  /** Bytes, as a view of what is read. */
  bin(what: string): Uint8Array {
    const token = this.#byte(what);
    const length = this.#binLength(token, what);
    if (length === undefined) throw expected('bytes', what, token);
    return this.#take(length, what);
  }

  /** Bytes as above, a whole number, or undefined for nil. */
  binOrUint(what: string): Uint8Array | number | undefined {
    const token = this.#bytes[this.#at];
    if (token === 0xc0) {
      this.#at += 1;
      return undefined;
    }
    return token === 0xc4 || token === 0xc5 || token === 0xc6 ? this.bin(what) : this.uint(what);
  }

  /** Text of at most `maxBytes` bytes. */
  text(what: string, maxBytes: number): string {
    const token = this.#byte(what);
    let length: number;
    if ((token & 0xe0) === 0xa0) length = token & 0x1f;
    else if (token === 0xd9) length = this.#byte(what);
    else if (token === 0xda) length = this.#uint16(what);
    else if (token === 0xdb) length = this.#uint32(what);
    else throw expected('text', what, token);
    if (length > maxBytes)
      throw new WireFault('malformed', `${what}: ${length} bytes of text, ${maxBytes} are allowed`);
    const bytes = this.#take(length, what);
    try {
      return decoder.decode(bytes);
    } catch {
      throw new WireFault('malformed', `${what}: text is not UTF-8`);
    }
  }

  /** As above, or undefined for nil. */
  textOrNil(what: string, maxBytes: number): string | undefined {
    if (this.#bytes[this.#at] !== 0xc0) return this.text(what, maxBytes);
    this.#at += 1;
    return undefined;
  }

  /** Passes over one value, whatever it is, but for extension types: the protocol has none. */
  skip(): void {
    let values = 0;
    const stack: number[] = [1];
    while (stack.length > 0) {
      const top = stack.length - 1;
      const rest = stack[top] ?? 0;
      if (rest === 0) {
        stack.pop();
        continue;
      }
      stack[top] = rest - 1;
      values += 1;
      if (values > MAX_VALUES) throw new WireFault('malformed', `more than ${MAX_VALUES} values`);
      const inner = this.#skipOne();
      if (inner === 0) continue;
      if (stack.length > MAX_DEPTH) throw new WireFault('malformed', `nested more than ${MAX_DEPTH} deep`);
      if (inner > this.left) throw cut('an array or map');
      stack.push(inner);
    }
  }

  /** Passes over one token; says how many values belong to it. */
  #skipOne(): number {
    const what = 'a value';
    const token = this.#byte(what);
    if (token < 0x80 || token >= 0xe0) return 0;
    if (token < 0x90) return (token & 0x0f) * 2;
    if (token < 0xa0) return token & 0x0f;
    if (token < 0xc0) {
      this.#take(token & 0x1f, what);
      return 0;
    }
    const bytes = this.#binLength(token, what);
    if (bytes !== undefined) {
      this.#take(bytes, what);
      return 0;
    }
    switch (token) {
      case 0xc0:
      case 0xc2:
      case 0xc3:
        return 0;
      case 0xcc:
      case 0xd0:
        this.#take(1, what);
        return 0;
      case 0xcd:
      case 0xd1:
        this.#take(2, what);
        return 0;
      case 0xca:
      case 0xce:
      case 0xd2:
        this.#take(4, what);
        return 0;
      case 0xcb:
      case 0xcf:
      case 0xd3:
        this.#take(8, what);
        return 0;
      case 0xd9:
        this.#take(this.#byte(what), what);
        return 0;
      case 0xda:
        this.#take(this.#uint16(what), what);
        return 0;
      case 0xdb:
        this.#take(this.#uint32(what), what);
        return 0;
      case 0xdc:
        return this.#uint16(what);
      case 0xdd:
        return this.#uint32(what);
      case 0xde:
        return this.#uint16(what) * 2;
      case 0xdf:
        return this.#uint32(what) * 2;
      default:
        throw new WireFault('malformed', `token 0x${token.toString(16)} is not part of the protocol`);
    }
  }

  /** Undefined for a token that begins no bytes. */
  #binLength(token: number, what: string): number | undefined {
    if (token === 0xc4) return this.#byte(what);
    if (token === 0xc5) return this.#uint16(what);
    return token === 0xc6 ? this.#uint32(what) : undefined;
  }

  #byte(what: string): number {
    const value = this.#bytes[this.#at];
    if (value === undefined) throw cut(what);
    this.#at += 1;
    return value;
  }

  #uint16(what: string): number {
    return this.#byte(what) * 0x100 + this.#byte(what);
  }

  #uint32(what: string): number {
    return this.#uint16(what) * 0x1_0000 + this.#uint16(what);
  }

  #take(length: number, what: string): Uint8Array {
    if (length > this.left) throw cut(what);
    const from = this.#at;
    this.#at += length;
    return this.#bytes.subarray(from, this.#at);
  }
}

function cut(what: string): WireFault {
  return new WireFault('malformed', `${what}: cut off`);
}

function whole(value: number, what: string): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new WireFault('malformed', `${what}: a whole number below 2^53 was expected`);
}

function expected(kind: string, what: string, token: number): WireFault {
  return new WireFault('malformed', `${what}: ${kind} was expected, got token 0x${token.toString(16)}`);
}

/** Writes msgpack into a buffer that its owner has made large enough. */
export class MsgpackWriter {
  readonly #buffer: Buffer;
  at = 0;

  constructor(bytes: number) {
    this.#buffer = Buffer.allocUnsafe(bytes);
  }

  /** What has been written. */
  get written(): Buffer {
    return this.#buffer.subarray(0, this.at);
  }

  /** Head of an array of up to 15 items. */
  shortArray(length: number): void {
    this.#buffer[this.at] = 0x90 | length;
    this.at += 1;
  }

  /** Head of an array of up to 65,535 items: 3 bytes. */
  array(length: number): void {
    this.#buffer[this.at] = 0xdc;
    this.#buffer.writeUInt16BE(length, this.at + 1);
    this.at += 3;
  }

  /** A whole number: at most 9 bytes. */
  uint(value: number): void {
    const buffer = this.#buffer;
    if (value < 0x80) {
      buffer[this.at] = value;
      this.at += 1;
    } else if (value < 0x100) {
      buffer[this.at] = 0xcc;
      buffer[this.at + 1] = value;
      this.at += 2;
    } else if (value < 0x1_0000) {
      buffer[this.at] = 0xcd;
      buffer.writeUInt16BE(value, this.at + 1);
      this.at += 3;
    } else if (value < 0x1_0000_0000) {
      buffer[this.at] = 0xce;
      buffer.writeUInt32BE(value, this.at + 1);
      this.at += 5;
    } else {
      buffer[this.at] = 0xcf;
      buffer.writeUInt32BE(Math.floor(value / 0x1_0000_0000), this.at + 1);
      buffer.writeUInt32BE(value % 0x1_0000_0000, this.at + 5);
      this.at += 9;
    }
  }

  nil(): void {
    this.#buffer[this.at] = 0xc0;
    this.at += 1;
  }

  /** Bytes: 5 more than they are, at most. */
  bin(bytes: Uint8Array): void {
    const buffer = this.#buffer;
    const { length } = bytes;
    if (length < 0x100) {
      buffer[this.at] = 0xc4;
      buffer[this.at + 1] = length;
      this.at += 2;
    } else if (length < 0x1_0000) {
      buffer[this.at] = 0xc5;
      buffer.writeUInt16BE(length, this.at + 1);
      this.at += 3;
    } else {
      buffer[this.at] = 0xc6;
      buffer.writeUInt32BE(length, this.at + 1);
      this.at += 5;
    }
    buffer.set(bytes, this.at);
    this.at += length;
  }

  /** Something already encoded. */
  raw(bytes: Uint8Array): void {
    this.#buffer.set(bytes, this.at);
    this.at += bytes.length;
  }

  /** 4 bytes, big-endian, anywhere. */
  length32(value: number, at: number): void {
    this.#buffer.writeUInt32BE(value, at);
  }
}
