import { NodeError } from '../core/errors.ts';

/** A data: URL taken apart; its data is still encoded. RFC 2397. */
export interface DataUrl {
  /** Lower case, without parameters; "text/plain" where the URL names none. */
  readonly mediaType: string;
  readonly base64: boolean;
  /** Exact length of the decoded data. */
  readonly bytes: number;
  /** The URL's text behind the comma. */
  readonly data: string;
}

/** Characters decoded at a time: a multiple of 4, so that base64 groups stay whole. */
const PIECE = 1 << 18;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
const BASE64_URL = /^[A-Za-z0-9_-]*={0,2}$/;
const BAD_ESCAPE = /%(?![0-9A-Fa-f]{2})/;

/** @throws NodeError InputInvalid that says what is wrong with it */
export function parseDataUrl(url: string): DataUrl {
  if (!/^data:/i.test(url.slice(0, 5))) {
    throw new NodeError('InputInvalid', 'inline input: expected a URL that begins with "data:"');
  }
  const comma = url.indexOf(',');
  if (comma === -1) {
    throw new NodeError('InputInvalid', 'inline input: a data URL needs a "," before its data');
  }
  const [type = '', ...parameters] = url.slice(5, comma).split(';');
  const base64 = parameters.some((parameter) => parameter.trim().toLowerCase() === 'base64');
  const mediaType = type.trim().toLowerCase();
  const raw = url.slice(comma + 1);
  if (BAD_ESCAPE.test(raw)) {
    throw new NodeError('InputInvalid', 'inline input: "%" in a data URL must be followed by two hex digits');
  }
  const data = base64 ? plainBase64(raw) : raw;
  return {
    mediaType: mediaType === '' ? 'text/plain' : mediaType,
    base64,
    bytes: base64 ? base64Bytes(data) : percentBytes(data),
    data,
  };
}

/** The decoded data, piece by piece. */
export function* decodeDataUrl(url: DataUrl): Generator<Uint8Array> {
  let at = 0;
  while (at < url.data.length) {
    const end = url.base64 ? at + PIECE : pieceEnd(url.data, at);
    const piece = url.data.slice(at, end);
    yield url.base64 ? Buffer.from(piece, 'base64') : percentDecode(piece);
    at = end;
  }
}

function plainBase64(raw: string): string {
  const text = raw.includes('%') ? raw.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => ascii(hex)) : raw;
  const plain = /[\s]/.test(text) ? text.replace(/[\t\n\f\r ]/g, '') : text;
  if (!BASE64.test(plain) && !BASE64_URL.test(plain)) {
    throw new NodeError('InputInvalid', 'inline input: the data URL says base64, but its data is not base64');
  }
  const digits = plain.replace(/=+$/, '');
  if (digits.length % 4 === 1 || (plain.length !== digits.length && plain.length % 4 !== 0)) {
    throw new NodeError('InputInvalid', 'inline input: the base64 data of the data URL is cut off');
  }
  return digits;
}

function ascii(hex: string): string {
  return String.fromCharCode(Number.parseInt(hex, 16));
}

function base64Bytes(digits: string): number {
  return Math.floor((digits.length * 3) / 4);
}

function percentBytes(text: string): number {
  let escapes = 0;
  for (let at = text.indexOf('%'); at !== -1; at = text.indexOf('%', at + 3)) escapes += 1;
  return Buffer.byteLength(text, 'utf8') - 2 * escapes;
}

/** End of a piece that cuts neither a percent escape nor a surrogate pair. */
function pieceEnd(text: string, at: number): number {
  let end = Math.min(at + PIECE, text.length);
  if (end === text.length) return end;
  const escape = text.lastIndexOf('%', end - 1);
  if (escape !== -1 && escape > end - 3) end = escape;
  const unit = text.charCodeAt(end - 1);
  return unit >= 0xd800 && unit <= 0xdbff ? end - 1 : end;
}

function percentDecode(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'utf8');
  let write = 0;
  for (let read = 0; read < bytes.length; read += 1) {
    const byte = bytes[read] ?? 0;
    if (byte === 0x25) {
      bytes[write] = Number.parseInt(bytes.toString('latin1', read + 1, read + 3), 16);
      read += 2;
    } else {
      bytes[write] = byte;
    }
    write += 1;
  }
  return bytes.subarray(0, write);
}
