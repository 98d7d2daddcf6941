import type { Setting, SettingReader } from '../../config/table.ts';

/** How results leave the node. */
export interface PublishConfig {
  /** Lower case. */
  readonly disabledPublishers: readonly string[];
  /** "http://host:port" that clients reach this node's results at; "" means the API's own address. */
  readonly advertisedUrl: string;
}

export const publishSettings: readonly Setting[] = [
  {
    key: 'Publishers.Disabled',
    aliases: ['Node.DisabledFeatures.Publishers'],
    flag: 'disable-publisher',
    flagAliases: ['disabled-publisher'],
    kind: 'list',
    default: '',
    unset: 'none',
    doc: 'Publishers the node does not offer.',
  },
  {
    key: 'Publishers.Types.Local.Address',
    aliases: ['Node.Compute.LocalPublisher.Address'],
    flag: 'local-publisher-address',
    kind: 'string',
    default: '',
    unset: 'the address the API listens on',
    doc: 'Host, host:port or http(s) URL in the links of the local publisher: what clients reach this node at.',
  },
];

const BARE_HOST = /^[a-z0-9.-]+(?::\d{1,5})?$/i;

function advertisedUrl(settings: SettingReader): string {
  const key = 'Publishers.Types.Local.Address';
  const text = settings.text(key);
  if (text === '') return '';
  const url = /^https?:\/\//i.test(text) ? text : `http://${text}`;
  if (!URL.canParse(url) || (url !== text && !BARE_HOST.test(text) && !text.startsWith('['))) {
    settings.fault(key, `"${text}" is neither a host, nor host:port, nor an http(s) URL`);
    return '';
  }
  const parsed = new URL(url);
  const ownPort = url === text || parsed.port !== '';
  const path = parsed.pathname.replace(/\/+$/, '');
  return `${parsed.protocol}//${ownPort ? parsed.host : `${parsed.host}:${settings.integer('API.Port')}`}${path}`;
}

export function readPublish(settings: SettingReader): PublishConfig {
  return {
    disabledPublishers: settings.list('Publishers.Disabled').map((name) => name.toLowerCase()),
    advertisedUrl: advertisedUrl(settings),
  };
}
