import { multiaddr } from '@multiformats/multiaddr';
import { parseDurationMs } from '../core/duration.ts';
import { parseBytes, parseCpu, parseGpu } from '../core/resources.ts';
import { withoutSecrets } from '../core/secrets.ts';
import type { RawValue } from './origin.ts';
import type { Amount, Setting, SettingFormat } from './table.ts';

/** A setting's value after its kind was applied. */
export type Value = string | boolean | number | Amount | readonly string[] | Readonly<Record<string, string>>;

const TRUE = new Set(['1', 't', 'true', 'yes', 'on']);
const FALSE = new Set(['', '0', 'f', 'false', 'no', 'off']);
const PERCENT = /^(\d+(?:\.\d+)?)%$/;

/** A sentence that says what is wrong with a value. */
class Wrong extends Error {}

/** A base58 multihash of a key, or a CID of one. */
const PEER_ID = /^(?:12D3Koo|16Uiu2HA|Qm|b[a-z2-7])[A-Za-z0-9]{40,100}$/;

const ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/[^/?#\s]+$/;

function checkFormat(format: SettingFormat | undefined, text: string): void {
  if (format === undefined || text === '') return;
  if (format === 'peer-id') {
    if (PEER_ID.test(text) || /^(?:any|none)$/i.test(text)) return;
    throw new Wrong(`"${text}" is no peer id such as 12D3KooW…, nor "any" or "none"`);
  }
  if (format === 'origin') {
    if (text === '*' || text === 'null' || ORIGIN.test(text)) return;
    throw new Wrong(
      `"${text}" is no origin as browsers send it (scheme, host and port, nothing behind: https://status.example.org), nor "null" or "*"`,
    );
  }
  if (format === 'url') {
    if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
      throw new Wrong(`"${text}" is not a valid http(s) URL`);
    }
    return;
  }
  if (format === 'rpc-address' && /^https?:\/\//i.test(text)) {
    if (!URL.canParse(text)) throw new Wrong(`"${text}" is not a valid URL`);
    return;
  }
  try {
    multiaddr(text).getComponents();
  } catch (error) {
    const or = format === 'rpc-address' ? ' or an http(s) URL' : '';
    throw new Wrong(
      `"${text}" is not a valid multiaddr${or} such as /ip4/127.0.0.1/tcp/5001 (${error instanceof Error ? error.message : String(error)})`,
    );
  }
}

function checkChoice(setting: Setting, text: string): string {
  if (setting.choices === undefined || text === '') return text;
  const lower = text.toLowerCase();
  if (!setting.choices.includes(lower)) {
    throw new Wrong(`"${text}" is not one of ${setting.choices.join(', ')}`);
  }
  return lower;
}

function parseInteger(setting: Setting, text: string): number {
  if (text === '') return 0;
  const value = Number(text);
  const min = setting.min ?? 0;
  const max = setting.kind === 'port' ? 65_535 : (setting.max ?? Number.MAX_SAFE_INTEGER);
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value) || value < min || value > max) {
    const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
    throw new Wrong(`"${text}" is not a whole number ${range}`);
  }
  return value;
}

function parseAmount(kind: Setting['kind'], text: string): Amount {
  if (text === '') return { kind: 'auto' };
  const percent = PERCENT.exec(text.replaceAll(/\s+/g, ''))?.[1];
  if (percent !== undefined) {
    if (Number(percent) > 100) throw new Wrong(`"${text}" is more than 100 %`);
    return { kind: 'share', share: Number(percent) / 100 };
  }
  if (kind === 'amount-cpu') return { kind: 'exact', value: parseCpu(text) };
  if (kind === 'amount-gpu') return { kind: 'exact', value: parseGpu(text) };
  return { kind: 'exact', value: parseBytes(text, kind === 'amount-disk' ? 'disk' : 'memory') };
}

function items(raw: RawValue): string[] {
  const texts = raw.commas ? raw.texts.flatMap((text) => text.split(',')) : raw.texts;
  return texts.map((text) => text.trim()).filter((text) => text !== '');
}

function parseMap(raw: RawValue): Record<string, string> {
  const map: Record<string, string> = {};
  for (const item of items(raw)) {
    const at = item.indexOf('=');
    if (at <= 0) throw new Wrong(`"${item}" is not of the form name=value`);
    map[item.slice(0, at).trim()] = item.slice(at + 1).trim();
  }
  return map;
}

function parseList(setting: Setting, raw: RawValue): string[] {
  const list = items(raw);
  // Bacalhau's own way to say that there is no peer.
  if (setting.format === 'multiaddr' && list.length === 1 && list[0]?.toLowerCase() === 'none') return [];
  return list.map((item) => {
    checkFormat(setting.format, item);
    return checkChoice(setting, item);
  });
}

function parse(setting: Setting, raw: RawValue): Value {
  if (setting.kind === 'list') return parseList(setting, raw);
  if (setting.kind === 'map') return parseMap(raw);
  const distinct = [...new Set(raw.texts.map((text) => text.trim()))];
  if (distinct.length > 1) throw new Wrong(`given more than once: ${distinct.join(' and ')}`);
  const text = distinct[0] ?? '';
  switch (setting.kind) {
    case 'string':
      checkFormat(setting.format, text);
      return checkChoice(setting, text);
    case 'boolean': {
      const lower = text.toLowerCase();
      if (!TRUE.has(lower) && !FALSE.has(lower)) throw new Wrong(`"${text}" is neither true nor false`);
      return TRUE.has(lower);
    }
    case 'integer':
    case 'port':
      return parseInteger(setting, text);
    case 'duration':
      return text === '' ? 0 : parseDurationMs(text);
    case 'bytes':
      return text === '' ? 0 : parseBytes(text, 'memory');
    case 'amount-cpu':
    case 'amount-memory':
    case 'amount-disk':
    case 'amount-gpu':
      return parseAmount(setting.kind, text);
  }
}

/** The value of a row, or what is wrong with it. */
export function parseSetting(setting: Setting, raw: RawValue): { value: Value } | { wrong: string } {
  try {
    return { value: parse(setting, raw) };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { wrong: setting.secret === true ? 'is not a valid value' : withoutSecrets(message) };
  }
}

/** True when somebody gave a value, other than "". */
export function isGiven(raw: RawValue): boolean {
  return raw.origin.kind !== 'default' && raw.texts.some((text) => text.trim() !== '');
}
