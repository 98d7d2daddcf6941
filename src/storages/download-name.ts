/** What a file's name is made of. */
export interface NamedResponse {
  /** Where the file came from, after redirects. */
  readonly url: URL;
  readonly redirected: boolean;
  /** Content-Disposition header; "" for none. */
  readonly disposition: string;
}

/** Linux allows 255 bytes. */
const MAX_NAME_BYTES = 255;
const FALLBACK = 'download';

/**
 * The name a downloaded file gets: the last element of the URL's path, or what Content-Disposition (RFC 6266)
 * says where a redirect has led somewhere whose path says nothing about the file. Always one harmless path
 * element.
 */
export function downloadName(response: NamedResponse): string {
  const fromHeader = safeName(dispositionName(response.disposition));
  const fromPath = safeName(decode(response.url.pathname.split('/').at(-1) ?? ''));
  const [first, second] = response.redirected ? [fromHeader, fromPath] : [fromPath, fromHeader];
  return first ?? second ?? FALLBACK;
}

function dispositionName(header: string): string {
  const extended = /filename\*\s*=\s*(?:UTF-8|ISO-8859-1)'[^']*'([^;\s]+)/i.exec(header)?.[1];
  if (extended !== undefined) return decode(extended);
  const quoted = /filename\s*=\s*"((?:[^"\\]|\\.)*)"/i.exec(header)?.[1];
  if (quoted !== undefined) return quoted.replace(/\\(.)/g, '$1');
  return /filename\s*=\s*([^;\s"]+)/i.exec(header)?.[1] ?? '';
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function safeName(name: string): string | undefined {
  // A path in the name keeps its last element only, whichever way its separators lean.
  const last = name.split(/[/\\]/).at(-1) ?? '';
  const clean = last.replace(/[\u0000-\u001f\u007f]/g, '').trim();
  if (clean === '' || clean === '.' || clean === '..') return undefined;
  return Buffer.byteLength(clean) <= MAX_NAME_BYTES ? clean : shorten(clean);
}

function shorten(name: string): string {
  let short = name;
  while (Buffer.byteLength(short) > MAX_NAME_BYTES) short = [...short].slice(1).join('');
  return short;
}
