import { NodeError } from '../core/errors.ts';
import type { InputSource, LabelSelectorRequirement, ResultPath, SpecConfig } from '../core/job.ts';

const DEFAULT_TARGET = '/inputs';
const FLAG_FORMS =
  'ipfs://CID[:/path], https://host/file[:/path], s3://bucket/key[:/path], file:///path[:/path], data:…, or src=URI,dst=/path,opt=name=value';

function invalid(message: string): NodeError {
  return new NodeError('CommandInvalid', message);
}

/** Splits "URI:/target" at its last ":/" that is not part of "://". */
function splitTarget(text: string): { uri: string; target: string } {
  const at = text.lastIndexOf(':/');
  const uri = text.slice(0, at);
  if (at <= 0 || text.startsWith('//', at + 1) || !uri.includes(':'))
    return { uri: text, target: DEFAULT_TARGET };
  return { uri, target: text.slice(at + 1) };
}

function truthy(text: string | undefined): boolean {
  return text !== undefined && /^(?:1|t|true|yes)$/i.test(text);
}

function s3Params(url: URL, options: Readonly<Record<string, string>>): Record<string, unknown> {
  const key = decodeURIComponent(url.pathname.replace(/^\//, ''));
  const params: Record<string, unknown> = { Bucket: url.host, Key: key };
  for (const [name, param] of [
    ['endpoint', 'Endpoint'],
    ['region', 'Region'],
    ['filter', 'Filter'],
    ['versionid', 'VersionID'],
    ['version-id', 'VersionID'],
    ['checksum-256', 'ChecksumSHA256'],
  ] as const) {
    if (options[name] !== undefined) params[param] = options[name];
  }
  return params;
}

/** Storage source of a URI. @throws NodeError CommandInvalid */
function sourceOf(uri: string, options: Readonly<Record<string, string>>): SpecConfig {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(uri)?.[1]?.toLowerCase();
  switch (scheme) {
    case 'ipfs': {
      const cid = uri.slice('ipfs://'.length).replace(/\/+$/, '');
      if (!uri.toLowerCase().startsWith('ipfs://') || cid === '')
        throw invalid(`input "${uri}": expected ipfs://CID`);
      return { Type: 'ipfs', Params: { CID: cid } };
    }
    case 'http':
    case 'https':
      if (!URL.canParse(uri)) throw invalid(`input "${uri}": not a valid URL`);
      return { Type: 'urlDownload', Params: { URL: uri } };
    case 's3': {
      if (!URL.canParse(uri)) throw invalid(`input "${uri}": expected s3://bucket/key`);
      return { Type: 's3', Params: s3Params(new URL(uri), options) };
    }
    case 'file': {
      const path = uri.slice('file://'.length);
      if (!path.startsWith('/')) throw invalid(`input "${uri}": expected file:///absolute/path`);
      return {
        Type: 'localDirectory',
        Params: { SourcePath: path, ReadWrite: truthy(options['rw'] ?? options['readwrite']) },
      };
    }
    case 'data':
      return { Type: 'inline', Params: { URL: uri } };
    default:
      throw invalid(`input "${uri}": expected one of the forms ${FLAG_FORMS}`);
  }
}

/**
 * An input as flags give it: "URI[:/target]", or "src=URI,dst=/target,opt=name=value".
 * @throws NodeError CommandInvalid
 */
export function parseInput(text: string): InputSource {
  if (/^data:/i.test(text)) {
    // A data URL may hold ":/" itself, so it takes its target in the long form only.
    return { Source: sourceOf(text, {}), Alias: 'inline', Target: DEFAULT_TARGET };
  }
  if (!/^(?:src|source|dst|destination|target|alias|opt|option)=/i.test(text)) {
    const { uri, target } = splitTarget(text);
    return { Source: sourceOf(uri, {}), Alias: uri, Target: target };
  }
  let uri = '';
  let target = DEFAULT_TARGET;
  let alias = '';
  const options: Record<string, string> = {};
  for (const part of splitFields(text)) {
    const at = part.indexOf('=');
    const value = part.slice(at + 1);
    switch (part.slice(0, at).toLowerCase()) {
      case 'src':
      case 'source':
        uri = value;
        break;
      case 'dst':
      case 'destination':
      case 'target':
        target = value;
        break;
      case 'alias':
        alias = value;
        break;
      default: {
        const equals = value.indexOf('=');
        if (equals <= 0) throw invalid(`input "${text}": expected opt=name=value`);
        options[value.slice(0, equals).toLowerCase()] = value.slice(equals + 1);
      }
    }
  }
  if (uri === '') throw invalid(`input "${text}": src is missing`);
  return { Source: sourceOf(uri, options), Alias: alias === '' ? shortAlias(uri) : alias, Target: target };
}

function shortAlias(uri: string): string {
  return /^data:/i.test(uri) ? 'inline' : uri;
}

/** Fields are separated by the commas that a field name follows, so that a URI may hold commas. */
function splitFields(text: string): string[] {
  return text.split(/,(?=(?:src|source|dst|destination|target|alias|opt|option)=)/i);
}

/** "name:/path". @throws NodeError CommandInvalid */
export function parseOutput(text: string): ResultPath {
  const at = text.indexOf(':');
  const path = text.slice(at + 1);
  if (at <= 0 || !path.startsWith('/')) {
    throw invalid(`output "${text}": expected name:/absolute/path`);
  }
  return { Name: text.slice(0, at), Path: path };
}

/** "ipfs", "local", "s3://bucket/key[,opt=name=value…]"; "none" and "" are null. @throws NodeError CommandInvalid */
export function parsePublisher(text: string): SpecConfig | null {
  const [name = '', ...rest] = text.split(',');
  if (name === '' || name.toLowerCase() === 'none') return null;
  const options: Record<string, string> = {};
  for (const part of rest) {
    const option = part.replace(/^opt(?:ion)?=/i, '');
    const at = option.indexOf('=');
    if (at <= 0) throw invalid(`publisher "${text}": expected name=value after the comma`);
    options[option.slice(0, at).toLowerCase()] = option.slice(at + 1);
  }
  if (/^s3:\/\//i.test(name)) return { Type: 's3', Params: s3Params(new URL(name), options) };
  if (!/^[a-z0-9_-]+$/i.test(name)) {
    throw invalid(`publisher "${text}": expected ipfs, local, none or s3://bucket/key`);
  }
  return { Type: name };
}

const NEGATIVE = /^!\s*([^\s=!,()]+)$/;
const SET = /^([^\s=!,()]+)\s+(in|notin)\s*\(([^()]*)\)$/i;
const PAIR = /^([^\s=!,()<>]+)\s*(==|!=|=|>|<)\s*([^\s=!,()<>]*)$/;

/** Kubernetes selector text as requirements: "region=eu,gpu in (a, b),!spot". @throws NodeError CommandInvalid */
export function parseConstraints(texts: readonly string[]): LabelSelectorRequirement[] | null {
  const parts = texts.flatMap((text) => text.split(/,(?![^(]*\))/)).map((part) => part.trim());
  const wanted = parts.filter((part) => part !== '');
  return wanted.length === 0 ? null : wanted.map(parseRequirement);
}

function parseRequirement(text: string): LabelSelectorRequirement {
  const set = SET.exec(text);
  if (set !== null) {
    const values = (set[3] ?? '').split(',').map((value) => value.trim());
    return { Key: set[1] ?? '', Operator: (set[2] ?? '').toLowerCase(), Values: values };
  }
  const pair = PAIR.exec(text);
  if (pair !== null) {
    const operators: Readonly<Record<string, string>> = { '>': 'gt', '<': 'lt', '==': '=' };
    const operator = pair[2] ?? '=';
    return { Key: pair[1] ?? '', Operator: operators[operator] ?? operator, Values: [pair[3] ?? ''] };
  }
  const absent = NEGATIVE.exec(text);
  if (absent !== null) return { Key: absent[1] ?? '', Operator: '!' };
  if (/^[^\s=!,()]+$/.test(text)) return { Key: text, Operator: 'exists' };
  throw invalid(`constraint "${text}": expected name=value, name!=value, name in (a, b), name or !name`);
}
