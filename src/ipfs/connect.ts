import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { NodeError } from '../core/errors.ts';
import { withoutSecrets } from '../core/secrets.ts';

const EXPECTED =
  'expected a multiaddr such as /ip4/127.0.0.1/tcp/5001 or /dns4/ipfs.example.org/tcp/443/https, or an http(s) URL';
const HOSTS: ReadonlySet<string> = new Set(['ip4', 'ip6', 'dns', 'dns4', 'dns6']);
const DEFAULT_RPC_PORT = '5001';

/**
 * The base URL of the Kubo RPC that `--ipfs-connect` names: a multiaddr, or a URL, whose path is kept as a prefix.
 * A trailing /p2p/<id> is accepted and has no meaning for the RPC.
 * @throws NodeError ConfigInvalid that says what is wrong and what was expected
 */
export function parseIpfsConnect(text: string): URL {
  const value = text.trim();
  if (/^https?:\/\//i.test(value)) return fromUrl(value);
  if (!value.startsWith('/')) throw invalid(value, EXPECTED);
  let address: Multiaddr;
  try {
    address = multiaddr(value);
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw invalid(value, `${reason}; ${EXPECTED}`);
  }
  return fromMultiaddr(value, address);
}

/**
 * The Authorization header for what an operator writes: "bearer:<token>" or "basic:<user>:<password>" as in
 * Kubo's own `--api-auth`, or the whole header.
 */
export function rpcAuthorization(text: string): string {
  if (/^bearer:/i.test(text)) return `Bearer ${text.slice(7)}`;
  if (/^basic:/i.test(text)) {
    const pair = text.slice(6);
    return `Basic ${pair.includes(':') ? Buffer.from(pair).toString('base64') : pair}`;
  }
  return text;
}

function fromUrl(value: string): URL {
  if (!URL.canParse(value)) throw invalid(value, EXPECTED);
  const url = new URL(value);
  if (url.search !== '' || url.hash !== '') {
    throw invalid(value, 'expected the URL of the RPC without "?" and "#"');
  }
  if (url.username !== '' || url.password !== '') {
    // An address is printed in many places, and a password must not be.
    throw invalid(
      `${url.protocol}//…@${url.host}`,
      'credentials belong into the setting for RPC authorisation',
    );
  }
  return url;
}

function fromMultiaddr(value: string, address: Multiaddr): URL {
  const parts = address.getComponents().filter(({ name }) => name !== 'p2p');
  const [host, ...rest] = parts;
  if (host?.value === undefined || !HOSTS.has(host.name)) {
    throw invalid(value, `the address must begin with a host; ${EXPECTED}`);
  }
  let port: string | undefined;
  let secure = false;
  let http = false;
  for (const { name, value: detail } of rest) {
    if (name === 'tcp' && port === undefined) port = detail;
    else if (name === 'https' || name === 'tls') secure = true;
    else if (name === 'http') http = true;
    else throw invalid(value, `/${name} is no part of an RPC address; ${EXPECTED}`);
  }
  const name = host.name === 'ip6' ? `[${host.value}]` : host.value;
  const fallback = secure ? '443' : http ? '80' : DEFAULT_RPC_PORT;
  return new URL(`${secure ? 'https' : 'http'}://${name}:${port ?? fallback}`);
}

function invalid(value: string, reason: string): NodeError {
  return new NodeError('ConfigInvalid', `--ipfs-connect ${withoutSecrets(value)}: ${reason}`);
}
